"""The end of an utterance that is cancelled at the end of a word which is still to be made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .runs import FADE_MS, faded

WORD_WAIT_S = 1.0
"""So long the end of that word is waited for."""


class Brake:
    """It holds nothing of its utterance but while it waits: a circle would be left to the garbage collector."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._timer: asyncio.TimerHandle | None = None
        self.at: int | None = None
        """The tick where the sound ends; None: it goes on."""

    def apply(self, at: int, give_up: Callable[[int], None]) -> None:
        """Let it end there, at a tick that is not made yet: which `give_up` is told when it was waited for in vain."""
        self.release()
        self.at = at
        self._timer = asyncio.get_running_loop().call_later(WORD_WAIT_S, give_up, at)

    def release(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut(self, pts: int, pcm: bytes) -> bytes | None:
        """What is to be heard of the patch at `pts`, faded out, if the end is in it; None if it is not.

        Where less than a fade would be left of the patch, `at` moves to the end of the fade.
        """
        num_samples = len(pcm) // 2
        if self.at is None or pts + num_samples < self.at:
            return None
        kept = min(num_samples, max(self.at - pts, self._rate_hz * FADE_MS // 1000))
        self.at = pts + kept
        return faded(pcm[: 2 * kept], self._rate_hz)
