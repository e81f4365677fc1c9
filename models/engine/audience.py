"""Who is spoken to, and who cannot be any more. The engine keeps one, and so does each web process for its own."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto

from .outlook import Prospects

SLOW = "this machine speaks more slowly than real time, and so to one listener at a time"
FULL = "this machine has no time left to speak to another listener without gaps"
CROWDED = "too many listeners wait for their first words at once"

MAX_FIRST_AUDIO_S = 1.0
"""Who would wait longer than that is refused: another try may well be heard sooner. But a machine that takes as long
for a listener who is alone is what it is."""

MIN_RETRY_MS, MAX_RETRY_MS = 250, 30_000


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


@dataclass(frozen=True, slots=True)
class Busy:
    """There is no room: one sentence, and when another try makes sense."""

    message: str
    retry_after_ms: int

    @classmethod
    def after(cls, reason: str, wait_s: float, first_audio_s: float) -> Busy:
        """When there will be room in so long, and first audio in so long from then on."""
        retry_after_ms = round(min(max(1000 * wait_s, MIN_RETRY_MS), MAX_RETRY_MS))
        expected_s = wait_s + first_audio_s
        expected = f"{expected_s:.1f} s" if expected_s < 10 else f"{expected_s:.0f} s"
        return cls(f"{reason}; first audio is expected in about {expected}", retry_after_ms)


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

    def refusal(self, session: Hashable, ear: Ear, prospects: Prospects, *, frees_others: bool = False) -> Busy | None:
        """Why this session cannot have another stream, by what the engine can do; None if it can.

        `frees_others`: the session's other streams end. A session that is alone is never refused.
        """
        ears = self._sessions.get(session)
        if self.num_sessions == (ears is not None):
            return None
        if prospects.is_slow:
            return Busy.after(SLOW, max(1, self.num_listeners) * prospects.vacancy_s, prospects.alone_s)
        before = dict(ears or {})
        after = {} if frees_others else dict(before)
        after[ear] = after.get(ear, 0) + 1
        more = _num_listeners(after) - _num_listeners(before)
        if more <= 0:
            return None
        too_many = self.num_listeners + more - prospects.capacity
        if too_many > 0:
            return Busy.after(FULL, max(1, too_many) * prospects.vacancy_s, prospects.first_audio_s)
        if prospects.first_audio_s > max(MAX_FIRST_AUDIO_S, 2 * prospects.alone_s):
            return Busy.after(CROWDED, prospects.first_audio_s - MAX_FIRST_AUDIO_S, MAX_FIRST_AUDIO_S)
        return None

    def _count(self, session: Hashable, ear: Ear, change: int) -> None:
        ears = self._sessions.setdefault(session, {})
        self.num_listeners -= _num_listeners(ears)
        ears[ear] = ears.get(ear, 0) + change
        self.num_listeners += _num_listeners(ears)
        if not any(ears.values()):
            del self._sessions[session]


def _num_listeners(ears: dict[Ear, int]) -> int:
    return ears.get(Ear.LISTENS, 0) or min(1, ears.get(Ear.WAITS, 0))
