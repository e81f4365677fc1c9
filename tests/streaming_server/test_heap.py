"""Threads of a process use one heap, which gives back what is free."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from streaming_server.heap import give_back

KEPT = """
import sys, threading
from pathlib import Path
from streaming_server.heap import share_heap

if "shared" in sys.argv:
    share_heap()
blocks = []

def allocate():
    blocks.extend(bytes(4096) for _ in range(5000))

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

thread = threading.Thread(target=allocate)
thread.start()
thread.join()
del blocks[:-1]  # the last one keeps the others from going back to the system
before_mib = resident_mib()
allocate()
print(resident_mib() - before_mib)
"""


def growth_mib(*options: str) -> float:
    ran = subprocess.run([sys.executable, "-c", KEPT, *options], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="glibc's heaps are meant"
)


def test_what_one_thread_gave_back_is_used_by_others() -> None:
    assert growth_mib() > 15
    assert growth_mib("shared") < 5


def test_pages_that_are_free_between_others_are_given_back() -> None:
    blocks = [bytes(4096) for _ in range(5000)]
    kept = blocks[::100]
    del blocks
    before_mib = resident_mib()
    give_back()
    assert before_mib - resident_mib() > 10
    assert len(kept) == 50
