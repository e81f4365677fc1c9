"""Speech made slower or faster at its own pitch, as it comes: WSOLA (Verhelst and Roelands, 1993) from audiotsm.

WSOLA repeats or leaves out whole periods of the voice, so its pitch, its timbre and its consonants stay as they were,
and what it makes does not depend on how the input is cut. It holds back 38 to 68 ms of its input: see `latency`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.base import ModelError, Pcm

if TYPE_CHECKING:
    from audiotsm.base import AnalysisSynthesisTSM

MIN_SPEED, MAX_SPEED = 0.5, 2.0

_HOP_S = 0.015
"""Half a frame. A frame has to hold two periods of the voice: 30 ms is enough for 67 Hz."""

_TOLERANCE_S = 0.0075
"""How far a frame may be moved to where it fits best: a period of 67 Hz in all, in both directions together."""

_FADE_S = 0.003


class Stretcher:
    """Takes one piece of speech and gives `place(its length)` samples for it; then it takes the next.

    A sound lies within 7.5 ms of its place (WSOLA's tolerance); this never adds up.
    """

    def __init__(self, sample_rate: int, speed: float) -> None:
        """`speed` is from 0.5 to 2. Raises ModelError where audiotsm is not installed."""
        try:
            from audiotsm import wsola
            from audiotsm.io.array import ArrayReader, ArrayWriter
        except ImportError:
            raise ModelError(
                f"A speed other than 1 needs the package 'audiotsm' with this model, and it is not installed: "
                f"a speed of 1 was expected, but {speed} came."
            ) from None
        self._reader, self._writer = ArrayReader, ArrayWriter
        self._speed = speed
        self._hop = max(4, round(_HOP_S * sample_rate))
        self._tolerance = round(_TOLERANCE_S * sample_rate)
        self._wsola: AnalysisSynthesisTSM = wsola(
            channels=1, speed=speed, frame_length=2 * self._hop, synthesis_hop=self._hop, tolerance=self._tolerance
        )
        num_fade = round(_FADE_S * sample_rate)
        self._fade = (np.arange(num_fade, dtype=np.float32) + 0.5) / num_fade
        self.begin()

    def begin(self, num_taken: int = 0, num_given: int = 0, last_given: int = 0) -> None:
        """Start a piece, or go on in the middle of one, after the last sample that another stretcher has given."""
        self._wsola.clear()
        self._num_frames = 0
        self._first_taken = self.num_taken = num_taken  # samples of input since the piece began
        self._first_given = self.num_given = num_given  # samples of output
        self._taken: Pcm = np.empty(0, np.int16)  # the latest input
        self._before = self.last_given = last_given

    @property
    def latency(self) -> int:
        """The most input that it may hold back, in samples: half a frame, and what the next frame is looked for in."""
        return 2 * self._hop + self._tolerance + math.ceil(self._hop * self._speed)

    def place(self, sample: int) -> int:
        """Where a sample of the piece's input is in its output."""
        return self._first_given + round((sample - self._first_taken) / self._speed)

    @property
    def pending(self) -> Pcm:
        """The input whose place is not given yet."""
        num_placed = self._first_taken + round((self.num_given - self._first_given) * self._speed)
        num_pending = min(max(0, self.num_taken - num_placed), len(self._taken))
        return self._taken[len(self._taken) - num_pending :]

    def push(self, pcm: Pcm) -> Pcm:
        """Take more of the piece; give what is ready of it, which may be nothing."""
        self.num_taken += len(pcm)
        self._taken = np.concatenate((self._taken, pcm))[-self.latency :]
        return self._give(self._stretch(pcm.astype(np.float32)))

    def finish(self) -> Pcm:
        """The rest of the piece, faded out: the next one may go on from anywhere."""
        missing = self.place(self.num_taken) - self.num_given
        rest = self._stretch(np.zeros(self.latency, np.float32))[:missing]
        num_fade = min(len(self._fade), missing)
        rest[missing - num_fade :] *= self._fade[:num_fade][::-1]
        pcm = self._give(rest)
        self.begin()
        return pcm

    def _stretch(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        reader, writer = self._reader(samples[np.newaxis]), self._writer(1)
        is_drained = False
        while not (is_drained and reader.empty):
            self._wsola.set_speed(self._next_hop() / self._hop)
            self._wsola.read_from(reader)
            num_written, is_drained = self._wsola.write_to(writer)
            self._num_frames += num_written > 0
        stretched: NDArray[np.float32] = writer.data[0]
        return stretched

    def _next_hop(self) -> float:
        """Samples of input from this frame to the next: whole ones that add up to the speed; audiotsm rounds down."""
        in_hop = self._hop * self._speed
        return round((self._num_frames + 1) * in_hop) - round(self._num_frames * in_hop) + 0.5

    def _give(self, samples: NDArray[np.float32]) -> Pcm:
        """Faded in from the sample before, where the piece begins: its first period does not follow upon the last."""
        fade = self._fade[self.num_given - self._first_given :][: len(samples)]
        samples[: len(fade)] = fade * samples[: len(fade)] + (1 - fade) * self._before
        pcm: Pcm = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
        self.num_given += len(pcm)
        self.last_given = int(pcm[-1]) if len(pcm) else self.last_given
        return pcm
