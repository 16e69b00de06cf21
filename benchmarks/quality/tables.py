"""Markdown made of `quality.json`, and its place in other files."""

import re
from pathlib import Path
from typing import Any

from benchmarks.quality.ours import DEFAULT
from benchmarks.quality.photos import OTHER, SOURCES

_MEASURES = (("iou", "IoU", 3), ("mad", "MAD", 3), ("sad", "SAD", 2), ("mse", "MSE", 3))
_DETAIL = (("grad", "Grad", 2), ("conn", "Conn", 2))
_GROUPS = ("people", "animals", "products", "anything", "true alpha")
_COUNTED = 0.005  # IoU; less is no difference


def by_source(report: dict[str, Any]) -> str:
    """Every measure of the default, source by source."""
    measures = (*_MEASURES, *_DETAIL)
    lines = _head("source", "group", "shows", "images", *(label for _, label, _ in measures))
    row = report["methods"][DEFAULT]
    for group in _GROUPS:
        for name, scores in row["sources"].items():
            source = SOURCES.get(name, OTHER)
            if source.group == group:
                cells = [name, group, source.shows, str(report["images"][name])]
                lines.append(_row(*cells, *_cells(scores, measures)))
        if group in row["groups"]:
            cells = [f"**{group}**", "", "", ""]
            lines.append(_row(*cells, *_cells(row["groups"][group], measures)))
    total = str(sum(report["images"].values()))
    lines.append(_row("**all**", "", "", total, *_cells(row["all"], measures)))
    return "\n".join(lines)


def by_method(report: dict[str, Any]) -> str:
    """Every method on the same images: means over all, IoU by group, what it costs."""
    groups = [g for g in _GROUPS if g in report["methods"][DEFAULT]["groups"]]
    lines = _head(
        "method", "what", *(label for _, label, _ in (*_MEASURES, *_DETAIL)),
        *(f"IoU {group}" for group in groups), "GMAC", "ms",
    )  # fmt: skip
    for name, row in report["methods"].items():
        ious = [f"{row['groups'][group]['iou']:.3f}" for group in groups]
        cost = ["" if row["gmac"] is None else f"{row['gmac']:.1f}", f"{row['ms']:.0f}"]
        cells = _cells(row["all"], (*_MEASURES, *_DETAIL))
        lines.append(_row(name, row["note"], *cells, *ious, *cost))
    return "\n".join(lines)


def peers_ahead(report: dict[str, Any]) -> str:
    """Where another method is better than ours, and by how much."""
    ours = report["methods"][DEFAULT]
    lines = []
    for name, row in report["methods"].items():
        if name.startswith("ours"):
            continue
        ahead = [
            f"{group} by {row['groups'][group]['iou'] - scores['iou']:.3f}"
            for group, scores in (*ours["groups"].items(), )
            if row["groups"][group]["iou"] > scores["iou"] + _COUNTED
        ]  # fmt: skip
        lines.append(f"- {name}: {'ahead in IoU on ' + ', '.join(ahead) if ahead else 'nowhere'}")
    return "\n".join(["Where others are ahead of the default:", "", *lines])


def band(report: dict[str, Any]) -> str:
    """The band that a given trimap leaves open."""
    lines = _head("with the photo's trimap given", "MAD in its unknown band")
    lines += [_row(name, f"{mad:.4f}") for name, mad in report["unknown_band_mad"].items()]
    return "\n".join(lines) if report["unknown_band_mad"] else ""


def card(report: dict[str, Any], sheet: str, credits: list[str]) -> str:
    """What the model card says of the scores."""
    pictures = (
        f"![Best, median and worst of each source]({sheet})\n\n<sub>Of each source that may be "
        "shown, the photo with the best, the median and the worst score: photo, true alpha, our "
        f"cutout. {'; '.join(credits)}.</sub>"
    )
    return "\n\n".join(
        part
        for part in (
            f"{_taken(report)}\n\n{by_source(report)}",
            "The same images by every method. ms: CPU time on one core from the decoded photo to "
            f"its full alpha, median photo; GMAC: ours at 1024x576.\n\n{by_method(report)}",
            peers_ahead(report),
            band(report),
            pictures,
        )
        if part
    )


def brief(report: dict[str, Any]) -> str:
    """What the README says of the scores."""
    names = [DEFAULT, *(n for n in report["methods"] if not n.startswith("ours"))]
    groups = [g for g in _GROUPS if g in report["methods"][DEFAULT]["groups"]]
    lines = _head("method", *(f"IoU {group}" for group in groups), "IoU all", "MAD all", "ms")
    for name in names:
        row = report["methods"][name]
        ious = [f"{row['groups'][group]['iou']:.3f}" for group in groups]
        overall = f"{row['all']['iou']:.3f}", f"{row['all']['mad']:.3f}", f"{row['ms']:.0f}"
        lines.append(_row(name, *ious, *overall))
    return f"{_taken(report)}\n\n" + "\n".join(lines)


def write_between(path: Path, marker: str, text: str) -> None:
    """Replace what stands between `<!-- marker -->` and `<!-- /marker -->`.

    Raises:
        ValueError: the file lacks the markers.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    pattern = re.compile(f"({re.escape(start)}\n).*?({re.escape(end)})", re.DOTALL)
    before = path.read_text("utf-8")
    if not pattern.search(before):
        raise ValueError(f"'{path}' needs a line '{start}' and below it a line '{end}'")
    path.write_text(pattern.sub(lambda m: f"{m[1]}{text}\n{m[2]}", before), "utf-8")


def _taken(report: dict[str, Any]) -> str:
    machine, limit = report["machine"], report.get("limit")
    some = f", at most {limit} of each source" if limit else ""
    command = f"python -m benchmarks.quality --limit {limit} --write" if limit else "make eval"
    return (
        f"{sum(report['images'].values())} validation photos{some}, no trimap, at their original "
        f"resolution; SAD, Grad and Conn in thousands; checkpoint {report['checkpoint'][:12]}, "
        f"{machine['cpu']}, {machine['date']}; `{command}`:"
    )


def _cells(scores: dict[str, float], measures: tuple[tuple[str, str, int], ...]) -> list[str]:
    return [f"{scores[name]:.{digits}f}" for name, _, digits in measures]


def _head(*cells: str) -> list[str]:
    return [_row(*cells), _row(*("---" for _ in cells))]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
