"""How text flows to the server: in pieces that fit a message, at a rate it takes, and no faster than it is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from math import inf

from .messages import Limits
from .speech import Speech


class TextFlow:
    """The text of all of a client's utterances, which `limits.pending_chars` and `limits.chars_per_s` bound together.

    It stays below half of the first, because the server counts text as pending for longer: until it is spoken, not only
    until a segment tells of it. With manual segmentation a `flush` must come before that much is written.
    It keeps to the second although the server would only read more slowly: a `cancel` would have to wait behind text.
    """

    def __init__(
        self, speeches: Mapping[str, Speech], limits: Callable[[], Limits], clock: Callable[[], float]
    ) -> None:
        self._speeches = speeches
        self._limits = limits
        self._clock = clock
        self._changed = asyncio.Event()
        self._paid_until = -inf

    def look_again(self) -> None:
        """Something was spoken, or is over."""
        self._changed.set()

    def fits_at_once(self, text: str) -> bool:
        """Whether a text can go with its `start`."""
        return len(text) <= self.piece_chars and self._has_room_for(len(text))

    def spend(self, num_chars: int) -> float:
        """Text is sent. Returns the seconds by which it is too early; a second's worth may go at once."""
        now = self._clock()
        self._paid_until = max(self._paid_until, now - 1) + num_chars / max(1, self._limits().chars_per_s)
        return max(0.0, self._paid_until - now)

    async def pieces(self, text: str) -> AsyncIterator[str]:
        """The text in parts, each when there is room for it."""
        start = 0
        while start < len(text):
            while not self._has_room_for(num_chars := min(len(text) - start, self.piece_chars)):
                self._changed.clear()
                await self._changed.wait()
            early_s = self.spend(num_chars)
            if early_s > 0:
                await asyncio.sleep(early_s)
            end = start + min(num_chars, self.piece_chars)  # it may be another server by now
            yield text[start:end]
            start = end

    @property
    def piece_chars(self) -> int:
        """Code points that fit one message, whatever they are: the worst take six bytes, in JSON."""
        limits = self._limits()
        return max(1, min((limits.message_bytes - 1024) // 6, limits.chars_per_s))

    def _has_room_for(self, num_chars: int) -> bool:
        pending = sum(speech.num_pending_chars for speech in self._speeches.values())
        return pending == 0 or pending + num_chars <= self._limits().pending_chars // 2
