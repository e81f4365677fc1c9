"""How late the event loop is, and what it is doing when it is much too late."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from pathlib import Path

from .metrics import Metrics

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.05

STALL_S = 0.25
"""A turn of the loop that lasts longer is a fault of ours: its stack goes to the log."""

TELL_EVERY_S = 10.0
"""At most one stack in so long."""

MAX_CALLS = 16


async def watch_loop(metrics: Metrics) -> None:
    """Until it is cancelled."""
    await _LoopWatch(metrics).run()


class _LoopWatch:
    """It takes a thread to look at a loop that stands: it sleeps until the latest beat would be a stall old."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._beat_at = time.monotonic()
        self._ended = threading.Event()
        self._watched = threading.get_ident()

    async def run(self) -> None:
        self._beat_at = time.monotonic()
        watcher = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        watcher.start()
        try:
            while True:
                due_at = time.monotonic() + LOOK_EVERY_S
                await asyncio.sleep(LOOK_EVERY_S)
                self._beat_at = time.monotonic()
                late_s = max(0.0, self._beat_at - due_at)
                self._metrics.loop_lag.observe(late_s)
                if late_s > STALL_S:
                    self._metrics.loop_stalls.inc()
        finally:
            self._ended.set()

    def _watch(self) -> None:
        told_at = -TELL_EVERY_S
        look_s = LOOK_EVERY_S + STALL_S
        while not self._ended.wait(look_s):
            now = time.monotonic()
            stood_s = now - self._beat_at - LOOK_EVERY_S
            look_s = max(LOOK_EVERY_S, STALL_S - stood_s)
            if stood_s > STALL_S and now >= told_at + TELL_EVERY_S:
                told_at = now
                log.warning("the event loop has stood for %.0f ms, at %s", 1000 * stood_s, self._where())

    def _where(self) -> str:
        """The innermost calls, the last one first, in one line."""
        frame = sys._current_frames().get(self._watched)
        calls = traceback.extract_stack(frame, limit=MAX_CALLS) if frame is not None else []
        return " < ".join(f"{call.name} ({Path(call.filename).name}:{call.lineno})" for call in reversed(calls))
