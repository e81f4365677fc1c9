"""One stream inside the engine."""

from __future__ import annotations

from collections.abc import Hashable

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
        "finished",
        "generation",
        "key",
        "lead_samples",
        "num_patches",
        "num_sealed",
        "num_spoken",
        "session",
        "slot",
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
    ) -> None:
        self.key = key
        self.session = session
        self.slot = slot
        self.generation = generation
        self.clock = clock
        self.lead_samples = lead_samples
        self.num_sealed = 0
        self.num_spoken = 0
        self.num_patches = 0
        self.finished = False
        self.text_at = 0.0  # when the present segment was sealed
        self.version = 0  # the scheduler's: grows whenever its place in the order may have changed

    @property
    def has_work(self) -> bool:
        return self.num_spoken < self.num_sealed

    @property
    def is_over(self) -> bool:
        return self.finished and not self.has_work

    def deadline(self, now: float) -> float:
        """When its next patch is due at the listener (monotonic seconds); infinity for background work."""
        if self.lead_samples is None:
            return float("inf")
        dry_at = self.clock.dry_at()
        if dry_at is not None and dry_at > self.text_at:
            return dry_at
        if self.clock.is_held:
            return now + HELD_TARGET_S + self.clock.lead(now) / self.clock.rate_hz
        return self.text_at + STARTUP_TARGET_S

    def eligible_at(self) -> float | None:
        """From when on it may be scheduled; None: not until it is told more."""
        if self.lead_samples is None:
            return float("-inf")
        return self.clock.room_at(self.lead_samples)
