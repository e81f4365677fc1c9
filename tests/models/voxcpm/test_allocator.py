"""What a process holds after many tensors came and half of them went."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LOAD = """
import contextlib, os, sys, torch
from models.voxcpm.allocator import returning_memory
def rss_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
torch.ones(30 << 18)  # 30 MiB: once such a piece was freed, glibc keeps those that follow
before = rss_mib()
with returning_memory() if sys.argv[1] == "returning" else contextlib.nullcontext():
    layers = [torch.ones(4 << 18) for _ in range(60)]
    del layers[::2]
print(rss_mib() - before)
"""
KEPT_MIB = 120


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library keeps memory in its own way")
def test_what_is_freed_while_loading_goes_back_to_the_system() -> None:
    grown_mib = {how: _grown_mib(how) for how in ("returning", "keeping")}
    assert grown_mib["returning"] < KEPT_MIB + 10
    assert grown_mib["keeping"] > KEPT_MIB + 60  # or the other line shows nothing


def _grown_mib(how: str) -> float:
    command = [sys.executable, "-c", LOAD, how]
    return float(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
