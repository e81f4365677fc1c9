"""Dynamic time warping of speech, as it comes, to a score: which frame of the one sounds in which frame of the other.

With each frame of speech the score stands still, goes on by a frame, or leaves one out. The way is looked for in a
window that moves along the score, so neither time nor memory depends on the score's length.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from models.sound_score import Costs, Score

_WINDOW = 400  # frames of the score: 4 s
_FAR = np.float32(1e9)

Row = NDArray[np.uint8]
"""[window]: how many frames of the score before each one its best predecessor lies, 0 to 2."""


class TimeWarp:
    """Takes the costs of the speech's frames. The latest `num_kept` of them can be traced back."""

    def __init__(self, score: Score, *, num_kept: int) -> None:
        self.score = score
        self.num_frames = 0
        self._low = 0  # the window's first frame of the score
        self._width = min(_WINDOW, len(score))
        self._sums = np.full(self._width, _FAR)
        self._sums[0] = 0
        self._rows: deque[tuple[int, Row]] = deque(maxlen=num_kept)

    @property
    def place(self) -> int:
        """The score's frame that the speech has most likely reached."""
        return self._low + int(np.argmin(self._sums))

    def advance(self, frame_costs: Costs, low: int | None = None) -> None:
        """Go on by these frames of speech, [frames, kinds]; the window begins at `low`, or follows the speech."""
        self._move(max(0, self.place - self._width // 3) if low is None else low)
        score, window = self.score, slice(self._low, self._low + self._width)
        heard = frame_costs[:, score.kinds[window]]  # [frames, window]
        standing = score.standing[window]
        passing = score.passing[window][1:-1]
        for frame in range(len(heard)):
            sums = self._sums
            best = sums + standing
            row = np.zeros(self._width, np.uint8)
            if self.num_frames == 0:
                best[1:] = _FAR
                best[1:2] = 0  # speech begins with the first word, or with silence
            else:
                _take_less(best[1:], sums[:-1], row[1:], 1)
                _take_less(best[2:], sums[:-2] + passing, row[2:], 2)
            best += heard[frame]
            self._sums = best
            self._rows.append((self._low, row))
            self.num_frames += 1

    def path(self, place: int) -> NDArray[np.int64]:
        """The score's frame at each of the latest frames of speech, the last of them at `place`; oldest first."""
        places = np.empty(len(self._rows), np.int64)
        for index in range(len(self._rows) - 1, -1, -1):
            places[index] = place
            low, row = self._rows[index]
            place -= int(row[place - low])
        return places

    def end(self) -> int | None:
        """The place where all of the score is over; None when the speech did not get there."""
        ends = self._sums[len(self.score) - 3 - self._low :] if self._low + self._width == len(self.score) else None
        if ends is None or not len(ends) or ends.min() >= _FAR:
            return None
        return len(self.score) - len(ends) + int(np.argmin(ends))

    def _move(self, low: int) -> None:
        low = min(max(low, self._low), len(self.score) - self._width)
        if low > self._low:
            left = self._sums[low - self._low :]
            self._sums = np.concatenate((left, np.full(self._width - len(left), _FAR)))[: self._width]
            self._low = low


def _take_less(best: NDArray[np.float32], other: NDArray[np.float32], row: Row, step: int) -> None:
    """Where the other way costs less, take it, and note its step."""
    is_less = other < best
    np.minimum(best, other, out=best)
    row[is_less] = step
