"""The /proc readings."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench.processes import machine_busy_s, server_processes, usage


def test_work_shows_as_cpu_time_of_this_process_and_of_the_machine() -> None:
    before, machine_before = usage([os.getpid()]), machine_busy_s()
    ends_at = time.process_time() + 0.15
    while time.process_time() < ends_at:
        pass
    after = usage([os.getpid()])
    assert 0.1 <= after.cpu_s - before.cpu_s <= 1
    assert machine_busy_s() - machine_before >= 0.1
    assert after.rss_bytes > 1 << 20


def test_an_ended_process_counts_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage([process.pid]).cpu_s == 0


def test_descendants_are_sorted_by_what_they_do() -> None:
    """A parent whose child looks like the engine's host, with a child of its own."""
    sleeper = "import sys; sys.stdin.read()"
    host = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
    server = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {host!r}, 'engine_host'])"
    process = subprocess.Popen([sys.executable, "-c", server], stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        ends_at = time.monotonic() + 30
        while len((roles := server_processes(process.pid))["engine"]) < 2 and time.monotonic() < ends_at:
            time.sleep(0.02)
        assert roles["web"] == [process.pid]
        assert len(roles["engine"]) == 2
    finally:
        process.stdin.close()
        process.wait(30)
