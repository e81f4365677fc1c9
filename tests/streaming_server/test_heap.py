"""Threads of a process use one heap."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="glibc's heaps are meant")
def test_what_one_thread_gave_back_is_used_by_others() -> None:
    assert growth_mib() > 15
    assert growth_mib("shared") < 5
