"""What is freed is kept: counted in page faults, in processes of their own."""

import platform
import subprocess
import sys

import pytest

_ROUNDS = 20
_WORK = f"""
import resource, sys
import numpy as np
from serve_app.imaging.allocator import keep_freed_memory

def work():
    return [np.ones((576, 1024, 3), np.uint8) for _ in range(10)]

if sys.argv[1] == "keep":
    keep_freed_memory()
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({_ROUNDS}):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(what: str) -> int:
    command = [sys.executable, "-c", _WORK, what]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="changes glibc's allocator alone")
def test_the_same_arrays_again_cost_no_page_faults() -> None:
    pages = 10 * 576 * 1024 * 3 // 4096
    assert _faults("leave") > _ROUNDS * pages / 2
    assert _faults("keep") < pages / 2
