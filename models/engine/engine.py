"""The engine: commands in, steps out. Synchronous, owned by one thread, and the clock is a parameter."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..base import ModelError, ModelInfo, SpeechModel
from .audience import Ear
from .commands import (
    Cancel,
    Command,
    Expect,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reloaded,
    ReloadVoices,
    Seal,
    Step,
    Suspend,
)
from .outlook import Prospects, first_audio_s
from .scheduler import Scheduler
from .sequence import Sequence
from .step_times import StepTimes
from .steps import Steps
from .streams import Streams
from .tempo import Tempo
from .witness import NoWitness, Phase, Witness


class Engine:
    """Runs one model for many streams. `apply` never waits; `step` takes one model step.

    Neither raises: what goes wrong for a stream ends that stream with a `Failed`. `num_errors` counts what the model
    should not have done; once `is_broken`, it is to be shut down. `prospects` tells how fast it is, and so whom it
    refuses: a model that is slower than real time speaks to one session at a time, one row a step and far ahead.
    """

    def __init__(
        self, model: SpeechModel, *, clock: Callable[[], float] = time.monotonic, witness: Witness | None = None
    ) -> None:
        self._model = model
        self._clock = clock
        self._times = StepTimes(model.info.buckets, model.info.max_batch)
        self._scheduler = Scheduler(self._times)
        self._witness = witness or NoWitness()
        self._streams = Streams(model, self._scheduler, clock, self._witness)
        self._steps = Steps(model, self._scheduler, self._streams, self._times, clock, self._witness)

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    @property
    def num_streams(self) -> int:
        return len(self._streams)

    @property
    def num_errors(self) -> int:
        return self._streams.num_errors

    @property
    def is_broken(self) -> bool:
        return self._steps.is_broken

    @property
    def tempo(self) -> Tempo:
        return self._steps.tempo

    @tempo.setter
    def tempo(self, tempo: Tempo) -> None:
        self._steps.tempo = tempo

    @property
    def is_rehearsing(self) -> bool:
        """Steps are made as large as they can be: nobody listens (`warm_up`)."""
        return self._times.is_rehearsing

    @is_rehearsing.setter
    def is_rehearsing(self, is_rehearsing: bool) -> None:
        self._times.is_rehearsing = is_rehearsing

    @property
    def prospects(self) -> Prospects:
        """What a newcomer may expect, as far as is known. May be asked from any thread."""
        tempo, times, streams = self.tempo, self._times, self._streams
        return Prospects(
            tempo.rtf,
            tempo.is_slow,
            tempo.capacity,
            first_audio_s(times, streams.num_starting, streams.audience.num_listeners + 1),
            first_audio_s(times, 0, 1),
            streams.turnover.vacancy_s(self._clock()),
        )

    @property
    def healthy_step_s(self) -> float:
        """How long a step or a command may take before something must be wrong with it."""
        return self.tempo.healthy_step_s(self.info.patch_ms / 1000)

    def apply(self, command: Command) -> None:
        """Obey. A command for a stream that is over is ignored: it crossed with the end. Failures become events."""
        if not isinstance(command, Pace | Suspend):  # the model hears nothing of these
            phase = Phase.VOICES if isinstance(command, ReloadVoices) else Phase.OPENING
            self._witness.begins_command(phase, command.stream)
        with self._streams.net((command.stream,)):
            self._take(command)
        if not self._streams.is_broken or self._steps.is_under_way:  # a lost device: most likely for a step's sake
            self._witness.ends_command()
        self._order_streams()

    def next_wake(self) -> float | None:
        """When `step` has something to do: -inf at once, None not before the next command."""
        if self._streams.events or self._steps.is_under_way:
            return float("-inf")
        return self._scheduler.next_wake()

    def step(self) -> Step | None:
        """Submit a step for the most urgent streams, and tell the patches of one that is over: of the same, or of the
        one submitted before. None when there is nothing to tell."""
        started_at = self._clock()
        num_rows = 0
        told = self._steps.turn()
        if told is not None:
            num_rows, started_at = told
        self._order_streams()
        if not self._streams.events:
            return None
        return Step(self._streams.take_events(), num_rows, started_at, self._clock() - started_at)

    def shutdown(self) -> None:
        """Drop all streams without a word, and release the model."""
        self._steps.drop()
        for sequence in self._streams:
            self._streams.release(sequence)
        with self._streams.net(()):
            self._model.shutdown()

    def _take(self, command: Command) -> None:
        match command:
            case Open():
                self._steps.awaits_suspects |= command.trial is not None
                ear = Ear.of(command.lead_samples, command.held)
                refusal = self._streams.audience.refusal(command.session, ear, self.prospects)
                self._streams.open(command, ear, refusal if command.history is None else None)
            case ReloadVoices():
                self._reload_voices(command)
            case _:
                sequence = self._streams.get(command.stream)
                if sequence is not None:
                    self._obey(sequence, command)
                elif isinstance(command, Cancel):
                    events = self._streams.events
                    events[:] = [event for event in events if event.stream != command.stream]

    def _reload_voices(self, command: ReloadVoices) -> None:
        try:
            self._model.reload_voices()
        except ModelError as error:
            self._streams.events.append(Failed(command.stream, str(error)))
        else:
            self._streams.events.append(Reloaded(command.stream, self.info))

    def _obey(self, sequence: Sequence, command: Expect | Extend | Seal | Finish | Pace | Suspend | Cancel) -> None:
        match command:
            case Expect():
                if not sequence.has_work:
                    self._model.expect(sequence.slot, command.text)
            case Extend() | Seal():
                if not sequence.finished:
                    self._take_text(sequence, command)
            case Finish():
                sequence.finished = True
                if sequence.is_over:
                    self._streams.close(sequence)
            case Pace():
                sequence.clock.follow(command.reading)
                self._scheduler.update(sequence, self._clock())
            case Suspend():
                sequence.suspended = command.suspended
                self._scheduler.update(sequence, self._clock())
            case Cancel():
                self._streams.release(sequence)

    def _take_text(self, sequence: Sequence, command: Extend | Seal) -> None:
        try:
            if isinstance(command, Extend):
                self._model.extend(sequence.slot, command.text)
                return
            self._model.seal(sequence.slot)
        except ModelError as error:
            self._streams.fail(sequence.key, str(error))
            return
        now = self._clock()
        if not sequence.has_work:
            sequence.text_at = now
            self._streams.has_text(sequence)
        sequence.num_sealed += 1
        self._scheduler.update(sequence, now)

    def _order_streams(self) -> None:
        """Whether they are spoken one after the other has changed with the tempo, or with who is still there."""
        one_after_the_other = self.tempo.is_slow and self._streams.audience.num_sessions <= 1
        if one_after_the_other is not self._scheduler.one_after_the_other:
            self._scheduler.one_after_the_other = one_after_the_other
            now = self._clock()
            for sequence in self._streams:
                self._scheduler.update(sequence, now)
