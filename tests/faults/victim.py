"""A server that faults are done to: the real processes on loopback, and what can be seen of them from outside."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from bench.processes import PROC, server_processes, usage

ROOT = Path(__file__).parents[2]
KEY = "canary-in-a-coal-mine"
"""Everybody's, and never to be found in a log."""
STOP_S = 15.0
ROLES = "web", "engine"

_ADDRESS = re.compile(r"http://([\d.]+):(\d+)/")
_SAMPLE = re.compile(r"^(voxwire_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Way:
    """How to get to a server: directly, or through a proxy."""

    port: int
    host: str = "127.0.0.1"

    @property
    def stream_url(self) -> str:
        return f"ws://{self.host}:{self.port}/v1/stream"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server has at a moment: numbers by name."""

    numbers: dict[str, float]

    def more_than(self, base: Holdings) -> dict[str, str]:
        """What there is now that was not there then. (A thread without work may have gone.)"""
        return {
            name: f"{now:g}, not {base.numbers.get(name, 0.0):g}"
            for name, now in self.numbers.items()
            if now > base.numbers.get(name, 0.0) or (name in ROLES and now != base.numbers[name])
        }


class Victim:
    """`voxwire serve`, running."""

    def __init__(self, process: subprocess.Popen[str], way: Way, log: Path) -> None:
        self.process = process
        self.way = way
        self._log = log
        self._num_read = 0

    @property
    def port(self) -> int:
        return self.way.port

    @property
    def stream_url(self) -> str:
        return self.way.stream_url

    @property
    def pids(self) -> dict[str, list[int]]:
        return server_processes(self.process.pid)

    def signal(self, role: str, number: Signals) -> None:
        """To its only engine process, or to its first web process."""
        os.kill(self.pids[role][0], number)

    def get(self, path: str) -> str:
        request = urllib.request.Request(
            f"http://{self.way.host}:{self.port}{path}",
            headers={"authorization": f"Bearer {KEY}", "connection": "close"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read(), "utf-8")

    async def figures(self) -> dict[str, float]:
        """/metrics, each sample under its name and labels, and each name's sum. Of several web processes the most that
        one tells, among so many answers that all will have given one.
        """
        num_web = len(self.pids["web"])
        most: dict[str, float] = {}
        for _ in range(1 if num_web == 1 else 4 * num_web):
            page = await asyncio.to_thread(self.get, "/metrics")
            for name, value in _figures(page).items():
                most[name] = max(value, most.get(name, value))
        return most

    async def holdings(self) -> Holdings:
        figures, pids = await self.figures(), self.pids
        numbers = {
            name: figures[f"voxwire_{name}"]
            for name in ("sessions", "sessions_parked", "open_connections", "host_streams", "host_listeners", "tasks")
        }
        for role, each in pids.items():
            numbers[role] = len(each)
            numbers[f"threads of {role}"] = sum(_num_entries(pid, "task") for pid in each)
            numbers[f"files of {role}"] = sum(_num_entries(pid, "fd") for pid in each)
        return Holdings(numbers)

    def num_files(self) -> int:
        """Of its web processes."""
        return sum(_num_entries(pid, "fd") for pid in self.pids["web"])

    def rss_bytes(self) -> dict[str, int]:
        return {role: usage(pids).rss_bytes for role, pids in self.pids.items()}

    def new_log(self) -> str:
        """What was logged since the last look."""
        with self._log.open("rb") as log:
            log.seek(self._num_read)
            text = log.read()
        self._num_read += len(text)
        return text.decode(errors="replace")


def _figures(page: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, labels, value in _SAMPLE.findall(page):
        figures[name] = figures.get(name, 0.0) + float(value)
        if labels:
            figures[f"{name}{{{labels}}}"] = float(value)
    return figures


@contextmanager
def victim(
    *flags: str,
    module: str = "streaming_server",
    within: tuple[str, ...] = (),
    log_fd: int | None = None,
    temporary: str = tempfile.gettempdir(),
) -> Iterator[Victim]:
    """A server with these flags until the block is left; by then it may have ended.

    `module`: what is run; `within`: the command that runs it; `log_fd`: where it logs, if not where it is read;
    `temporary`: where it keeps what it needs while it runs.
    """
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = (
            *within,
            sys.executable,
            "-m",
            module,
            "serve",
            "--model",
            "tone",
            "--port",
            "0",
            "--log-level",
            "debug",
            *flags,
        )
        with (
            log.open("ab") as errors,
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "VOXWIRE_API_KEY": KEY, "TMPDIR": temporary},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors if log_fd is None else log_fd,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield Victim(process, _told_way(process, log), log)
            finally:
                _end(process)


def _told_way(process: subprocess.Popen[str], log: Path) -> Way:
    assert process.stdout is not None
    for line in process.stdout:
        if told := _ADDRESS.search(line):
            return Way(int(told[2]), told[1])
    raise AssertionError(f"expected a server, it ended:\n{log.read_text()[-2000:]}")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _num_entries(pid: int, kind: str) -> int:
    try:
        return len(list((PROC / str(pid) / kind).iterdir()))
    except OSError:
        return 0


async def until_ready(server: Victim, patience_s: float = 10.0) -> None:
    """Its engine may be on its way back."""
    ends_at = time.monotonic() + patience_s
    while (await server.figures())["voxwire_engine_ready"] != 1:
        assert time.monotonic() < ends_at, "expected the engine to come back"
        await asyncio.sleep(0.02)
