"""The open streams: their slots, who listens to them, and how they end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ..base import ModelError, SpeechModel
from .audience import Audience, Busy, Ear
from .commands import Closed, Event, Failed, Open, StreamKey
from .flight import Flight
from .outlook import Turnover
from .playback import PlaybackClock
from .scheduler import Scheduler
from .sequence import Sequence
from .slots import Slots
from .witness import Fault, Witness

log = logging.getLogger(__name__)

FAILED = "the voice failed while speaking this text"

MEMORY_ERRORS = frozenset({"MemoryError", "OutOfMemoryError"})
DEVICE_ERRORS = frozenset({"AcceleratorError"})
"""By their names: torch is not known here. After the latter every further call to the device fails, too."""


class Streams:
    """Of one model. `events` are those that nobody has been told yet; `num_errors` counts what the model should not
    have done, `num_starting` who has text and no audio yet."""

    def __init__(self, model: SpeechModel, scheduler: Scheduler, clock: Callable[[], float], witness: Witness) -> None:
        self._model = model
        self._scheduler = scheduler
        self._clock = clock
        self._witness = witness
        self._slots = Slots(model.info.max_slots)
        self._sequences: dict[StreamKey, Sequence] = {}
        self._num_opened = 0
        self.audience = Audience()
        self.turnover = Turnover()
        self.events: list[Event] = []
        self.num_errors = 0
        self.num_starting = 0
        self.is_broken = False  # the model can do nothing any more

    def __len__(self) -> int:
        return len(self._sequences)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(list(self._sequences.values()))

    def get(self, stream: StreamKey) -> Sequence | None:
        return self._sequences.get(stream)

    def take_events(self) -> tuple[Event, ...]:
        events, self.events = tuple(self.events), []
        return events

    def open(self, command: Open, ear: Ear, busy: Busy | None) -> None:
        """`busy`: what it is told instead."""
        if command.stream in self._sequences:
            raise ValueError(f"expected a new stream, {command.stream!r} is open")
        taken = self._slots.take() if busy is None else None
        if taken is None:
            busy = busy or self._busy()
            self.events.append(Failed(command.stream, busy.message, busy=True, retry_after_ms=busy.retry_after_ms))
            return
        slot, generation = taken
        emitted = command.history.position if command.history is not None else 0
        clock = PlaybackClock(self._model.info.sample_rate, held=command.held, emitted=emitted)
        number, self._num_opened = self._num_opened, self._num_opened + 1
        sequence = Sequence(command.stream, command.session, slot, generation, clock, command.lead_samples, number)
        sequence.ear = ear
        if command.trial is not None:
            sequence.num_on_trial, sequence.is_tried_alone = command.trial.num_patches, command.trial.is_alone
        sequence.num_submitted = command.history.index if command.history is not None else 0
        self._sequences[command.stream] = sequence
        self._scheduler.add(sequence)
        self.audience.join(command.session, ear)
        self._heed_audience()
        try:
            self._model.open(slot, generation, command.voice, command.params, command.history)
        except ModelError as error:
            self._forget(sequence)
            self._slots.give_back(slot)
            self.events.append(Failed(command.stream, str(error)))

    def has_text(self, sequence: Sequence) -> None:
        """Somebody listens for its first words."""
        if sequence.ear is Ear.LISTENS and not sequence.clock.emitted and not sequence.is_starting:
            sequence.is_starting = True
            self.num_starting += 1

    def has_begun(self, sequence: Sequence) -> None:
        self.num_starting -= sequence.is_starting
        sequence.is_starting = False

    def close(self, sequence: Sequence) -> None:
        """All of it is spoken."""
        self.release(sequence)
        self.events.append(Closed(sequence.key))

    def fail(self, stream: StreamKey, message: str = FAILED, *, num_suspects: int = 0, on_trial: bool = False) -> None:
        sequence = self._sequences.get(stream)
        if sequence is not None:
            self.release(sequence)
        self.events.append(Failed(stream, message, num_suspects=num_suspects, on_trial=on_trial))

    def release(self, sequence: Sequence) -> None:
        """It is over, and nobody is told."""
        self._forget(sequence)
        with self.net(()):
            with suppress(ModelError):  # it does not hold the slot: the opening had failed
                self._model.close(sequence.slot)
            self._slots.give_back(sequence.slot)  # not after any other exception: what state is the slot in?

    @contextmanager
    def net(self, streams: Iterable[StreamKey], flight: Flight | None = None) -> Iterator[None]:
        """One of the broad nets of the house: what the model throws ends these streams, and the engine only when its
        device is lost: then nobody is told anything, since all go on in another.

        `streams` is looked at when it has thrown: those that had their patch before may have been taken out. Those of
        a `flight` are suspects: one of them may be to blame.
        """
        try:
            yield
        except Exception as error:
            log.exception("the model failed, streams=%d", len(self))
            self.num_errors += 1
            if type(error).__name__ in DEVICE_ERRORS:
                self.is_broken = True
                return
            self._witness.fault(Fault.OUT_OF_MEMORY if type(error).__name__ in MEMORY_ERRORS else Fault.RAISED)
            ended = list(streams)
            for stream in ended:
                if flight is None:
                    self.fail(stream)
                else:
                    self.fail(stream, num_suspects=len(ended), on_trial=flight.on_trial)

    def _busy(self) -> Busy:
        vacancy_s = self.turnover.vacancy_s(self._clock())
        return Busy.after(f"all {self._model.info.max_slots} slots of the voice engine are in use", vacancy_s, 0.0)

    def _forget(self, sequence: Sequence) -> None:
        sequence.is_gone = True
        self.has_begun(sequence)
        del self._sequences[sequence.key]
        self._scheduler.remove(sequence)
        self.audience.leave(sequence.session, sequence.ear)
        self._heed_audience()

    def _heed_audience(self) -> None:
        self.turnover.changed(self.audience.num_listeners, self._clock())
