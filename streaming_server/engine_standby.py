"""A second engine that has loaded the model and waits: it takes over when the first one dies or hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from models.base import ModelError

from .engine_client import EngineUnavailable, RemoteEngine
from .engine_process import SETTLED_S, EngineProcess, backed_off_s

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""Whether the voices are still those of the engine that speaks."""

REST_S = 2.0
"""Between a take-over and the start of the next: to load a model costs time that those who have just fallen silent
need. It is cut short when the one that has taken over dies as well."""


class StandbyEngine:
    """As `EngineProcess`, of two processes. Web processes know one socket: whoever takes over gets its name.

    What stands by has no streams and costs no time, but as much memory as what speaks. Once it has taken over another
    is started. It learns voices half a second after the first has.
    """

    def __init__(self, make: Callable[[Path], EngineProcess], socket_path: Path, name: str) -> None:
        """`make`: a process that listens at a path."""
        self._make = make
        self._name = name
        self._socket_path = socket_path
        self._numbers = count(1)
        self._active = make(socket_path)
        self._standby = self._new()
        self._is_ready = asyncio.Event()  # what stands by
        self._is_taken = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._is_trying = False  # what spoke died of those on trial
        self.num_restarts = 0

    @property
    def pid(self) -> int | None:
        return self._active.pid

    @property
    def standby_pid(self) -> int | None:
        """None while there is none that is ready."""
        return self._standby.pid if self._is_ready.is_set() else None

    async def start(self) -> None:
        """Until both are ready. Raises ModelError when one cannot be."""
        try:
            await self._active.start()
            await self._standby.start()
        except BaseException:
            await self.stop()
            raise
        log.info("%s speaks, and a second one stands by", self._name)

    async def watch(self, engine: RemoteEngine) -> None:
        """Until cancelled. `engine`: the connection to whichever speaks."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_standby(engine))
            while True:
                await self._active.until_lost(engine)
                lost = self._active
                self._is_trying = lost.died_on_trial
                lost.kill()
                self.num_restarts += 1
                self._is_wanted.set()
                await self._is_ready.wait()
                self._is_wanted.clear()
                self._active = self._standby
                self._active.take_over(self._socket_path)
                self._is_ready.clear()
                self._is_taken.set()
                log.warning("%s is gone: the one that stood by takes over, pid=%s", self._name, self._active.pid)
                tasks.create_task(lost.stop())  # its memory may take long to be free: nobody waits for that

    async def stop(self) -> None:
        await self._active.stop()
        await self._standby.stop()

    def _new(self) -> EngineProcess:
        return self._make(self._socket_path.with_name(f"{self._socket_path.name}.{next(self._numbers)}"))

    async def _keep_standby(self, engine: RemoteEngine) -> None:
        """The first one has been started."""
        backoff_s, started_at = 0.0, -SETTLED_S
        while True:
            if self._standby.is_alive:
                self._is_ready.set()
                await self._until_gone(engine)
                self._is_ready.clear()
            if self._is_taken.is_set():
                self._is_taken.clear()
                await self._rest()
            else:
                await self._standby.stop()
            is_settled = time.monotonic() - started_at > SETTLED_S or self._is_trying
            backoff_s, self._is_trying = 0.0 if is_settled else backed_off_s(backoff_s), False
            await asyncio.sleep(backoff_s)
            started_at = time.monotonic()
            self._standby = self._new()
            try:
                await self._standby.start(hurries=self._is_wanted.is_set())
            except (ModelError, OSError) as error:
                log.error("no second engine stands by: %s", error)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                await self._is_wanted.wait()

    async def _until_gone(self, engine: RemoteEngine) -> None:
        """What stands by has taken over, has ended, or hangs."""
        async with asyncio.TaskGroup() as tasks:
            remote = RemoteEngine(self._standby.socket_path)
            work = [
                tasks.create_task(remote.run()),
                tasks.create_task(self._follow_voices(engine, remote)),
                lost := tasks.create_task(self._standby.until_lost(remote)),
                taken := tasks.create_task(self._is_taken.wait()),
            ]
            await asyncio.wait((lost, taken), return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                task.cancel()

    async def _follow_voices(self, engine: RemoteEngine, remote: RemoteEngine) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if engine.ready and remote.ready and engine.info.voices != remote.info.voices:
                try:
                    await remote.reload_voices()
                except (ModelError, EngineUnavailable) as error:
                    log.warning("the engine that stands by did not learn the voices: %s", error)
