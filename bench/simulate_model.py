"""A speech model of the simulator: it says nothing, in the time that a step model says it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from models.base import History, ModelInfo, Patch, SpeechParams, Voice

from .simulate_times import StepModel

RATE_HZ = 1000
PATCH_SAMPLES = 160
PATCH_S = PATCH_SAMPLES / RATE_HZ
SEGMENT_TOKENS = 183
"""What is read in for a segment: some text, and a voice's prompt of ten seconds."""

SILENCE = np.zeros(PATCH_SAMPLES, np.int16)


class VirtualClock:
    """Seconds that pass when somebody says so."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, until: float) -> None:
        self.now = max(self.now, until)


class _Slot:
    __slots__ = ("generation", "growing", "index", "left", "sealed", "segment")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.growing = 0  # patches of the segment that is being written
        self.sealed: deque[int] = deque()
        self.left = 0  # of the segment under way
        self.segment = 0
        self.index = 0


class SimulatedModel:
    """A patch for each character. The device makes one step after the other; whoever waits for it lets time pass.

    `host_s`: what the host needs for a row, half of it before the step and half after it.
    """

    def __init__(self, steps: StepModel, clock: VirtualClock, *, max_slots: int, host_s: float) -> None:
        self._steps = steps
        self._clock = clock
        self._half_host_s = host_s / 2
        self._info = ModelInfo(
            name="simulated",
            sample_rate=RATE_HZ,
            patch_samples=PATCH_SAMPLES,
            languages=("*",),
            voices=(Voice(name="nobody", language="und"),),
            default_voice="nobody",
            max_slots=max_slots,
            max_batch=steps.rows[-1],
            buckets=steps.rows,
        )
        self._slots: dict[int, _Slot] = {}
        self._free_at = 0.0
        self.busy_s = 0.0
        self.num_steps = 0
        self.num_rows = 0

    @property
    def info(self) -> ModelInfo:
        return self._info

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        self._slots[slot] = _Slot(generation)

    def extend(self, slot: int, text: str) -> None:
        self._slots[slot].growing += len(text)

    def expect(self, slot: int, text: str) -> None:
        """It reads nothing ahead."""

    def seal(self, slot: int) -> None:
        opened = self._slots[slot]
        opened.sealed.append(opened.growing)
        opened.growing = 0

    def submit(self, slots: Sequence[int]) -> UnderWay:
        patches, stops, num_beginning = [], {}, 0
        for number in slots:
            slot = self._slots[number]
            if not slot.left:
                slot.left = slot.sealed.popleft()
                num_beginning += 1
            slot.left -= 1
            last = slot.left <= 0
            stops[number] = last
            patches.append(
                Patch(
                    slot=number,
                    generation=slot.generation,
                    segment=slot.segment,
                    index=slot.index,
                    pcm=SILENCE,
                    last=last,
                )
            )
            slot.index += 1
            slot.segment += last
        self._clock.now += len(slots) * self._half_host_s
        steps = self._steps
        bucket = steps.bucket(len(slots))
        begins_at = max(self._clock.now, self._free_at)
        reading_s = steps.reading_s(num_beginning * SEGMENT_TOKENS) if num_beginning else 0.0
        self._free_at = begins_at + reading_s + steps.step_s[bucket]
        self.busy_s += self._free_at - begins_at
        self.num_steps += 1
        self.num_rows += len(slots)
        stops_at = begins_at + reading_s + steps.early_s[bucket]
        return UnderWay(self._clock, stops_at, self._free_at, len(slots) * self._half_host_s, patches, stops)

    def close(self, slot: int) -> None:
        del self._slots[slot]

    def reload_voices(self) -> None:
        """There are no others."""

    def shutdown(self) -> None:
        self._slots.clear()


class UnderWay:
    """A step that is over when the clock says so."""

    __slots__ = ("_clock", "_over_at", "_patches", "_stops", "_stops_at", "_told_s")

    def __init__(
        self,
        clock: VirtualClock,
        stops_at: float,
        over_at: float,
        told_s: float,
        patches: Sequence[Patch],
        stops: Mapping[int, bool],
    ) -> None:
        self._clock = clock
        self._stops_at = stops_at
        self._over_at = over_at
        self._told_s = told_s
        self._patches = patches
        self._stops = stops

    @property
    def is_done(self) -> bool:
        return self._clock.now >= self._over_at

    def stops(self) -> Mapping[int, bool]:
        self._clock.wait(self._stops_at)
        return self._stops

    def patches(self) -> Sequence[Patch]:
        self._clock.wait(self._over_at)
        self._clock.now += self._told_s
        return self._patches
