"""When playing may start where speech is made more slowly than it is heard (PROTOCOL.md, Pacing). Pure.

Made at `rtf` seconds a second, what is missing of a rest of L seconds takes rtf x (L - buffered), and must not take
longer than that rest sounds: so buffered >= L x (1 - 1 / rtf), and a patch more, since it comes whole. How long it will
be, and how fast it is made, are guesses (outlook.py), hence a margin.
"""

from __future__ import annotations

from typing import Final

from .outlook import Outlook

MARGIN: Final = 1.1
MAX_HELD_S: Final = 240.0
"""Nobody waits for more, and no server makes much more ahead of a listener: a longer speech waits again."""
STALL_S: Final = 3.0
STALL_PATCHES: Final = 25
"""After so long, and so many patches' time, without sound waiting on is of no use: the writer pauses. To begin a
segment takes a model up to twenty patches' time."""
STALL_UNSPOKEN_S: Final = 10.0
STALL_UNSPOKEN_PATCHES: Final = 60
"""The same while there is text that has not sounded: the machine works at it, unless it is one of those things that are
never said (a block of code, a mark)."""


class HeadStart:
    """One utterance: its text as it is given, its sound as it arrives and is taken, and whether to hold it back.

    Ticks and monotonic seconds. `rtf` None: faster than real time, nothing is ever held.
    """

    def __init__(self, rtf: float | None, sample_rate: int) -> None:
        self._outlook = None if rtf is None else Outlook(rtf)
        self._sample_rate = sample_rate
        self._taken_s = 0.0
        self._arrived_at: float | None = None
        self._plays = False

    @property
    def rtf(self) -> float:
        """Seconds of work for a second of the speech that is to come, as told and as seen; 0 where nothing is held."""
        return self._outlook.rtf if self._outlook is not None else 0.0

    @property
    def length_s(self) -> float:
        """What all the text so far will last; 0 where nothing is held."""
        return self._outlook.length_s if self._outlook is not None else 0.0

    @property
    def wait_s(self) -> float:
        """How long it will take until playing may start, or go on; 0 now."""
        outlook = self._outlook
        if outlook is None or self._plays:
            return 0.0
        rtf, rest_s = outlook.rtf, outlook.length_s - self._taken_s
        if rtf <= 1:
            return 0.0
        wanted_s = min(rest_s, MARGIN * rest_s * (1 - 1 / rtf) + outlook.patch_s, MAX_HELD_S)
        return max(0.0, rtf * (wanted_s - (outlook.arrived_s - self._taken_s)))

    def write(self, text: str, now: float) -> None:
        """Text that is to be spoken, too."""
        if self._outlook is not None:
            self._outlook.write(text, now)

    def begin(self, start: int, end: int, ticks: int) -> None:
        """A segment, these code points of the text, begins with what comes next, and sounds from there."""
        if self._outlook is not None:
            self._outlook.begin(start, end, ticks / self._sample_rate)

    def reach(self, position: int, ticks: int) -> None:
        """The text up to this code point sounds up to there."""
        if self._outlook is not None:
            self._outlook.reach(position, ticks / self._sample_rate)

    def arrive(self, ticks: int, now: float) -> None:
        """Sound has come."""
        self._arrived_at = now
        if self._outlook is not None:
            self._outlook.arrive(ticks / self._sample_rate, now)

    def take(self, ticks: int) -> None:
        """Sound goes to the listener."""
        self._taken_s += ticks / self._sample_rate

    def run_dry(self) -> None:
        """The listener has asked for sound, and there is none: to go on as it comes would stutter."""
        self._plays = False

    def holds(self, now: float) -> bool:
        """Whether what has come is to wait."""
        self._plays = self._plays or self.wait_s <= 0 or self.patience_s(now) <= 0
        return not self._plays

    def patience_s(self, now: float) -> float:
        """How long to wait for more sound before what there is is played anyway."""
        outlook = self._outlook
        stall_s, patches = STALL_S, STALL_PATCHES
        if outlook is not None and outlook.has_unspoken:
            stall_s, patches = STALL_UNSPOKEN_S, STALL_UNSPOKEN_PATCHES
        patch_work_s = outlook.pace * outlook.patch_s if outlook is not None else 0.0
        since = now if self._arrived_at is None else self._arrived_at
        return since + max(stall_s, patches * patch_work_s) - now
