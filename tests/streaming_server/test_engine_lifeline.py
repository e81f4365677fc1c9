"""The pipe that breaks when an engine is killed, before its memory is freed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.engine import Fault
from streaming_server.engine_fleet import EngineFleet
from streaming_server.engine_lifeline import Lifeline

from .ears import connected, scripted_process, soon, speak

HOLDER = """
import mmap, sys, threading
from pathlib import Path
from streaming_server.engine_lifeline import hold_lifeline
hold_lifeline(Path(sys.argv[1]))
memory = mmap.mmap(-1, int(sys.argv[2]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(memory), mmap.PAGESIZE):
    memory[page] = 1
print("ready", flush=True)
threading.Event().wait()
"""
"""Holds a lifeline, and so much memory."""


@contextmanager
def holder(path: Path, *, mib: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, str(path), str(max(1, mib))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


async def test_whoever_holds_on_learns_of_the_death_once(tmp_path: Path) -> None:
    broken: list[str] = []
    both = asyncio.Event()

    def on_broken(name: str) -> None:
        broken.append(name)
        if len(broken) == 2:
            both.set()

    with holder(tmp_path / "lifeline") as process:
        for name in ("web", "supervisor"):
            Lifeline(tmp_path / "lifeline", lambda name=name: on_broken(name))
        let_go = Lifeline(tmp_path / "lifeline", lambda: on_broken("nobody"))
        let_go.let_go()
        let_go.let_go()
        await asyncio.sleep(0.05)
        assert broken == []
        process.send_signal(signal.SIGKILL)
        await soon(both.wait())
    await asyncio.sleep(0.05)
    assert sorted(broken) == ["supervisor", "web"]


@pytest.mark.full
async def test_the_death_is_known_before_the_memory_is_free(tmp_path: Path) -> None:
    """By the better of three: the last thread to end may be the one that holds the pipe."""
    waits_s: list[float] = []
    for number in range(3):
        path = tmp_path / f"lifeline{number}"
        with holder(path, mib=500) as process:
            is_broken = asyncio.Event()
            Lifeline(path, is_broken.set)
            killed_at = time.monotonic()
            process.send_signal(signal.SIGKILL)
            await soon(is_broken.wait())
            known_s = time.monotonic() - killed_at
            await asyncio.to_thread(process.wait)
            waits_s.append(known_s / (time.monotonic() - killed_at))
    assert min(waits_s) < 0.5


async def test_nobody_holds_a_line_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lifeline(tmp_path / "lifeline", lambda: None)


async def test_a_line_replaces_one_that_was_left_there(tmp_path: Path) -> None:
    path = tmp_path / "lifeline"
    path.write_text("left")
    with holder(path):
        assert path.is_fifo()
        Lifeline(path, lambda: None).let_go()


async def test_an_engine_that_is_being_torn_down_is_given_up_though_its_socket_still_accepts(tmp_path: Path) -> None:
    """Stopped, it neither answers nor closes: only its line tells. Its successor is found under the same name."""
    path = tmp_path / "engine"
    process = scripted_process(path)
    await process.start()
    async with connected(path) as remote:
        ear, _ = speak(EngineFleet([remote]), "x" * 40)
        await soon(ear.began.wait())
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        remote._end(process.pid)  # as the line does
        await asyncio.sleep(0.2)
        assert not remote.ready, "the process whose line broke is not connected to again"
        await process.stop()
        await process.start()
        await soon(ear.ended.wait())
        assert ear.ends == ["closed"]
        assert [patch.index for patch in ear.patches] == list(range(40))
    await process.stop()


async def test_a_kill_is_counted_when_the_process_is_reaped(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path)
    await process.start()
    async with connected(path) as remote:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await soon(process.until_lost(remote))
        await process.stop()
        assert remote.faults[Fault.KILLED] == 1
    assert {each.rpartition(".")[2] for each in os.listdir(tmp_path)} == {"faults"}
