"""What a stream was given and what came of it: enough to open another in its place."""

from __future__ import annotations

from collections import deque

from ..base import MAX_EARLIER, History
from .commands import Spoke


class Continuity:
    """Kept beside a stream by whoever listens, fed with each segment's text and with each patch, in order.

    When the stream is lost, `Open` a new one with `history`, say `texts` again, and feed on. Holds the texts that are
    not over, and the latents of two segments, the one under way and the latest that had any, and of a few patches
    earlier.
    """

    __slots__ = (
        "_before",
        "_earlier",
        "_index",
        "_latents",
        "_position",
        "_segment",
        "_segment_start",
        "_text",
        "_texts",
    )

    def __init__(self) -> None:
        self._texts: deque[str] = deque()  # bounded by what a session may have unspoken
        self._segment = 0
        self._index = 0
        self._segment_start = 0  # samples
        self._position = 0  # samples
        self._text = ""  # of the latest segment that is over and left latents
        self._earlier: tuple[bytes, ...] = ()
        self._before: tuple[bytes, ...] = ()
        self._latents: list[bytes] = []

    @property
    def index(self) -> int:
        """Of the patch that comes next."""
        return self._index

    def say(self, text: str) -> None:
        """A segment is to be spoken."""
        self._texts.append(text)

    def take(self, patch: Spoke) -> None:
        """A patch has come. Its segment must have been said."""
        self._index = patch.index + 1
        self._position += len(patch.pcm) // 2
        if patch.latents:
            self._latents.append(patch.latents)
        if patch.last:
            self._segment = patch.segment + 1
            self._segment_start = self._position
            text = self._texts.popleft()
            if self._latents:  # what had no sound leaves nothing: the next goes on from the one before it
                self._text = text
                self._earlier = (*self._earlier, *self._before)[-MAX_EARLIER:]
                self._before, self._latents = tuple(self._latents), []

    @property
    def texts(self) -> tuple[str, ...]:
        """Of the segment under way and those after it."""
        return tuple(self._texts)

    @property
    def history(self) -> History:
        return History(
            segment=self._segment,
            index=self._index,
            segment_start=self._segment_start,
            position=self._position,
            text=self._text,
            earlier=self._earlier,
            before=self._before,
            latents=tuple(self._latents),
        )
