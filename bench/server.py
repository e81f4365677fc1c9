"""A server to be measured: started in its own process on a free port of loopback, and ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streaming_server

from .processes import server_processes

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05


class BenchFailed(Exception):
    """Nothing could be measured; one sentence."""


class ServerFailed(BenchFailed):
    """It did not come up; one sentence and the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `pid` None: somebody else's, whose processes are not ours to look at."""

    url: str
    pid: int | None = None
    log: Path | None = None
    """What it has written so far; there as long as it runs."""

    @property
    def processes(self) -> dict[str, list[int]]:
        """`web` and `engine` process ids; none of a server that runs elsewhere."""
        return {"web": [], "engine": []} if self.pid is None else server_processes(self.pid)


@contextmanager
def running_server(
    model: str, flags: Sequence[str] = (), *, start_timeout_s: float = START_TIMEOUT_S
) -> Iterator[Server]:
    """`voxwire serve --model MODEL FLAGS...` until the block is left. Raises ServerFailed."""
    port = _free_port()
    command = [sys.executable, "-m", "streaming_server", "serve", "--model", model, "--port", str(port), *flags]
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=Path(streaming_server.__file__).parents[1]
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not _becomes_ready(process, url, start_timeout_s):
                log.seek(0)
                tail = log.read()[-2000:].decode(errors="replace")
                raise ServerFailed(f"expected a ready server within {start_timeout_s:g} s, its log ends with:\n{tail}")
            yield Server(url, process.pid, Path(log.name))
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _becomes_ready(process: subprocess.Popen[bytes], url: str, timeout_s: float) -> bool:
    ends_at = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < ends_at:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=POLL_S * 10):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
