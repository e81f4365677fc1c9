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
from .playback import PlaybackClock
from .scheduler import Scheduler
from .sequence import Sequence
from .slots import Slots
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
    """

    def __init__(self, model: SpeechModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._slots = Slots(model.info.max_slots)
        self._scheduler = Scheduler()
        self._audience = Audience()
        self._sequences: dict[StreamKey, Sequence] = {}
        self._events: list[Event] = []
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
        return float("-inf") if self._events else self._scheduler.next_wake()

    def step(self) -> Step | None:
        """One patch for each of the most urgent streams; None when there is nothing to tell."""
        started_at = self._clock()
        rows = self._scheduler.select(started_at, 1 if self._scheduler.one_after_the_other else self.info.max_batch)
        if rows:
            self._speak(rows, started_at)
            self._order_streams()
        if not self._events:
            return None
        events, self._events = tuple(self._events), []
        return Step(events, len(rows), started_at, self._clock() - started_at)

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

    def _speak(self, rows: list[Sequence], started_at: float) -> None:
        by_slot = {row.slot: row for row in rows}
        silent = dict.fromkeys(row.key for row in rows)
        self._num_failed_in_a_row += 1
        with self._net(silent):
            results = self._model.submit([row.slot for row in rows]).patches()
            now = self._clock()
            self._scheduler.took(now - started_at)
            seconds = (now - started_at) / len(rows)
            num_samples = sum(len(result.pcm) for result in results if isinstance(result, Patch))
            self.tempo.took(now - started_at, num_samples / self.info.sample_rate, len(rows))
            for result in results:
                sequence = by_slot.get(result.slot)
                if sequence is None or sequence.generation != result.generation:
                    continue  # a late patch: its stream is over
                del by_slot[result.slot]
                if isinstance(result, Failure):
                    self._fail(sequence.key, result.message)
                else:
                    self._deliver(sequence, result, now, seconds)
                del silent[sequence.key]
            if silent:
                raise ValueError(f"expected a result for each of {len(rows)} slots, {len(silent)} are missing")
            self._num_failed_in_a_row = 0

    def _deliver(self, sequence: Sequence, patch: Patch, now: float, seconds: float) -> None:
        pcm = patch.pcm.tobytes()
        self._events.append(
            Spoke(
                sequence.key,
                patch.segment,
                patch.index,
                pcm,
                patch.words,
                patch.estimated,
                patch.latents,
                patch.last,
                seconds,
            )
        )
        sequence.clock.emit(len(pcm) // 2, now)
        sequence.num_spoken += patch.last
        if sequence.is_over:
            self._close(sequence)
        else:
            self._scheduler.update(sequence, now)

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
