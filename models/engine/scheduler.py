"""Earliest deadline first, in steps of the size that the device likes.

A stream's deadline is the moment its listener runs dry. Who is its lead or more ahead waits; who starts is due at once.
When more are pressed than one step takes, sessions share the rows. Background rows fill what is left.

A step is no larger than usual (`StepTimes.usual_rows`) unless more than that are pressed, since whoever comes meanwhile
waits for it. Listeners who have `COMFORT_S` ahead fill up a step that is made for others, and make a small one of their
own when nobody else wants it: so their lead grows while the device would idle, and shrinks first when it does not. Once
it has grown they wait for company, and the device for newcomers.

A model that is slower than real time has no deadline that it could keep. There a listener waits until the rest can be
played without a gap; so a session's streams are served one after the other, in their order, and each far ahead. As long
as several sessions have streams (they began before it was slow) they share by deadline all the same: each of them then
stutters, but to its end, since none is admitted; in any order all but one would fall silent.
"""

from __future__ import annotations

from math import inf

from .agenda import Agenda
from .ready import Background, Live
from .sequence import STARTUP_TARGET_S, Sequence
from .step_times import StepTimes

COALESCE_S = 0.004
"""Streams that become eligible this soon are taken along: fewer, fuller steps for a few milliseconds of lead."""

PRESSED_STEPS = 2
"""Who runs dry within so many steps is pressed: the last moment at which its next patch can still come in time. Sharing
sets in no earlier, since every row that is given out of turn may cost another listener its deadline."""

COMFORT_S = 1.0
"""Ahead of its listener: with so much a stream wants nothing that somebody else could have."""

EASE_S, PATIENCE_S = 0.3, 0.01
"""Who has so much ahead of its listener waits so long for others to make a step with. It costs nobody anything, and a
device that makes a step for each has none of its time left for who comes."""

AHEAD_S = 300.0
"""How far ahead of its listener a stream is made where streams are served one after the other (PROTOCOL.md, Pacing)."""


class Scheduler:
    """A stream that has work is in one of three places: it waits to have room, is live and ready, or is background
    work. `update` puts it there, `select` and `remove` take it out."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        self._step_s = 0.0
        self.one_after_the_other = False  # whoever changes it must `update` every sequence
        self._waiting = Agenda()
        self._patient = Agenda()  # of those who wait, the ones that may wait for company
        self._on_trial: dict[Sequence, None] = {}
        self._live = Live()
        self._background = Background()

    def add(self, sequence: Sequence) -> None:
        self._live.join(sequence)

    def remove(self, sequence: Sequence) -> None:
        self._take_out(sequence)
        self._live.leave(sequence)

    def update(self, sequence: Sequence, now: float) -> None:
        """Place it anew: its text, its clock or its patches have changed."""
        self._take_out(sequence)
        if sequence.num_made == sequence.num_sealed or sequence.awaits_stop or sequence.suspended:
            return
        if sequence.num_on_trial:
            self._on_trial[sequence] = None  # however far ahead: its neighbours wait for the outcome
            return
        lead = sequence.lead_samples
        if lead is None:
            self._background.push(sequence)
            return
        if self.one_after_the_other:
            lead = max(lead, int(AHEAD_S * sequence.clock.rate_hz))
        eligible_at = sequence.clock.room_at(lead, sequence.under_way, now)
        if eligible_at is None:
            return
        deadline = self._urgency(sequence, now)
        if self._is_patient and deadline > now + EASE_S:
            self._patient.push(max(eligible_at, now), sequence)
        elif eligible_at <= now + COALESCE_S:
            self._live.push(deadline, sequence)
        else:
            self._waiting.push(eligible_at, sequence)

    @property
    def has_trial(self) -> bool:
        """Whether somebody on trial is ready. It is to have a step to itself, and nothing under way beside that."""
        return bool(self._on_trial)

    def select_on_trial(self, max_rows: int) -> list[Sequence]:
        """As `select`, of those on trial: all who may be together; then one alone, in the order in which they came."""
        rows = [each for each in self._on_trial if not each.is_tried_alone][:max_rows] or list(self._on_trial)[:1]
        for sequence in rows:
            del self._on_trial[sequence]
        return rows

    def select(self, now: float, max_rows: int, *, num_under_way: int = 0) -> list[Sequence]:
        """Up to `max_rows` sequences for the next step, most urgent first. Each needs an `update` or `remove` after.

        `num_under_way`: steps that are over before that one begins.
        """
        self._ripen(self._waiting, now)
        patient_at = self._patient.first_at()
        if patient_at is not None and patient_at <= now - PATIENCE_S:
            self._ripen(self._patient, now)
        pressed_by = now + (PRESSED_STEPS + num_under_way) * self._step_s
        if self._is_patient:
            return self._fitting(now, max_rows, pressed_by)
        rows = self._live.take(max_rows, pressed_by)
        if len(rows) < max_rows and self._background:
            rows += self._background.take(max_rows - len(rows))
        return rows

    def took(self, seconds: float) -> None:
        """How long a step has taken: the next are expected to take as long, or a little less."""
        self._step_s = max(seconds, 0.9 * self._step_s)

    def next_wake(self) -> float | None:
        """When there is something to do: -inf now, None not before a command comes."""
        if self._background or self._live or self._on_trial:
            return float("-inf")
        waiting_at, patient_at = self._waiting.first_at(), self._patient.first_at()
        if patient_at is None:
            return waiting_at
        return patient_at + PATIENCE_S if waiting_at is None else min(waiting_at, patient_at + PATIENCE_S)

    @property
    def _is_patient(self) -> bool:
        """Whether steps come in sizes, and nobody is begun before all of another is spoken."""
        return bool(self._times.buckets) and not self.one_after_the_other

    def _fitting(self, now: float, max_rows: int, pressed_by: float) -> list[Sequence]:
        """As many as a bucket holds: those who are due whatever that takes, and others as far as it is worth it."""
        rows: list[Sequence] = []
        background, times = self._background, self._times
        self._add(rows, max_rows, pressed_by, until=pressed_by)
        most = max(len(rows), min(max_rows, times.usual_rows))
        self._add(rows, most, pressed_by, until=max(pressed_by, now + STARTUP_TARGET_S))
        num_due = len(rows)
        self._add(rows, most, pressed_by, until=now + COMFORT_S)
        num_fillers = 0
        if not num_due:
            self._add(rows, min(most, times.small_rows) if not rows else most, pressed_by)
            num_fillers = min(len(background), most - len(rows))
        if not rows and not num_fillers:
            return rows
        size = min(max_rows, times.size(len(rows) + num_fillers, num_due))
        for sequence in rows[size:]:
            self._live.push(self._urgency(sequence, now), sequence)
        del rows[size:]
        self._add(rows, size, pressed_by)
        while len(rows) < size and (patient_at := self._patient.first_at()) is not None and patient_at <= now:
            rows.append(self._patient.pop())
        if len(rows) < size and background:
            rows += background.take(size - len(rows))
        return rows

    def _add(self, rows: list[Sequence], most: int, pressed_by: float, *, until: float = inf) -> None:
        """The most urgent with a deadline up to `until`, as long as there are fewer rows than that."""
        if len(rows) < most and self._live.first_at() <= until:
            rows += self._live.take(most - len(rows), pressed_by, until=until)

    def _ripen(self, agenda: Agenda, now: float) -> None:
        """Who has room, or has it soon enough, is ready."""
        while (eligible_at := agenda.first_at()) is not None and eligible_at <= now + COALESCE_S:
            sequence = agenda.pop()
            self._live.push(self._urgency(sequence, now), sequence)

    def _urgency(self, sequence: Sequence, now: float) -> float:
        return sequence.number if self.one_after_the_other else sequence.deadline(now)

    def _take_out(self, sequence: Sequence) -> None:
        sequence.version += 1
        self._on_trial.pop(sequence, None)
        if sequence.lead_samples is None:
            self._background.discard(sequence)
