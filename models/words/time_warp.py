"""Dynamic time warping of speech, as it comes, to a score: which frame of the one sounds in which frame of the other.

With each frame of speech the score stands still, goes on by a frame, or leaves one out. The way is looked for in a
window that moves along the score, so neither time nor memory depends on the score's length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.words.sound_score import Costs, Score

_WINDOW = 400  # frames of the score: 4 s
_STRIDE = 50  # frames of speech, until the window moves
_FAR = np.float32(1e9)
IMPOSSIBLE = 1e8
_NUM_ENDS = 2  # the last sound, and the silence behind it

Row = NDArray[np.uint8]
"""[window]: how many frames of the score before each one its best predecessor lies, 0 to 2."""


class TimeWarp:
    """Takes the costs of the speech's frames, and traces the likeliest way back."""

    def __init__(self, score: Score, frame_cost: float = 0.0) -> None:
        """`frame_cost` is added for each frame of speech."""
        self.score = score
        self._frame_cost = np.float32(frame_cost)
        self._low = 0  # the window's first frame of the score
        self._width = min(_WINDOW, len(score))
        self._sums = np.full(self._width, _FAR)  # the least cost of each place in the window
        self._sums[0] = 0
        self._rows: list[tuple[int, Row]] = []  # of each frame of speech: the window's first frame, the steps

    @property
    def num_frames(self) -> int:
        """Of speech."""
        return len(self._rows)

    @property
    def place(self) -> int:
        """The score's frame that the speech has most likely reached."""
        return self._low + int(np.argmin(self._sums))

    @property
    def cost(self) -> float:
        """Of the likeliest way so far."""
        return float(self._sums.min())

    @property
    def end(self) -> tuple[float, int]:
        """The cost of the likeliest way to the score's end, and the frame it comes to: silence, or the last sound.

        The cost is beyond `IMPOSSIBLE` when the speech was too short for the score.
        """
        ends = self._sums[max(0, len(self.score) - _NUM_ENDS - self._low) :]
        if self._low + self._width < len(self.score) or not len(ends):
            return float(_FAR), self.place
        best = int(np.argmin(ends))
        return float(ends[best]), len(self.score) - len(ends) + best

    def advance(self, frame_costs: Costs) -> None:
        """Go on by these frames of speech, [frames, kinds]."""
        for start in range(0, len(frame_costs), _STRIDE):
            self._follow()
            self._stride(frame_costs[start : start + _STRIDE])

    def _stride(self, frame_costs: Costs) -> None:
        """Go on within the window."""
        window = slice(self._low, self._low + self._width)
        heard = frame_costs[:, self.score.kinds[window]] + self._frame_cost  # [frames, window]
        standing = self.score.standing[window]
        passing = self.score.passing[window][1:-1]
        for frame in heard:
            sums, best = self._sums, self._sums + standing
            row = np.zeros(self._width, np.uint8)
            if self._rows:
                _take_less(best[1:], sums[:-1], row[1:], 1)
                _take_less(best[2:], sums[:-2] + passing, row[2:], 2)
            else:  # speech begins with silence, or with the first word
                best[1:2] = sums[0]
            self._sums = best + frame
            self._rows.append((self._low, row))

    def path(self, place: int, num_latest: int) -> NDArray[np.int64]:
        """The score's frame at each of the latest frames of speech, the last of them at `place`; oldest first."""
        rows = self._rows[-num_latest:]
        places = np.empty(len(rows), np.int64)
        for index in range(len(rows) - 1, -1, -1):
            places[index] = place
            low, row = rows[index]
            place -= int(row[place - low])
        return places

    def _follow(self) -> None:
        """Move the window: a third of it stays behind the speech."""
        low = min(self.place - self._width // 3, len(self.score) - self._width)
        if low > self._low:
            left = self._sums[low - self._low :]
            self._sums = np.concatenate((left, np.full(self._width - len(left), _FAR)))
            self._low = low


def _take_less(best: NDArray[np.float32], other: NDArray[np.float32], row: Row, step: int) -> None:
    """Where the other way costs less, take it, and note its step."""
    row[other < best] = step
    np.minimum(best, other, out=best)
