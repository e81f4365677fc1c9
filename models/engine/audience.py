"""Who is spoken to, and who cannot be any more. The engine keeps one, and so does each web process for its own."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto

SLOW = "this machine speaks more slowly than real time, and so to one listener at a time"
FULL = "this machine has no time left to speak to another listener without gaps"


class Ear(Enum):
    """What a stream's listener does."""

    LISTENS = auto()
    WAITS = auto()  # another utterance plays first
    ABSENT = auto()  # background work

    @classmethod
    def of(cls, lead_samples: int | None, held: bool) -> Ear:
        """By what a stream is opened with (`Open`)."""
        if lead_samples is None:
            return cls.ABSENT
        return cls.WAITS if held else cls.LISTENS


class Audience:
    """Sessions and the ears of their streams. Those of a session that wait are one listener together, who comes when
    the others are over; background work has none, it takes what time is left."""

    def __init__(self) -> None:
        self._sessions: dict[Hashable, dict[Ear, int]] = {}
        self.num_listeners = 0

    @property
    def num_sessions(self) -> int:
        return len(self._sessions)

    def join(self, session: Hashable, ear: Ear) -> None:
        self._count(session, ear, 1)

    def leave(self, session: Hashable, ear: Ear) -> None:
        """As it joined."""
        self._count(session, ear, -1)

    def refusal(
        self, session: Hashable, ear: Ear, *, is_slow: bool, capacity: float, frees_others: bool = False
    ) -> str | None:
        """Why this session cannot have another stream, by what the model can do (`Tempo`): one sentence, or None.

        `frees_others`: the session's other streams end. A session that is alone is never refused.
        """
        ears = self._sessions.get(session)
        if self.num_sessions == (ears is not None):
            return None
        if is_slow:
            return SLOW
        before = dict(ears or {})
        after = {} if frees_others else dict(before)
        after[ear] = after.get(ear, 0) + 1
        more = _num_listeners(after) - _num_listeners(before)
        return FULL if more > 0 and self.num_listeners + more > capacity else None

    def _count(self, session: Hashable, ear: Ear, change: int) -> None:
        ears = self._sessions.setdefault(session, {})
        self.num_listeners -= _num_listeners(ears)
        ears[ear] = ears.get(ear, 0) + change
        self.num_listeners += _num_listeners(ears)
        if not any(ears.values()):
            del self._sessions[session]


def _num_listeners(ears: dict[Ear, int]) -> int:
    return ears.get(Ear.LISTENS, 0) or min(1, ears.get(Ear.WAITS, 0))
