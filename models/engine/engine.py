"""The engine: commands in, steps out. Synchronous, owned by one thread, and the clock is a parameter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ..base import Failure, ModelError, ModelInfo, Patch, SpeechModel
from .audience import Audience, Ear
from .commands import (
    Cancel,
    Closed,
    Command,
    Event,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reloaded,
    ReloadVoices,
    Seal,
    Spoke,
    Step,
    StreamKey,
    Suspend,
)
from .flight import Flight
from .playback import PlaybackClock
from .scheduler import Scheduler
from .sequence import Sequence
from .slots import Slots
from .step_times import StepTimes
from .tempo import Tempo

log = logging.getLogger(__name__)

FAILED = "the voice failed while speaking this text"

MAX_FAILED_STEPS = 8
"""So many failed steps in a row, and the model is taken for broken (a lost device fails every step)."""


class Engine:
    """Runs one model for many streams. `apply` never waits; `step` takes one model step.

    Neither raises: what goes wrong for a stream ends that stream with a `Failed`. `num_errors` counts what the model
    should not have done; once `is_broken`, it is to be shut down. `tempo` tells how fast it is, and so whom it refuses:
    a model that is slower than real time speaks to one session at a time, one row a step and far ahead.

    A model whose steps are not over when they are submitted has two under way: the next one is put together as soon as
    it is known which segments end with the present one, and submitted before the present one's patches are told.
    """

    def __init__(self, model: SpeechModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        info = model.info
        self._slots = Slots(info.max_slots)
        self._rate_hz = info.sample_rate
        self._patch_samples = info.patch_samples
        self._max_rows = info.max_batch
        self._times = StepTimes(info.buckets, info.max_batch)
        self._scheduler = Scheduler(self._times)
        self._audience = Audience()
        self._sequences: dict[StreamKey, Sequence] = {}
        self._events: list[Event] = []
        self._flight: Flight | None = None  # the step under way, if its patches are yet to be told
        self._landed_at = 0.0
        self._num_opened = 0
        self._num_failed_in_a_row = 0
        self.num_errors = 0
        self.tempo = Tempo()

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    @property
    def num_streams(self) -> int:
        return len(self._sequences)

    @property
    def is_broken(self) -> bool:
        return self._num_failed_in_a_row >= MAX_FAILED_STEPS

    @property
    def healthy_step_s(self) -> float:
        """How long a step or a command may take before something must be wrong with it."""
        return self.tempo.healthy_step_s(self.info.patch_ms / 1000)

    def apply(self, command: Command) -> None:
        """Obey. A command for a stream that is over is ignored: it crossed with the end. Failures become events."""
        self._take(command)
        self._order_streams()

    def _take(self, command: Command) -> None:
        with self._net((command.stream,)):
            if isinstance(command, Open):
                self._open(command)
                return
            if isinstance(command, ReloadVoices):
                self._reload_voices(command)
                return
            sequence = self._sequences.get(command.stream)
            if sequence is not None:
                self._obey(sequence, command)
            elif isinstance(command, Cancel):
                self._events = [event for event in self._events if event.stream != command.stream]

    def next_wake(self) -> float | None:
        """When `step` has something to do: -inf at once, None not before the next command."""
        return float("-inf") if self._events or self._flight is not None else self._scheduler.next_wake()

    def step(self) -> Step | None:
        """Submit a step for the most urgent streams, and tell the patches of one that is over: of the same, or of the
        one submitted before. None when there is nothing to tell."""
        started_at = self._clock()
        over, self._flight = self._flight, None
        if over is not None and not self._read_stops(over):
            over = None
        rows = self._select(is_behind=over is not None)
        self._flight = self._submit(rows) if rows else None
        has_failed = bool(rows) and self._flight is None
        if over is None and self._flight is not None and self._flight.is_done:
            over, self._flight = self._flight, None
        num_rows = 0
        if over is not None:
            num_rows = over.num_rows
            started_at = max(over.submitted_at, self._landed_at)
            self._land(over, started_at)
        if has_failed:
            for row in rows:
                if not row.is_gone:
                    self._fail(row.key, FAILED)
        self._order_streams()
        if not self._events:
            return None
        events, self._events = tuple(self._events), []
        return Step(events, num_rows, started_at, self._clock() - started_at)

    def shutdown(self) -> None:
        """Drop all streams without a word, and release the model."""
        for sequence in list(self._sequences.values()):
            self._release(sequence)
        with self._net(()):
            self._model.shutdown()

    def _open(self, command: Open) -> None:
        if command.stream in self._sequences:
            raise ValueError(f"expected a new stream, {command.stream!r} is open")
        ear, tempo = Ear.of(command.lead_samples, command.held), self.tempo
        refusal = self._audience.refusal(command.session, ear, is_slow=tempo.is_slow, capacity=tempo.capacity)
        if refusal is not None:
            self._events.append(Failed(command.stream, refusal, busy=True))
            return
        taken = self._slots.take()
        if taken is None:
            message = f"all {self.info.max_slots} slots of the voice engine are in use"
            self._events.append(Failed(command.stream, message, busy=True))
            return
        slot, generation = taken
        emitted = command.history.position if command.history is not None else 0
        clock = PlaybackClock(self.info.sample_rate, held=command.held, emitted=emitted)
        number, self._num_opened = self._num_opened, self._num_opened + 1
        sequence = Sequence(command.stream, command.session, slot, generation, clock, command.lead_samples, number)
        sequence.ear = ear
        self._sequences[command.stream] = sequence
        self._scheduler.add(sequence)
        self._audience.join(command.session, ear)
        try:
            self._model.open(slot, generation, command.voice, command.params, command.history)
        except ModelError as error:
            self._forget(sequence)
            self._slots.give_back(slot)
            self._events.append(Failed(command.stream, str(error)))

    def _reload_voices(self, command: ReloadVoices) -> None:
        try:
            self._model.reload_voices()
        except ModelError as error:
            self._events.append(Failed(command.stream, str(error)))
        else:
            self._events.append(Reloaded(command.stream, self.info))

    def _obey(self, sequence: Sequence, command: Extend | Seal | Finish | Pace | Suspend | Cancel) -> None:
        match command:
            case Extend() | Seal():
                if not sequence.finished:
                    self._take_text(sequence, command)
            case Finish():
                sequence.finished = True
                if sequence.is_over:
                    self._close(sequence)
            case Pace():
                sequence.clock.follow(command.reading)
                self._scheduler.update(sequence, self._clock())
            case Suspend():
                sequence.suspended = command.suspended
                self._scheduler.update(sequence, self._clock())
            case Cancel():
                self._release(sequence)

    def _take_text(self, sequence: Sequence, command: Extend | Seal) -> None:
        try:
            if isinstance(command, Extend):
                self._model.extend(sequence.slot, command.text)
                return
            self._model.seal(sequence.slot)
        except ModelError as error:
            self._fail(sequence.key, str(error))
            return
        now = self._clock()
        if not sequence.has_work:
            sequence.text_at = now
        sequence.num_sealed += 1
        self._scheduler.update(sequence, now)

    def _select(self, *, is_behind: bool) -> list[Sequence]:
        """The rows of the next step; `is_behind`: it begins when another is over."""
        max_rows = 1 if self._scheduler.one_after_the_other else self._max_rows
        return self._scheduler.select(self._clock(), max_rows, num_under_way=is_behind)

    def _submit(self, rows: list[Sequence]) -> Flight | None:
        """None where the model raised."""
        flight, submitted_at = None, self._clock()
        with self._net(()):
            pending = self._model.submit([row.slot for row in rows])
            flight = Flight(pending, rows, submitted_at, sum([not row.is_begun for row in rows]))
            for row in rows:
                row.awaits_stop = row.is_begun = True
        self._num_failed_in_a_row += flight is None
        return flight

    def _read_stops(self, flight: Flight) -> bool:
        """Count its patches as spoken, so that those rows may be in the next step; False where the model raised."""
        stops = None
        with self._net(flight.streams()):
            flight.stops = stops = flight.pending.stops()
        if stops is None:
            self._num_failed_in_a_row += 1
            return False
        now = self._clock()
        for slot, row in flight.rows.items():
            last = stops.get(slot)
            if last is not None and not row.is_gone:
                row.learn_stop(last)
                row.under_way = self._patch_samples
                self._scheduler.update(row, now)
        return True

    def _land(self, flight: Flight, started_at: float) -> None:
        """The step is over: tell what it brought."""
        self._num_failed_in_a_row += 1
        with self._net(flight.streams()):
            results = flight.pending.patches()
            now = self._landed_at = self._clock()
            seconds = now - started_at
            self._scheduler.took(seconds)
            self._times.took(seconds, flight.num_rows, flight.num_beginning)
            num_samples = sum([len(result.pcm) for result in results if isinstance(result, Patch)])
            self.tempo.took(seconds, num_samples / self._rate_hz, flight.num_rows)
            each_s = seconds / flight.num_rows
            rows = flight.rows
            for result in results:
                row = rows.get(result.slot)
                if row is None or row.generation != result.generation:
                    continue  # a late patch: its stream is over
                del rows[result.slot]
                if row.is_gone:
                    continue
                if isinstance(result, Failure):
                    self._fail(row.key, result.message)
                else:
                    self._deliver(row, result, flight.stops.get(result.slot), now, each_s)
            num_missing = sum(1 for _ in flight.streams())
            if num_missing:
                raise ValueError(f"expected a result for each of {flight.num_rows} slots, {num_missing} are missing")
            self._num_failed_in_a_row = 0

    def _deliver(self, row: Sequence, patch: Patch, told_last: bool | None, now: float, seconds: float) -> None:
        """`told_last`: what was learnt before of whether its segment ends here; None: nothing."""
        pcm, last = patch.pcm.tobytes(), patch.last
        self._events.append(
            Spoke(row.key, patch.segment, patch.index, pcm, patch.words, patch.estimated, patch.latents, last, seconds)
        )
        num_samples, clock = len(pcm) // 2, row.clock
        # What was counted on is what came, unless the listener ran dry meanwhile or the patch is a short one.
        is_as_expected = told_last is last and num_samples == row.under_way and not clock.is_dry(now)
        row.under_way = 0
        clock.emit(num_samples, now)
        row.num_spoken += last
        if told_last is None:
            row.learn_stop(last)
        elif told_last is not last:
            log.error("the model said that a segment would end, or go on, and it did not")
            self.num_errors += 1
            self._fail(row.key, FAILED)
            return
        if row.is_over:
            self._close(row)
        elif not is_as_expected:
            self._scheduler.update(row, now)

    def _close(self, sequence: Sequence) -> None:
        self._release(sequence)
        self._events.append(Closed(sequence.key))

    def _fail(self, stream: StreamKey, message: str) -> None:
        sequence = self._sequences.get(stream)
        if sequence is not None:
            self._release(sequence)
        self._events.append(Failed(stream, message))

    def _release(self, sequence: Sequence) -> None:
        self._forget(sequence)
        with self._net(()):
            with suppress(ModelError):  # it does not hold the slot: the opening had failed
                self._model.close(sequence.slot)
            self._slots.give_back(sequence.slot)  # not after any other exception: what state is the slot in?

    def _forget(self, sequence: Sequence) -> None:
        sequence.is_gone = True
        del self._sequences[sequence.key]
        self._scheduler.remove(sequence)
        self._audience.leave(sequence.session, sequence.ear)

    def _order_streams(self) -> None:
        """Whether they are spoken one after the other has changed with the tempo, or with who is still there."""
        one_after_the_other = self.tempo.is_slow and self._audience.num_sessions <= 1
        if one_after_the_other is not self._scheduler.one_after_the_other:
            self._scheduler.one_after_the_other = one_after_the_other
            now = self._clock()
            for sequence in self._sequences.values():
                self._scheduler.update(sequence, now)

    @contextmanager
    def _net(self, streams: Iterable[StreamKey]) -> Iterator[None]:
        """One of the broad nets of the house: what the model throws ends these streams, never the engine.

        `streams` is looked at when it has thrown: those that had their patch before may have been taken out.
        """
        try:
            yield
        except Exception:
            log.exception("the model failed, streams=%d", self.num_streams)
            self.num_errors += 1
            for stream in streams:
                self._fail(stream, FAILED)
