"""How long a step of so many rows takes, as measured: what batches are made by."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

MAX_STEP_S = 0.008
"""A newcomer waits for the steps under way: they are kept as short as this while nobody is pressed."""

MAX_TIMES_ALONE = 4.0
"""Where even small steps take long, a step may take as long as so many of the smallest: shorter ones would leave most
of the device idle."""

SMALL_TIMES_ALONE = 2.0
"""The same for a step that nobody has asked for."""

WEIGHT = 0.1
"""Of the newest step in the mean."""

WEIGHT_OF_ROW = 0.0005
"""In the share of rows that begin a segment: a crowd that begins at once does not make it."""

MAX_JUMP = 2.0
"""What takes longer than so many usual steps was not the model alone: another process had the machine."""


class StepTimes:
    """Seconds by number of rows, in steps of `buckets`: the numbers of rows that the model's steps are made for.

    `usual_rows`: the most that a step has while nobody is pressed; `small_rows`: in one that nobody has asked for.
    `begin_s`: what is added for a row whose segment is read in with the step. `is_rehearsing`: steps are made as large
    as they can be, to see what they take.
    """

    __slots__ = (
        "_begin_share",
        "_seconds",
        "_sizes",
        "begin_s",
        "buckets",
        "is_rehearsing",
        "small_rows",
        "usual_rows",
    )

    def __init__(self, buckets: tuple[int, ...], max_rows: int) -> None:
        """Without buckets any number of rows is as good, and the usual step is the largest."""
        self.buckets = tuple(bucket for bucket in buckets if bucket <= max_rows)
        self._seconds: dict[int, float] = {}  # by bucket
        self._sizes: list[int] = []  # those measured, ascending
        self.begin_s = 0.0
        self.is_rehearsing = False
        self._begin_share = 0.0  # of rows, in the long run
        self.small_rows = self.usual_rows = self.buckets[-1] if self.buckets else max_rows

    def down(self, num_rows: int) -> int:
        """The largest bucket of no more rows; 0 if there is none."""
        place = bisect_right(self.buckets, num_rows)
        return self.buckets[place - 1] if place else 0

    def up(self, num_rows: int) -> int:
        """The smallest bucket that holds so many, else the largest."""
        place = bisect_left(self.buckets, num_rows)
        return self.buckets[min(place, len(self.buckets) - 1)]

    def took(self, seconds: float, num_rows: int, num_beginning: int = 0) -> None:
        """A step is over. `num_beginning`: rows whose segment was read in with it."""
        size = self.up(num_rows) if self.buckets else num_rows
        usual_s = self._seconds.get(size)
        if num_beginning and self._sizes:
            expected_s = self.of(num_rows)
            each_s = max(0.0, seconds - expected_s) / num_beginning
            if self.begin_s:
                each_s = min(each_s, MAX_JUMP * self.begin_s)
            self.begin_s += (WEIGHT if self.begin_s else 1.0) * (each_s - self.begin_s)
            if usual_s is not None:
                self._seconds[size] = min(usual_s, seconds)
        elif usual_s is None:
            self._seconds[size] = seconds
            insort(self._sizes, size)
        else:
            self._seconds[size] = usual_s + WEIGHT * (min(seconds, MAX_JUMP * usual_s) - usual_s)
        share = num_beginning / num_rows
        self._begin_share += min(WEIGHT, WEIGHT_OF_ROW * num_rows) * (share - self._begin_share)
        if self.buckets:
            alone_s = self.of(self.buckets[0])
            self.small_rows = self._longest(SMALL_TIMES_ALONE * alone_s)
            if not self.is_rehearsing:
                self.usual_rows = self._longest(max(MAX_STEP_S, MAX_TIMES_ALONE * alone_s))

    def evened(self, seconds: float, num_rows: int, num_beginning: int) -> float:
        """What a step would have taken, had as many of its rows begun a segment as do in the long run."""
        return max(0.0, seconds + (num_rows * self._begin_share - num_beginning) * self.begin_s)

    def of(self, num_rows: int) -> float:
        """Seconds that a step of so many rows is expected to take; 0 before any was measured."""
        sizes = self._sizes
        if not sizes:
            return 0.0
        size = self.up(num_rows) if self.buckets else num_rows
        place = bisect_left(sizes, size)
        if place == len(sizes):
            return self._seconds[sizes[-1]] * size / sizes[-1]  # at most
        above = sizes[place]
        if above == size or not place:
            return self._seconds[above]
        below = sizes[place - 1]
        share = (size - below) / (above - below)
        return (1 - share) * self._seconds[below] + share * self._seconds[above]

    def size(self, num_rows: int, num_due: int) -> int:
        """The bucket for a step when `num_rows` could be in it and `num_due` of them must.

        Fewer rows than there are, if the step is not made for so many; but padding is better than leaving somebody out
        who is due, and better where it gets more speech a second out of the device.
        """
        down, up = self.down(num_rows), self.up(num_rows)
        if down == up or not down or num_due > down:
            return up
        return up if num_rows * self.of(down) > down * self.of(up) > 0 else down

    def _longest(self, most_s: float) -> int:
        """The largest bucket whose step takes no longer.

        What was never tried is: it shows what it takes, and a step that holds more cannot be the shorter one.
        """
        fitting = [size for size in self._sizes if self._seconds[size] <= most_s]
        too_long = [size for size in self._sizes if self._seconds[size] > most_s and size > (fitting or [0])[-1]]
        return self.down(too_long[0] - 1) if too_long else self.buckets[-1]
