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
    """A slot, its listener's clock, and how much of its text is spoken.

    A patch under way counts as spoken before it is there (`num_made`, `under_way`), so that the next step can be put
    together while the device still works on this one.
    """

    __slots__ = (
        "awaits_stop",
        "clock",
        "ear",
        "finished",
        "generation",
        "is_begun",
        "is_gone",
        "is_starting",
        "is_tried_alone",
        "key",
        "lead_samples",
        "num_made",
        "num_on_trial",
        "num_sealed",
        "num_spoken",
        "num_submitted",
        "number",
        "session",
        "slot",
        "suspended",
        "text_at",
        "under_way",
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
        self.num_sealed = 0  # segments, as all that follow
        self.num_made = 0  # whose last patch is told or under way
        self.num_spoken = 0  # whose last patch is told
        self.num_submitted = 0  # patches since the first opening: the next one's index
        self.num_on_trial = 0  # patches yet to be made in steps with none but those on trial
        self.is_tried_alone = False  # with no other at all
        self.under_way = 0  # samples of a patch whose stop is known and which is not told yet
        self.awaits_stop = False  # submitted, and whether its segment ends with that is not known
        self.is_begun = False  # the segment under way has a patch, told or under way
        self.is_starting = False  # somebody listens for its first words, and its text is there
        self.is_gone = False  # what is still made for it reaches nobody
        self.ear = Ear.LISTENS
        self.finished = False
        self.suspended = False
        self.text_at = 0.0  # when text came to a stream that had none left
        self.version = 0  # the scheduler's: grows whenever its place in the order may have changed

    @property
    def has_work(self) -> bool:
        return self.num_made < self.num_sealed

    @property
    def is_over(self) -> bool:
        return self.finished and self.num_spoken == self.num_sealed

    def learn_stop(self, last: bool) -> None:
        """Whether its segment ends with the patch that it was submitted for: it may be submitted again."""
        self.awaits_stop = False
        self.num_made += last
        self.is_begun = not last

    def deadline(self, now: float) -> float:
        """When its next patch is due at the listener (monotonic seconds). Not for background work, which has none."""
        clock = self.clock
        dry_at = clock.dry_at()
        if dry_at is None:
            return now + HELD_TARGET_S + (clock.lead(now) + self.under_way) / clock.rate_hz
        if self.under_way:
            return max(dry_at, now) + self.under_way / clock.rate_hz
        # A listener who was dry before the text came waits for the text's sake, not for ours.
        return dry_at if dry_at > self.text_at else self.text_at + STARTUP_TARGET_S
