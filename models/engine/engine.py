"""The engine: commands in, steps out. Synchronous, owned by one thread, and the clock is a parameter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..base import Failure, ModelError, ModelInfo, Patch, SpeechModel
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
    Seal,
    Spoke,
    Step,
    StreamKey,
)
from .playback import PlaybackClock
from .scheduler import Scheduler
from .sequence import Sequence
from .slots import Slots

log = logging.getLogger(__name__)

STEP_FAILED = "the voice failed while speaking this text"


class Engine:
    """Runs one model for many streams. `apply` never waits; `step` takes one model step."""

    def __init__(self, model: SpeechModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._slots = Slots(model.info.max_slots)
        self._scheduler = Scheduler()
        self._sequences: dict[StreamKey, Sequence] = {}
        self._by_slot: dict[int, Sequence] = {}
        self._events: list[Event] = []
        self.num_step_errors = 0

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    @property
    def num_streams(self) -> int:
        return len(self._sequences)

    def apply(self, command: Command) -> None:
        """Obey. A command for a stream that is over is ignored: it crossed with the end. Failures become events."""
        if isinstance(command, Open):
            self._open(command)
            return
        sequence = self._sequences.get(command.stream)
        if sequence is None:
            return
        match command:
            case Extend() | Seal():
                self._take_text(sequence, command)
            case Finish():
                sequence.finished = True
                if sequence.is_over:
                    self._close(sequence)
            case Pace():
                sequence.clock.follow(command.reading)
                self._scheduler.update(sequence, self._clock())
            case Cancel():
                self._release(sequence)

    def next_wake(self) -> float | None:
        """When `step` has something to do: -inf at once, None not before the next command."""
        return float("-inf") if self._events else self._scheduler.next_wake()

    def step(self) -> Step | None:
        """One patch for each of the most urgent streams; None when there is nothing to do yet."""
        started_at = self._clock()
        rows = self._scheduler.select(started_at, self.info.max_batch)
        if rows:
            self._speak(rows)
        if not self._events:
            return None
        events, self._events = tuple(self._events), []
        return Step(events, len(rows), started_at, self._clock() - started_at)

    def shutdown(self) -> None:
        for sequence in list(self._sequences.values()):
            self._release(sequence)
        self._model.shutdown()

    def _open(self, command: Open) -> None:
        taken = self._slots.take()
        if taken is None:
            message = f"all {self.info.max_slots} slots of the voice engine are in use"
            self._events.append(Failed(command.stream, message, busy=True))
            return
        slot, generation = taken
        try:
            self._model.open(slot, generation, command.voice, command.params)
        except ModelError as error:
            self._slots.give_back(slot)
            self._events.append(Failed(command.stream, str(error)))
            return
        clock = PlaybackClock(self.info.sample_rate, held=command.held)
        sequence = Sequence(command.stream, command.session, slot, generation, clock, command.lead_samples)
        self._sequences[command.stream] = sequence
        self._by_slot[slot] = sequence
        self._scheduler.add(sequence)

    def _take_text(self, sequence: Sequence, command: Extend | Seal) -> None:
        try:
            if isinstance(command, Extend):
                self._model.extend(sequence.slot, command.text)
                return
            self._model.seal(sequence.slot)
        except ModelError as error:
            self._fail(sequence, str(error))
            return
        now = self._clock()
        if not sequence.has_work:
            sequence.text_at = now
        sequence.num_sealed += 1
        self._scheduler.update(sequence, now)

    def _speak(self, rows: list[Sequence]) -> None:
        try:
            results = self._model.submit([row.slot for row in rows]).patches()
        except Exception:  # one of the two broad nets: a step that fails ends its own streams, never the engine
            log.exception("engine step failed, streams=%d", len(rows))
            self.num_step_errors += 1
            for row in rows:
                self._fail(row, STEP_FAILED)
            return
        now = self._clock()
        for result in results:
            sequence = self._by_slot.get(result.slot)
            if sequence is None or not self._slots.is_current(result.slot, result.generation):
                continue
            if isinstance(result, Failure):
                self._fail(sequence, result.message)
            else:
                self._deliver(sequence, result, now)

    def _deliver(self, sequence: Sequence, patch: Patch, now: float) -> None:
        sequence.clock.emit(len(patch.pcm), now)
        sequence.num_patches += 1
        self._events.append(
            Spoke(
                sequence.key,
                patch.segment,
                patch.index,
                patch.pcm.tobytes(),
                patch.words,
                patch.estimated,
                patch.latents,
                patch.last,
            )
        )
        if patch.last:
            sequence.num_spoken += 1
            sequence.text_at = now
        if sequence.is_over:
            self._close(sequence)
        else:
            self._scheduler.update(sequence, now)

    def _close(self, sequence: Sequence) -> None:
        self._release(sequence)
        self._events.append(Closed(sequence.key))

    def _fail(self, sequence: Sequence, message: str) -> None:
        self._release(sequence)
        self._events.append(Failed(sequence.key, message))

    def _release(self, sequence: Sequence) -> None:
        del self._sequences[sequence.key]
        del self._by_slot[sequence.slot]
        self._scheduler.remove(sequence)
        self._model.close(sequence.slot)
        self._slots.give_back(sequence.slot)
