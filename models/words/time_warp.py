"""Dynamic time warping of speech, as it comes, to scores: which frame of the one sounds in which frame of the other.

With each frame of speech a score stands still, goes on by a frame, or leaves one out. The way is looked for in a
window that moves along the score, so neither time nor memory depends on the score's length. Several scores are
followed in one array: that is as fast as one alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.words.letter_sounds import NUM_KINDS
from models.words.sound_score import Costs, Score

_WINDOW = 400  # frames of the score: 4 s
_STRIDE = 50  # frames of speech, until the window moves
_FAR = np.float32(1e9)
IMPOSSIBLE = 1e8
_NUM_ENDS = 2  # the last sound, and the silence behind it

_MARGIN = 2  # places before each window that nothing gets to: a step leads at most so far
_NOWHERE = NUM_KINDS  # the kind of those, and of what is behind a short score

Row = bytes
"""By margin and window of each score: which ways to a place are better than to stand there, 1 a step, 2 two."""

_STEPS = (0, 1, 2, 2)  # how far the best predecessor lies before a place, by that number


class TimeWarps:
    """Takes the costs of the speech's frames, and traces the likeliest way back through each of the scores."""

    def __init__(self, scores: Sequence[Score], frame_costs: Sequence[float]) -> None:
        """`frame_costs`: what is added for each frame of speech, by score."""
        self._scores = [*scores]
        self._frame_costs = np.array(frame_costs, np.float32)
        self._width = min(_WINDOW, max(map(len, scores)))
        self._lows = [0 for _ in scores]  # each window's first frame of its score
        self._sums = np.full((len(scores), _MARGIN + self._width), _FAR)  # the least cost of each place
        self._sums[:, _MARGIN] = 0
        self._rows: list[tuple[list[int], Row]] = []  # of each frame of speech: the windows' first frames, the ways

    @property
    def num_frames(self) -> int:
        """Of speech."""
        return len(self._rows)

    @property
    def num_scores(self) -> int:
        return len(self._scores)

    @property
    def likeliest(self) -> int:
        """The number of the score that the speech fits best so far."""
        return int(np.argmin(self._sums.min(axis=1)))

    @property
    def likeliest_at_end(self) -> int:
        """The same, of the ways that come to a score's end."""
        return min(range(len(self._scores)), key=self.end)

    def score(self, which: int) -> Score:
        return self._scores[which]

    def place(self, which: int) -> int:
        """The score's frame that the speech has most likely reached."""
        return self._lows[which] + int(np.argmin(self._sums[which])) - _MARGIN

    def end(self, which: int) -> tuple[float, int]:
        """The cost of the likeliest way to the score's end, and the frame it comes to: silence, or the last sound.

        The cost is beyond `IMPOSSIBLE` when the speech was too short for the score.
        """
        num_frames, low = len(self._scores[which]), self._lows[which]
        first = max(0, num_frames - _NUM_ENDS - low)
        ends = self._sums[which, _MARGIN + first : _MARGIN + num_frames - low]
        if low + self._width < num_frames or not len(ends):
            return float(_FAR), self.place(which)
        best = int(np.argmin(ends))
        return float(ends[best]), low + first + best

    def keep(self, which: int) -> None:
        """Follow this score alone from now on; it becomes number 0."""
        stride = _MARGIN + self._width
        part = slice(which * stride, (which + 1) * stride)
        self._rows = [([lows[which]], row[part]) for lows, row in self._rows]
        self._scores = [self._scores[which]]
        self._frame_costs = self._frame_costs[which : which + 1]
        self._lows = [self._lows[which]]
        self._sums = self._sums[which : which + 1].copy()

    def advance(self, frame_costs: Costs) -> None:
        """Go on by these frames of speech, [frames, kinds]."""
        heard = np.pad(frame_costs, ((0, 0), (0, 1)), constant_values=_FAR)  # [frames, kinds + 1]
        for start in range(0, len(heard), _STRIDE):
            self._follow()
            self._stride(heard[start : start + _STRIDE])

    def path(self, which: int, place: int, num_latest: int) -> NDArray[np.int64]:
        """The score's frame at each of the latest frames of speech, the last of them at `place`; oldest first."""
        rows = self._rows[-num_latest:]
        places = [0] * len(rows)
        first = which * (_MARGIN + self._width) + _MARGIN
        for index in range(len(rows) - 1, -1, -1):
            places[index] = place
            lows, row = rows[index]
            place -= _STEPS[row[first + place - lows[which]]]
        return np.array(places, np.int64)

    def _stride(self, heard: Costs) -> None:
        """Go on within the windows: scores, margins and windows lie in one row. `heard`: [frames, kinds + 1]."""
        kinds, standing, passing = self._windows()
        heard = heard.take(kinds, axis=1)  # [frames, places]
        heard += np.repeat(self._frame_costs, _MARGIN + self._width)
        sums = self._sums.reshape(-1)
        best, skipped = np.empty_like(sums), np.empty_like(passing)
        is_step, is_skip = np.zeros((2, *heard.shape), bool)
        begins = not self._rows
        for number, frame in enumerate(heard):
            np.add(sums, standing, out=best)
            np.less(sums[:-1], best[1:], out=is_step[number, 1:])
            np.minimum(best[1:], sums[:-1], out=best[1:])
            if number or not begins:  # speech begins with silence, or with the first word
                np.add(sums[:-2], passing, out=skipped)
                np.less(skipped, best[2:], out=is_skip[number, 2:])
                np.minimum(best[2:], skipped, out=best[2:])
            np.add(best, frame, out=sums)
        lows = [*self._lows]
        ways = is_step.view(np.uint8) | is_skip.view(np.uint8) << 1
        self._rows += [(lows, way.tobytes()) for way in ways]

    def _windows(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Of all places: the kind, the cost of standing there; and of leaving out the one before, from the third on."""
        kinds = np.full(self._sums.shape, _NOWHERE)
        standing, passing = np.zeros((2, *self._sums.shape), np.float32)
        for which, (score, low) in enumerate(zip(self._scores, self._lows, strict=True)):
            window = slice(low, low + self._width)
            num = len(score.kinds[window])
            kinds[which, _MARGIN : _MARGIN + num] = score.kinds[window]
            standing[which, _MARGIN : _MARGIN + num] = score.standing[window]
            passing[which, _MARGIN : _MARGIN + num] = score.passing[window]
        return kinds.reshape(-1), standing.reshape(-1), passing.reshape(-1)[1:-1].copy()

    def _follow(self) -> None:
        """Move the windows: a third of each stays behind the speech."""
        for which, score in enumerate(self._scores):
            low = min(self.place(which) - self._width // 3, len(score) - self._width)
            num_left = low - self._lows[which]
            if num_left > 0:
                sums = self._sums[which, _MARGIN:]
                sums[:-num_left] = sums[num_left:].copy()
                sums[-num_left:] = _FAR
                self._lows[which] = low
