"""Files and URLs that mean harm: the corpus over HTTP, and the table of addresses."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import corpus
from benchmarks.chaos.outcome import Outcome, at_least, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.running_service import RunningService
from serve_app.settings import ROOT

_SSRF = "tests/api/test_remote.py"


def corpus_over_http(service: RunningService, plan: Plan) -> Outcome:
    """Every file of the corpus, four at a time: the answers its manifest accepts."""
    rows = corpus.manifest(plan.corpus)
    before = corpus.pids(service)
    with ThreadPoolExecutor(corpus.AT_ONCE) as pool:
        answers = list(pool.map(lambda row: corpus.ask(service, plan.corpus, row), rows))
    died = before - corpus.pids(service)
    wrong = [answer for answer in answers if not answer.is_right]
    return Outcome(
        [
            at_most("answers that are not among those accepted", len(wrong), 0),
            at_most("5xx answers", sum(answer.status >= 500 for answer in answers), 0),
            at_most("replicas that died", len(died), 0),
            at_most("longest answer, s", max(a.seconds for a in answers), corpus.LONGEST_S),
        ],
        {
            "files": len(answers),
            "wrong": ", ".join(f"{a.file}: {a.status}" for a in wrong[:10]) or "none",
        },
    )


def addresses(plan: Plan) -> Outcome:  # noqa: ARG001
    """Run the table of addresses: a canary listens, and nothing may connect to it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", _SSRF, f"--junit-xml={report}"],
            cwd=ROOT,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        suite = ElementTree.parse(report).getroot()[0].attrib
    bad = int(suite["failures"]) + int(suite["errors"])
    return Outcome(
        [
            at_most("URLs that were let through, or reached the canary", bad, 0),
            at_least("cases", int(suite["tests"]) - int(suite["skipped"]), 50),
        ],
        {"seconds": float(suite["time"])},
    )
