"""What all utterances of a process share."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

from .config import Config
from .engine_client import EngineClient
from .text.normalizer import Normalizer

MAX_THREADS = 4
"""Of a process for blocking work. Half of what a coder's job takes holds the interpreter, so that two cores is what a
process can use; further threads take turns at it. A frame of Opus cost 694 us with two threads, 793 us with eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """The engine, the normaliser, the threads for blocking work, and the clock (monotonic seconds)."""

    engine: EngineClient
    normalizer: Normalizer
    executor: Executor
    text_timeout_s: float
    utterance_idle_s: float
    clock: Callable[[], float] = time.monotonic

    def close(self) -> None:
        """Work that has not begun is dropped."""
        self.executor.shutdown(wait=False, cancel_futures=True)


def create_studio(config: Config, engine: EngineClient, normalizer: Normalizer) -> Studio:
    num_threads = min(MAX_THREADS, max(2, (cpu_count() or 2) // config.workers))
    return Studio(
        engine=engine,
        normalizer=normalizer,
        executor=ThreadPoolExecutor(num_threads, thread_name_prefix="speech"),
        text_timeout_s=config.text_timeout_ms / 1000,
        utterance_idle_s=config.utterance_idle_ms / 1000,
    )
