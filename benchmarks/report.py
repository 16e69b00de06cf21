"""Puts the results into the README: python -m benchmarks.report [--check]

Between `<!-- results: NAME -->` and `<!-- end of results -->` stands what `results/NAME.json`
holds, or what the rows in the folder `results/chaos` do. Nobody writes those figures by hand;
`--check` says whether they agree and changes nothing.
"""

import argparse
import re
import sys
from pathlib import Path

from benchmarks.chaos.outcome import markdown
from benchmarks.results import RESULTS, read_report
from serve_app.settings import ROOT

_SECTION = re.compile(
    r"(<!-- results: (?P<name>\w+) -->\n)(?P<body>.*?)(<!-- end of results -->)", re.DOTALL
)
CHAOS = "chaos"
_ON_GPU = ("engines_gpu", "ladder_gpu", "roofline", "roofline_kernels", "serving_gpu")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    before = arguments.readme.read_text("utf-8")
    after = filled(before, arguments.results)
    if arguments.check:
        return int(before != after)
    arguments.readme.write_text(after, "utf-8")
    return 0


def filled(text: str, results: Path) -> str:
    """The README with every section of results made anew; one without a result says so."""

    def fill(section: re.Match[str]) -> str:
        name = section["name"]
        file = results / f"{name}.json"
        if name == CHAOS:
            body = markdown(results / name)
        else:
            body = read_report(file).markdown() if file.is_file() else _missing(name)
        return f"{section[1]}\n{body}\n\n{section[4]}"

    return _SECTION.sub(fill, text)


def sections(text: str) -> list[str]:
    """Names of the results that a text has places for."""
    return [section["name"] for section in _SECTION.finditer(text)]


def _missing(name: str) -> str:
    return f"Not measured yet: `make {'bench-gpu' if name in _ON_GPU else 'bench'}`."


if __name__ == "__main__":
    sys.exit(main())
