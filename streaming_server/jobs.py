"""Blocking work of one utterance, in an executor, one job at a time and in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

Result = TypeVar("Result")


def tell_nobody(*_: object) -> None:
    """For a callback whose owner is gone."""


class OrderedJobs:
    """Results come back on the event loop in the order of submission.

    A submission without a job runs at once when nothing is before it, so that the common case (plain text, native PCM)
    never leaves the loop. The queue is bounded by what the utterance's pace lets in.
    """

    def __init__(self, executor: Executor, on_error: Callable[[BaseException], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = executor
        self._on_error = on_error
        self._waiting: deque[tuple[Callable[[], Any] | None, Callable[[Any], None], bool]] = deque()
        self._busy = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting) + self._busy

    def submit(
        self, job: Callable[[], Result] | None, then: Callable[[Result], None], *, is_patient: bool = False
    ) -> None:
        """`then` gets the job's result, or None where there is no job.

        A patient job begins a turn of the loop later: what was emitted before it goes out first, and does not share
        the interpreter with it.
        """
        if self._closed:
            return
        self._waiting.append((job, then, is_patient))
        if not self._busy:
            self._advance()

    def close(self) -> None:
        """What waits is dropped; a running job's result is ignored, and nobody is told any more.

        So whoever owns the jobs goes with the last reference to it: only a collection finds what refers to itself.
        """
        self._closed = True
        self._waiting.clear()
        self._on_error = tell_nobody

    def _advance(self) -> None:
        while self._waiting and not self._busy:
            job, then, is_patient = self._waiting.popleft()
            if job is None:
                self._busy = True  # a submission made inside `then` waits its turn
                try:
                    then(None)
                finally:
                    self._busy = False
                continue
            self._busy = True
            if is_patient:
                self._loop.call_soon(self._begin, job, then)
            else:
                self._begin(job, then)

    def _begin(self, job: Callable[[], Any], then: Callable[[Any], None]) -> None:
        if not self._closed:
            future = self._loop.run_in_executor(self._executor, job)
            future.add_done_callback(lambda done: self._finish(done, then))

    def _finish(self, done: asyncio.Future[Any], then: Callable[[Any], None]) -> None:
        if done.cancelled() or self._closed:
            return
        error = done.exception()
        if error is not None:
            on_error = self._on_error
            self.close()
            on_error(error)
            return
        try:
            then(done.result())
        finally:
            self._busy = False
            self._advance()
