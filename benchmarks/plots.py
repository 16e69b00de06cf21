"""Plots of results, as SVG for the README."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_RUN = "#2f6f9f"


def bars(
    path: Path, title: str, unit: str, values: Mapping[str, float], *, log: bool = False
) -> None:
    """Horizontal bars, the first on top, each with its number."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.42 * len(values)))
    drawn = axes.barh(list(values), list(values.values()), color=_RUN)
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    _finish(figure, axes, path, title)


def stacked(path: Path, title: str, unit: str, values: Mapping[str, Mapping[str, float]]) -> None:
    """Horizontal bars, each made of named parts."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 1.4 + 0.5 * len(values)))
    parts = list(dict.fromkeys(part for bar in values.values() for part in bar))
    for index, part in enumerate(parts):
        lengths = [bar.get(part, 0) for bar in values.values()]
        starts = [sum([bar.get(p, 0) for p in parts[:index]]) for bar in values.values()]
        color = pyplot.get_cmap("tab20")(index % 20)
        axes.barh(list(values), lengths, left=starts, label=part, color=color)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.25))
    _finish(figure, axes, path, title)


def lines(
    path: Path,
    title: str,
    labels: tuple[str, str],
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    log_x: bool = False,
) -> None:
    """Lines through points; `labels` are those of the axes."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for name, points in series.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    if log_x:
        axes.set_xscale("log", base=2)
        ticks = sorted({x for points in series.values() for x, _ in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.legend(fontsize=8)
    _finish(figure, axes, path, title)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "cvunet"  # the same figures give the same file
    from matplotlib import pyplot

    return pyplot


def _finish(figure: Any, axes: Any, path: Path, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    _pyplot().close(figure)
