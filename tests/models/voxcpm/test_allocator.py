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
STEPS = """
import resource, torch
from models.voxcpm.allocator import returning_memory
with returning_memory():
    torch.ones(30 << 18)
def step():
    return [torch.ones(2 << 20) for _ in range(4)]  # 8 MiB each
def num_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
before = num_faults()
for _ in range(10):
    step()
print((num_faults() - before) / 10)
"""
KEPT_MIB = 120


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library keeps memory in its own way")
def test_what_is_freed_while_loading_goes_back_to_the_system() -> None:
    grown_mib = {how: _grown_mib(how) for how in ("returning", "keeping")}
    assert grown_mib["returning"] < KEPT_MIB + 10
    assert grown_mib["keeping"] > KEPT_MIB + 60  # or the other line shows nothing


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library keeps memory in its own way")
def test_what_a_step_frees_is_kept_for_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], check=True, text=True, stdout=subprocess.PIPE)
    assert float(done.stdout) < 1000, "page faults in a step of 8192 pages"


def _grown_mib(how: str) -> float:
    command = [sys.executable, "-c", LOAD, how]
    return float(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
