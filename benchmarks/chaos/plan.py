"""How much of each row is run: seconds for a test, half an hour for a look, hours to record."""

from dataclasses import dataclass
from pathlib import Path

from serve_app.settings import ROOT


@dataclass(frozen=True)
class Plan:
    """The sizes of all rows."""

    kills: int  # of each kind of process
    window_s: float  # of one measurement of throughput
    overload_s: float
    overload_factor: float
    slow_uploads: int
    large_photos: int  # of 4096x2304
    soak_s: float
    mutations: int  # of files, and as many of requests
    corpus: Path = ROOT.parent / "shared" / "corpus"


SHORT = Plan(
    kills=3,
    window_s=20,
    overload_s=60,
    overload_factor=5,
    slow_uploads=300,
    large_photos=200,
    soak_s=240,
    mutations=5000,
)
FULL = Plan(
    kills=20,
    window_s=60,
    overload_s=300,
    overload_factor=5,
    slow_uploads=300,
    large_photos=500,
    soak_s=3600,
    mutations=100_000,
)
