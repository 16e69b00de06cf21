"""The decoder against damaged files, in a child: a crash is a finding and not the end of a run."""

import os
import signal
import warnings
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fuzz.decoder import DecoderChild, file_of, fuzz_decoder
from benchmarks.fuzz.files import valid_files, with_checksums
from benchmarks.fuzz.ledger import Finding, Ledger
from serve_app.imaging.decode import decode
from serve_app.settings import Limits

FILES = 1000


def test_no_damaged_file_crashes_the_decoder(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "file", 7)
    fuzz_decoder(ledger, 7, FILES, workers=2)
    assert ledger.done == FILES
    assert ledger.findings == []
    assert {path.suffix for path in tmp_path.iterdir()} == {".jsonl"}
    # The damage must be such that files get past the first check, and some all the way.
    assert ledger.outcomes["decoded"] > 0.1 * FILES
    assert ledger.outcomes["refused: invalid_image"] > 0.1 * FILES


def falls_over(data: bytes) -> tuple[str, str]:
    """A decoder that one file in eight kills."""
    if data[-1] % 8 == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "decoded", ""


def test_a_crash_is_seen_and_its_bytes_are_kept(tmp_path: Path) -> None:
    deadly = {i: file_of(3, i) for i in range(20) if file_of(3, i)[-1] % 8 == 0}
    ledger = Ledger(tmp_path, "file", 3)
    child = DecoderChild(3, falls_over)
    try:
        outcomes, findings = child.run(range(20), ledger)
    finally:
        child.end()
    assert 0 < len(deadly) < 10
    assert outcomes == Counter(crash=len(deadly), decoded=20 - len(deadly))
    assert [found.index for found in findings] == list(deadly)
    assert all("-11" in found.detail for found in findings)
    for index, data in deadly.items():
        assert (tmp_path / f"file-3-{index}-crash.bin").read_bytes() == data


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    first = Ledger(tmp_path, "file", 1)
    chunks = list(first.missing(1200))
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [(0, 500), (500, 1000), (1000, 1200)]
    found = Finding(501, "crash", "it fell over")
    first.add(chunks[1], Counter(decoded=499, crash=1), [found])
    again = Ledger(tmp_path, "file", 1)
    assert list(again.missing(1200)) == [chunks[0], chunks[2]]
    assert (again.done, again.findings) == (500, [found])
    again.add(chunks[0], Counter(decoded=500), [])
    again.add(chunks[2], Counter(decoded=200), [])
    # Asked for more, the last and shorter chunk is done anew and counts once.
    assert list(again.missing(1500)) == [range(1000, 1500)]
    again.add(range(1000, 1500), Counter(decoded=500), [])
    assert Ledger(tmp_path, "file", 1).outcomes == Counter(decoded=1499, crash=1)
    assert list(Ledger(tmp_path, "file", 2).missing(400)) == [range(400)]


@pytest.mark.parametrize("name", valid_files())
def test_what_is_mutated_is_valid_before(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = decode(valid_files()[name], Limits())
    assert source.size == ((32, 24) if name == "jpeg-turned" else (24, 32))


def test_the_same_seed_is_the_same_file() -> None:
    assert [file_of(1, i) for i in range(50)] == [file_of(1, i) for i in range(50)]
    assert len({file_of(1, i) for i in range(50)}) == 50
    assert file_of(1, 0) != file_of(2, 0)


def test_checksums_are_made_right_after_the_damage() -> None:
    png = valid_files()["png"]
    assert with_checksums(png) == png
    wrong = bytearray(png)
    wrong[24] ^= 4  # the bit depth
    assert with_checksums(bytes(wrong))[:29] == bytes(wrong[:29])
    assert with_checksums(bytes(wrong))[29:33] != png[29:33]
    assert with_checksums(png[:40]) == png[:40]
