"""How text flows to the server: in pieces that fit a message, and no faster than it is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from .connection import Connection
from .speech import Speech


class TextFlow:
    """The text of all of a client's utterances: `limits.pending_chars` bounds them together.

    It stays below half of that, because the server counts text as pending for longer: until it is spoken, not only
    until a segment tells of it. With manual segmentation a `flush` must come before that much is written.
    """

    def __init__(self, speeches: Mapping[str, Speech], connection: Connection) -> None:
        self._speeches = speeches
        self._connection = connection
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Something was spoken, or is over."""
        self._changed.set()

    def fits_at_once(self, text: str) -> bool:
        """Whether a text can go with its `start`."""
        return len(text) <= self._piece_chars and self._has_room_for(len(text))

    async def pieces(self, text: str) -> AsyncIterator[str]:
        """The text in parts, each when there is room for it."""
        for start in range(0, len(text), self._piece_chars):
            piece = text[start : start + self._piece_chars]
            while not self._has_room_for(len(piece)):
                self._changed.clear()
                await self._changed.wait()
            yield piece

    @property
    def _piece_chars(self) -> int:
        """Code points that fit one message, whatever they are: the worst take six bytes, in JSON."""
        return max(1, (self._connection.limits.message_bytes - 1024) // 6)

    def _has_room_for(self, num_chars: int) -> bool:
        pending = sum(speech.num_pending_chars for speech in self._speeches.values())
        return pending == 0 or pending + num_chars <= self._connection.limits.pending_chars // 2
