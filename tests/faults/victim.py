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
STOP_S = 30.0
NUM_PAGES = 3
"""On one of so many, no web process is missing because the machine was busy."""

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
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read(), "utf-8")

    async def figures(self) -> dict[str, float]:
        """/metrics of all web processes, each sample under its name and labels, and each name's sum."""
        figures: dict[str, float] = {}
        for _ in range(NUM_PAGES):
            figures = _figures(await asyncio.to_thread(self.get, "/metrics"))
            if not figures["voxwire_workers_unheard"]:
                break
        return figures

    async def holdings(self) -> Holdings:
        figures, pids = await self.figures(), self.pids
        numbers = {
            name: figures[f"voxwire_{name}"]
            for name in (
                *("sessions", "sessions_parked", "open_connections", "host_streams", "host_listeners", "tasks"),
                "workers_unheard",
            )
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
        own_labels = ",".join(label for label in labels.split(",") if label and not label.startswith("worker="))
        for key in {name, f"{name}{{{own_labels}}}" if own_labels else name}:
            figures[key] = figures.get(key, 0.0) + float(value)
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


async def until_ready(server: Victim, patience_s: float = 30.0) -> None:
    """Its engine may be on its way back."""
    ends_at = time.monotonic() + patience_s
    while (await server.figures())["voxwire_engine_ready"] != 1:
        assert time.monotonic() < ends_at, "expected the engine to come back"
        await asyncio.sleep(0.02)
