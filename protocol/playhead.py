"""What the server is told of the listener: what has arrived, and what was heard."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from .errors import LocalProtocolError
from .line import Line
from .messages import Playhead
from .passage import Passage

PLAYHEAD_INTERVAL_S: Final = 0.1
"""No more than ten playheads a second."""


class PlayheadTeller:
    """One utterance's, in its own numbers."""

    def __init__(self, line: Line, passage: Passage) -> None:
        self.played: int | None = None
        """Ticks that were heard, as far as the user has told."""
        self.passage = passage
        self._line = line
        self._paused: bool | None = None
        self._next_seq = 0
        self._told_at = 0.0

    def hear(self, played: int, paused: bool | None) -> None:
        """The listener is here."""
        self.played = played
        self._paused = paused if paused is not None else self._paused
        self._told_at = self._line.clock()
        self._tell(self.to_wire(played), paused)

    def take(self, next_seq: int, *, at_once: bool = False) -> None:
        """What has arrived and need not be held: told at both ends at once, ten times a second between."""
        self._next_seq = max(self._next_seq, next_seq)
        now = self._line.clock()
        if at_once or now - self._told_at >= PLAYHEAD_INTERVAL_S:
            self._told_at = now
            self._tell(None, None)

    def tell_again(self) -> None:
        """The server is another, or may not have heard the last."""
        self._tell(self.to_wire(self.played), self._paused)

    def go_on(self, passage: Passage) -> None:
        """Sound that had come, and was not taken, is no longer there."""
        self.passage = passage
        self._next_seq = min(self._next_seq, passage.seq)

    def to_wire(self, played: int | None) -> int | None:
        """What was heard before the present passage is none of its server's business."""
        return None if played is None else max(0, played - self.passage.pts)

    def _tell(self, played: int | None, paused: bool | None) -> None:
        received = max(0, self._next_seq - self.passage.seq)
        # Of one that was over long ago, and is taken only now, the server and we may both have forgotten the id.
        with suppress(LocalProtocolError):
            self._line.post(Playhead(utterance=self.passage.utterance, played=played, received=received, paused=paused))
