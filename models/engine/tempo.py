"""How fast the model speaks, to one listener and to several, as its steps show."""

from __future__ import annotations

from math import inf

MEMORY_S = 10.0
"""Of speech: what was measured so long ago counts for a third."""

JUDGED_S = 0.4
"""Of speech: before there is so much the model is taken for fast enough."""

TRUSTED_S = 3.0
"""Of speech: after so much a mean is one, and bounds another."""

FRESH_S = 0.5
"""Of speech: so long steps of one row say what a step of several is to be compared with."""

MAX_CHANGE = 1.25
"""By so much a step may differ from what such a step is compared as: beyond, the machine has become slower."""

SLOW_ABOVE, FAST_BELOW = 1.0, 0.9
"""Between them a model stays what it was: one that is about as fast as it is heard does not change every second."""

LOAD = 0.9
"""Of its time: who spends more on those who listen has none for a segment that takes longer."""

HEALTHY_STEPS = 50
"""A healthy step may take as long as so many usual ones: reading in a long segment and its voice costs about twenty."""

MAX_STEPS = 20
"""What takes longer than so many usual steps was not the model: another process had the machine."""

MAX_EXACT = 8
"""Steps of more rows are counted together with those of up to twice as many."""


class Tempo:
    """Seconds of work for a second of speech (`rtf`), whether that is slower than real time (`is_slow`), and how many
    listeners it has time for (`capacity`).

    `rtf` is meant for one listener alone, since that is what a listener waits for. Steps of one row show it. When there
    are none, steps of several do: they take so many times as long as they took when there were; and alone, a row costs
    no more than the whole step and no less than its share.
    """

    __slots__ = ("_alone", "_batches", "_since_alone_s", "is_slow")

    def __init__(self) -> None:
        self._alone = _Pace()
        self._batches: dict[int, _Pace] = {}  # by number of rows, or the next power of two
        self._since_alone_s = inf  # of speech
        self.is_slow = False

    @property
    def rtf(self) -> float | None:
        """None before the first speech."""
        return self._alone.cost

    @property
    def capacity(self) -> float:
        """Listeners, of whom each gets a second of speech a second; infinite before anything is known.

        A batch of some size makes so much speech a second; with more listeners there are more such steps. Between a
        size that is kept up with and one that is not, the truth is interpolated.
        """
        paces = [self._alone, *(self._batches[size] for size in sorted(self._batches))]
        known = [(pace.num_rows, pace.cost) for pace in paces if pace.cost is not None and pace.speech_s >= JUDGED_S]
        capacity, kept_up = 0.0 if known else inf, None
        for num_rows, cost in known:
            if cost <= LOAD:
                capacity = max(capacity, LOAD * num_rows / cost if cost else inf)
                kept_up = num_rows, cost
            elif kept_up is not None:
                rows, less = kept_up
                capacity = max(capacity, rows + (num_rows - rows) * (LOAD - less) / (cost - less))
        return max(1.0, capacity)

    def healthy_step_s(self, patch_s: float) -> float:
        """How long a step of `patch_s` of speech may take before something must be wrong with it."""
        return HEALTHY_STEPS * (self.rtf or 0.0) * patch_s

    def took(self, seconds: float, speech_s: float, num_rows: int) -> None:
        """A step of so many rows has made so much speech in all."""
        each_s = speech_s / num_rows
        if num_rows == 1:
            self._since_alone_s = 0.0
            self._alone.add(seconds, each_s)
        else:
            self._take_batch(seconds, each_s, num_rows)
        if self._alone.speech_s >= JUDGED_S:
            self.is_slow = (self.rtf or 0.0) > (FAST_BELOW if self.is_slow else SLOW_ABOVE)

    def _take_batch(self, seconds: float, each_s: float, num_rows: int) -> None:
        self._since_alone_s += each_s
        alone = self._alone
        size = num_rows if num_rows <= MAX_EXACT else 1 << (num_rows - 1).bit_length()
        batch = self._batches.setdefault(size, _Pace())
        batch.add(seconds, each_s, num_rows)
        if alone.cost is None:
            alone.add(seconds, each_s)
        elif self._since_alone_s <= FRESH_S:
            batch.compare(seconds, each_s, alone.cost)
        else:
            alone.add(seconds / batch.times_alone if batch.times_alone else alone.cost * each_s, each_s)
        if batch.cost is not None and batch.speech_s >= TRUSTED_S:
            alone.keep_within(batch.cost / num_rows, batch.cost)


class _Pace:
    """Steps of about so many rows: the work they took for each row's speech."""

    __slots__ = ("_alone_s", "_compared_s", "_rows_s", "speech_s", "work_s")

    def __init__(self) -> None:
        self.work_s = 0.0
        self.speech_s = 0.0  # of each row
        self._rows_s = 0.0  # of all rows
        self._compared_s = 0.0  # of work, and what it would have been alone
        self._alone_s = 0.0

    @property
    def cost(self) -> float | None:
        """Seconds of work for a second of speech to each."""
        return self.work_s / self.speech_s if self.speech_s else None

    @property
    def num_rows(self) -> float:
        return self._rows_s / self.speech_s if self.speech_s else 0.0

    @property
    def times_alone(self) -> float | None:
        return self._compared_s / self._alone_s if self._alone_s else None

    def add(self, seconds: float, each_s: float, num_rows: int = 1) -> None:
        usual_s = (self.cost or 0.0) * each_s
        if usual_s:
            seconds = min(seconds, MAX_STEPS * usual_s)
        kept = max(0.0, 1 - each_s / MEMORY_S)
        self.work_s = kept * self.work_s + seconds
        self.speech_s = kept * self.speech_s + each_s
        self._rows_s = kept * self._rows_s + num_rows * each_s

    def compare(self, seconds: float, each_s: float, cost_alone: float) -> None:
        """With what the same speech would have taken for one row."""
        if self.times_alone:
            seconds = min(seconds, MAX_CHANGE * self.times_alone * cost_alone * each_s)
        kept = max(0.0, 1 - each_s / MEMORY_S)
        self._compared_s = kept * self._compared_s + seconds
        self._alone_s = kept * self._alone_s + cost_alone * each_s

    def keep_within(self, least: float, most: float) -> None:
        self.work_s = min(max(self.work_s, least * self.speech_s), most * self.speech_s)
