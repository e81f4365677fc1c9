"""The model's steps: two under way, where the model can."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from ..base import Failure, Patch, SpeechModel
from .commands import Spoke
from .flight import Flight
from .scheduler import Scheduler
from .sequence import Sequence
from .step_times import StepTimes
from .streams import Streams
from .tempo import Tempo
from .witness import Fault, Phase, Witness

log = logging.getLogger(__name__)

MAX_FAILED_STEPS = 8
"""So many failed steps in a row, and the model is taken for broken (a lost device fails every step)."""

SLOW_STEP_S = 1.0
"""A step that takes longer is counted, unless steps are like that here."""


class Steps:
    """Submits rows and tells what comes of them, in the order of their submission.

    A model whose steps are not over when they are submitted has two under way: the next one is put together as soon as
    it is known which segments end with the present one, and submitted before the present one's patches are read. So
    what the host does for one step it does while the device works on the next.

    A step of those on trial has nothing under way beside it. They take turns with all others: who is ahead of its
    listener by then may bridge what comes of the trial.
    """

    def __init__(
        self,
        model: SpeechModel,
        scheduler: Scheduler,
        streams: Streams,
        times: StepTimes,
        clock: Callable[[], float],
        witness: Witness,
    ) -> None:
        self._model = model
        self._scheduler = scheduler
        self._streams = streams
        self._times = times
        self._clock = clock
        self._witness = witness
        self._num_submitted = 0
        info = model.info
        self._rate_hz = info.sample_rate
        self._patch_samples = info.patch_samples
        self._max_rows = info.max_batch
        self._flight: Flight | None = None  # the step under way, if its patches are yet to be told
        self._landed_at = 0.0
        self._num_failed_in_a_row = 0
        self._was_trial = False  # the latest step
        self.awaits_suspects = False  # one came since the latest turn, and more may: they are tried together
        self.tempo = Tempo()

    @property
    def is_under_way(self) -> bool:
        return self._flight is not None

    @property
    def is_broken(self) -> bool:
        return self._streams.is_broken or self._num_failed_in_a_row >= MAX_FAILED_STEPS

    def turn(self) -> tuple[int, float] | None:
        """Submit a step for the most urgent streams, and tell the patches of one: of the same if it is over, else of
        the one submitted before. The rows of that, and when it began; None where there was none."""
        over, self._flight = self._flight, None
        if over is not None and not self._read_stops(over):
            over = None
        has_trial, self.awaits_suspects = self._scheduler.has_trial and not self.awaits_suspects, False
        on_trial = has_trial and not self._was_trial
        rows = [] if over is not None and (on_trial or over.on_trial) else self._select(over is not None, on_trial)
        if over is None and not rows and has_trial:
            on_trial, rows = True, self._select(False, True)
        if rows:
            self._was_trial = on_trial
        flight = self._submit(rows, on_trial=on_trial) if rows else None
        if over is None and flight is not None and flight.is_done:
            over = flight
        else:
            self._flight = flight
        began_at = 0.0
        if over is not None:
            began_at = max(over.submitted_at, self._landed_at)
            self._land(over, began_at)
        if rows and flight is None and not self._streams.is_broken:
            failed = [row.key for row in rows if not row.is_gone]  # only now: what was under way for them has been told
            for key in failed:
                self._streams.fail(key, num_suspects=len(failed), on_trial=on_trial)
        return None if over is None else (over.num_rows, began_at)

    def drop(self) -> None:
        """Nobody is told of what is under way."""
        self._flight = None

    def _select(self, is_behind: bool, on_trial: bool) -> list[Sequence]:
        """The rows of the next step; `is_behind`: it begins when another is over."""
        max_rows = 1 if self._scheduler.one_after_the_other else self._max_rows
        if on_trial:
            return self._scheduler.select_on_trial(max_rows)
        return self._scheduler.select(self._clock(), max_rows, num_under_way=is_behind)

    def _submit(self, rows: list[Sequence], *, on_trial: bool) -> Flight | None:
        """None where the model raised."""
        flight, submitted_at = None, self._clock()
        num_beginning = sum([not row.is_begun for row in rows])
        self._num_submitted = number = self._num_submitted + 1
        phase = Phase.PREFILL if num_beginning else Phase.DECODE
        self._witness.begins_step(number, phase, [(row.key, row.num_submitted) for row in rows], on_trial=on_trial)
        with self._streams.net(()):
            pending = self._model.submit([row.slot for row in rows])
            flight = Flight(pending, rows, submitted_at, num_beginning, number=number, on_trial=on_trial)
            for row in rows:
                row.awaits_stop = row.is_begun = True
                row.num_submitted += 1
                row.num_on_trial -= on_trial
        if flight is None and not self._streams.is_broken:
            self._witness.ends_step(number)
        self._num_failed_in_a_row += flight is None
        return flight

    def _read_stops(self, flight: Flight) -> bool:
        """Count its patches as spoken, so that those rows may be in the next step; False where the model raised."""
        stops = None
        with self._streams.net(flight.streams(), flight):
            flight.stops = stops = flight.pending.stops()
        if stops is None:
            self._num_failed_in_a_row += 1
            self._end(flight)
            return False
        now = self._clock()
        for slot, row in flight.rows.items():
            last = stops.get(slot)
            if last is not None and not row.is_gone:
                row.learn_stop(last)
                row.under_way = self._patch_samples
                self._scheduler.update(row, now)
        return True

    def _land(self, flight: Flight, began_at: float) -> None:
        """The step is over: tell what it brought."""
        self._num_failed_in_a_row += 1
        with self._streams.net(flight.streams(), flight):
            results = flight.pending.patches()
            now = self._landed_at = self._clock()
            self._measure(flight, now - began_at, sum([len(each.pcm) for each in results if isinstance(each, Patch)]))
            each_s = (now - began_at) / flight.num_rows
            rows = flight.rows
            for result in results:
                row = rows.get(result.slot)
                if row is None or row.generation != result.generation:
                    continue  # a late patch: its stream is over
                del rows[result.slot]
                if row.is_gone:
                    continue
                if isinstance(result, Failure):
                    self._witness.fault(Fault.UNSOUND)
                    self._streams.fail(row.key, result.message)
                elif result.pcm.dtype != np.int16 or result.pcm.ndim != 1:
                    log.error("the model made a patch of %s", result.pcm.dtype)
                    self._streams.num_errors += 1
                    self._witness.fault(Fault.UNSOUND)
                    self._streams.fail(row.key)
                else:
                    self._deliver(row, result, flight.stops.get(result.slot), now, each_s)
            num_missing = sum(1 for _ in flight.streams())
            if num_missing:
                raise ValueError(f"expected a result for each of {flight.num_rows} slots, {num_missing} are missing")
            self._num_failed_in_a_row = 0
        self._end(flight)

    def _end(self, flight: Flight) -> None:
        """Whatever came of it. Of a lost device it stays known what was under way."""
        if not self._streams.is_broken:
            self._witness.ends_step(flight.number)

    def _measure(self, flight: Flight, seconds: float, num_samples: int) -> None:
        if seconds > max(SLOW_STEP_S, self.tempo.healthy_step_s(self._patch_samples / self._rate_hz)):
            self._witness.fault(Fault.SLOW)
        self._scheduler.took(seconds)
        self._times.took(seconds, flight.num_rows, flight.num_beginning)
        evened_s = self._times.evened(seconds, flight.num_rows, flight.num_beginning)
        self.tempo.took(evened_s, num_samples / self._rate_hz, flight.num_rows)

    def _deliver(self, row: Sequence, patch: Patch, told_last: bool | None, now: float, seconds: float) -> None:
        """`told_last`: what was learnt before of whether its segment ends here; None: nothing."""
        streams, pcm, last = self._streams, patch.pcm.tobytes(), patch.last
        words, latents = patch.words, patch.latents
        streams.events.append(Spoke(row.key, patch.segment, patch.index, pcm, words, latents, last, seconds))
        num_samples = len(pcm) // 2
        # What was counted on is what came, unless the listener ran dry meanwhile or the patch is a short one.
        was_dry = row.clock.emit(num_samples, now)
        is_as_expected = told_last is last and num_samples == row.under_way and not was_dry
        row.under_way = 0
        row.num_spoken += last
        if row.is_starting:
            streams.has_begun(row)
        if told_last is None:
            row.learn_stop(last)
        elif told_last is not last:
            log.error("the model said that a segment would end, or go on, and it did not")
            streams.num_errors += 1
            streams.fail(row.key)
            return
        if row.is_over:
            streams.close(row)
        elif not is_as_expected:
            self._scheduler.update(row, now)
