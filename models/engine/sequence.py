"""One stream inside the engine."""

from __future__ import annotations

from collections.abc import Hashable

from .audience import Ear
from .commands import StreamKey
from .playback import PlaybackClock

STARTUP_TARGET_S = 0.05
"""A newcomer's first patch is due this long after its text: the nearly dry go before it, the comfortable after."""

HELD_TARGET_S = 1.0
"""Nobody listens yet (paused, or another utterance plays first): comfortable, but before background work."""


class Sequence:
    """A slot, its listener's clock, and how much of its text is spoken."""

    __slots__ = (
        "clock",
        "ear",
        "finished",
        "generation",
        "key",
        "lead_samples",
        "num_sealed",
        "num_spoken",
        "number",
        "session",
        "slot",
        "suspended",
        "text_at",
        "version",
    )

    def __init__(
        self,
        key: StreamKey,
        session: Hashable,
        slot: int,
        generation: int,
        clock: PlaybackClock,
        lead_samples: int | None,
        number: int = 0,
    ) -> None:
        self.key = key
        self.session = session
        self.slot = slot
        self.generation = generation
        self.clock = clock
        self.lead_samples = lead_samples  # None: background
        self.number = number  # in the order in which they were opened
        self.num_sealed = 0
        self.num_spoken = 0
        self.ear = Ear.LISTENS
        self.finished = False
        self.suspended = False
        self.text_at = 0.0  # when text came to a stream that had none left
        self.version = 0  # the scheduler's: grows whenever its place in the order may have changed

    @property
    def has_work(self) -> bool:
        return self.num_spoken < self.num_sealed

    @property
    def is_over(self) -> bool:
        return self.finished and self.num_spoken == self.num_sealed

    def deadline(self, now: float) -> float:
        """When its next patch is due at the listener (monotonic seconds). Not for background work, which has none."""
        clock = self.clock
        dry_at = clock.dry_at()
        if dry_at is None:
            return now + HELD_TARGET_S + clock.lead(now) / clock.rate_hz
        # A listener who was dry before the text came waits for the text's sake, not for ours.
        return dry_at if dry_at > self.text_at else self.text_at + STARTUP_TARGET_S
