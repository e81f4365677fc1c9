"""Starts the engine's process, watches it, and starts it again when it dies or hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.base import ModelError, ModelOptions
from models.engine import Fault

from .engine_client import EngineUnavailable, RemoteEngine
from .engine_faults import FaultCounts
from .engine_lifeline import Lifeline
from .engine_link import HURRY, pack_options
from .engine_port import Shared
from .engine_record import LastWords

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.5
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 5.0
SETTLED_S = 5.0
"""An engine that lived this long is started again at once; one that keeps dying, after growing pauses. Not so where it
died of those on trial: there will be fewer of them, and all wait for the verdict."""


def backed_off_s(backoff_s: float) -> float:
    """The next pause before a start, after one of so long."""
    return min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, 2 * backoff_s))


class EngineProcess:
    """One engine process at a time. `start` waits until it is ready; `watch` keeps one alive until cancelled; `stop`
    comes last. `host` is the module that is run, with `engine_host`'s arguments and report; `name` is for the log.

    `start_timeout_s` counts from the host's last sign of life. A step may take `step_timeout_s`, and with a model whose
    steps are slow as long as those let expect.
    """

    def __init__(
        self,
        model_name: str,
        socket_path: Path,
        *,
        start_timeout_s: float,
        step_timeout_s: float,
        options: ModelOptions | None = None,
        log_level: str = "info",
        log_format: str = "text",
        host: str = "streaming_server.engine_host",
        name: str = "the voice engine",
    ) -> None:
        self._name = name
        self.socket_path = socket_path
        self._start_timeout_s = start_timeout_s
        self._step_timeout_s = step_timeout_s
        self._command: tuple[str, ...] = (
            sys.executable,
            "-P",
            "-m",
            host,
            model_name,
            pack_options(options or ModelOptions()),
            str(socket_path),
            log_level,
            log_format,
        )
        self._shared = Shared.beside(socket_path)  # by those names, also when the socket has got another
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: Lifeline | None = None
        self._is_ending = asyncio.Event()
        self._has_files = False
        self._ends_unasked = False
        self.num_restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, *, hurries: bool = False) -> None:
        """Until the engine is ready. Raises ModelError when it cannot be: the sentence that the process gave."""
        self.socket_path.unlink(missing_ok=True)
        self._has_files, self._ends_unasked = True, False
        self._is_ending.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *((HURRY,) if hurries else ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C is for us; the engine ends when we do
        )
        try:
            await self._until_ready(self._process)
            self._hold_on()
        except BaseException:
            await self.stop()
            raise

    async def watch(self, engine: RemoteEngine) -> None:
        """Restart it whenever it ends, hangs in a step for longer than the step time-out, or cannot be reached."""
        backoff_s = 0.0
        while True:
            started_at = time.monotonic()
            await self.until_lost(engine)
            is_settled = time.monotonic() - started_at > SETTLED_S or self.died_on_trial
            await self.stop()
            if is_settled:
                backoff_s = 0.0
            await asyncio.sleep(backoff_s)
            backoff_s = backed_off_s(backoff_s)
            self.num_restarts += 1
            try:
                await self.start(hurries=True)
            except (ModelError, OSError) as error:
                log.error("%s did not start again: %s", self._name, error)

    async def stop(self) -> None:
        """`kill` it, and wait until all that it had is free."""
        self.kill()
        process = self._process
        if process is None:
            return
        await process.wait()
        if self._ends_unasked:
            self._ends_unasked = False
            self._count(Fault.KILLED if (process.returncode or 0) < 0 else Fault.EXITED)
            log.error("%s ended, exit=%s", self._name, process.returncode)

    def kill(self) -> None:
        """If it lives; and remove its files: who has mapped its steps may still read them."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # its own `kill` may reap it first, and how it ended is lost
        if self._lifeline is not None:
            self._lifeline.let_go()
            self._lifeline = None
        if self._has_files:
            self._has_files = False
            for path in (self.socket_path, self._shared.steps, self._shared.lifeline):
                path.unlink(missing_ok=True)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        doing = ""
        while True:
            report = await self._report(process, doing)
            match report:
                case {"doing": str(doing)}:
                    log.info("%s %s", self._name, doing)
                case {"error": error}:
                    raise ModelError(error)
                case _:
                    return

    async def _report(self, process: asyncio.subprocess.Process, doing: str) -> Any:
        """The host's next line. Raises ModelError when it ends, or says nothing for too long."""
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._start_timeout_s):
                line = await process.stdout.readline()
        except TimeoutError:
            since = f" of the last that it said, that it {doing}" if doing else ""
            raise ModelError(f"{self._name} was not ready within {self._start_timeout_s:g} s{since}") from None
        if not line:
            raise ModelError(f"{self._name} ended before it was ready; its log says why")
        return json.loads(line)

    def take_over(self, socket_path: Path) -> None:
        """From now on it is found at that path, which nobody uses any more."""
        self.socket_path.rename(socket_path)
        self.socket_path = socket_path

    async def until_lost(self, engine: RemoteEngine) -> None:
        """It ends or has ended, hangs in a step for longer than the step time-out, or cannot be reached."""
        process = self._process
        assert process is not None
        reached_at = time.monotonic()
        while process.returncode is None and not self._is_ending.is_set():
            try:
                async with asyncio.timeout(WATCH_EVERY_S):
                    await self._until_ending(process)
            except TimeoutError:
                if engine.ready:
                    reached_at = time.monotonic()
                if await self._is_hung(engine) or time.monotonic() - reached_at > 2 * self._step_timeout_s:
                    log.error("%s hangs: it is killed, pid=%s", self._name, self.pid)
                    self._count(Fault.HUNG)
                    return
        self._ends_unasked = True

    async def _until_ending(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.TaskGroup() as tasks:
            ways = [tasks.create_task(process.wait()), tasks.create_task(self._is_ending.wait())]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()

    def _hold_on(self) -> None:
        with suppress(OSError):  # a host without one: its end comes later
            self._lifeline = Lifeline(self._shared.lifeline, self._is_ending.set)

    @property
    def died_on_trial(self) -> bool:
        """Not of what others say. To be asked before it is stopped."""
        try:
            last_words = LastWords(self._shared.steps, self._process.pid if self._process is not None else 0)
        except (OSError, ValueError):
            return False
        blame = last_words.blame()
        last_words.close()
        return blame.on_trial and bool(blame.streams)

    def _count(self, kind: Fault) -> None:
        try:
            FaultCounts(self._shared.faults).count(kind)
        except OSError as error:  # out of files, say: no reason to leave the engine as it is
            log.warning("a fault of %s is not counted: %s", self._name, error)

    async def _is_hung(self, engine: RemoteEngine) -> bool:
        try:
            async with asyncio.timeout(self._step_timeout_s):
                pulse = await engine.ping()
                return pulse.step_age_s > max(self._step_timeout_s, pulse.healthy_s)
        except TimeoutError:
            return True
        except EngineUnavailable:
            return False


SPIN_COUNT = "20000"
"""A model's threads share their cores with web processes: one that waits for another (libgomp) may spin only briefly.
With libgomp's own hundreds of thousands of turns, a step among busy neighbours took ten times as long."""


def child_environment() -> dict[str, str]:
    """Ours, with this code importable from wherever we were started, and without what a model need not know."""
    inherited = {name: value for name, value in os.environ.items() if name != "VOXWIRE_API_KEY"}
    paths = [str(Path(__file__).parents[1]), *filter(None, [inherited.get("PYTHONPATH")])]
    return {"GOMP_SPINCOUNT": SPIN_COUNT, **inherited, "PYTHONPATH": os.pathsep.join(paths)}
