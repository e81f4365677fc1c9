"""Starts the engine's process, watches it, and starts it again when it dies or hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from models.base import ModelError

from .engine_client import EngineUnavailable, RemoteEngine

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.5
BACKOFF_MAX_S = 5.0


class EngineProcess:
    """One engine process at a time. `start` waits for the first; `watch` keeps it alive until cancelled."""

    def __init__(self, model_name: str, socket_path: Path, *, start_timeout_s: float, step_timeout_s: float) -> None:
        self._model_name = model_name
        self._socket_path = socket_path
        self._start_timeout_s = start_timeout_s
        self._step_timeout_s = step_timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self.num_restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Until the engine is ready. Raises ModelError when it cannot be: the sentence that the process gave."""
        self._socket_path.unlink(missing_ok=True)
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streaming_server.engine_host",
            self._model_name,
            str(self._socket_path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env=os.environ,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._start_timeout_s):
                line = await process.stdout.readline()
        except TimeoutError:
            await self.stop()
            raise ModelError(f"the voice engine was not ready within {self._start_timeout_s:.0f} s") from None
        if not line:
            raise ModelError("the voice engine ended before it was ready; its log says why")
        report = json.loads(line)
        if "error" in report:
            await process.wait()
            raise ModelError(report["error"])

    async def watch(self, engine: RemoteEngine) -> None:
        """Restart it whenever it ends, or when a step takes longer than the step time-out."""
        backoff_s = 0.0
        while True:
            started_at = time.monotonic()
            await self._until_lost(engine)
            if time.monotonic() - started_at > 10 * BACKOFF_MAX_S:
                backoff_s = 0.0
            await self.stop()
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, max(0.1, 2 * backoff_s))
            self.num_restarts += 1
            try:
                await self.start()
            except ModelError as error:
                log.error("the voice engine did not start again: %s", error)

    async def stop(self) -> None:
        """Kill it, if it lives, and reap it."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _until_lost(self, engine: RemoteEngine) -> None:
        assert self._process is not None
        ended = asyncio.ensure_future(self._process.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=WATCH_EVERY_S)
                if not ended.done() and await self._is_hung(engine):
                    log.error("the voice engine hangs in a step: it is killed, pid=%s", self.pid)
                    return
            log.error("the voice engine ended, exit=%s", self._process.returncode)
        finally:
            ended.cancel()

    async def _is_hung(self, engine: RemoteEngine) -> bool:
        try:
            async with asyncio.timeout(self._step_timeout_s):
                return await engine.ping() > self._step_timeout_s
        except TimeoutError:
            return True
        except EngineUnavailable:
            return False
