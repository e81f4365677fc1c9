"""An utterance that outlives the engine which speaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Protocol

from models.base import History
from models.engine import Continuity, PlaybackClock, Reading, Spoke, Trial

from .engine_face import Stream
from .engine_loss import Loss
from .engine_streams import LOST, Listener

RETRY_AFTER_MS = 1000
"""Of a newcomer for whom the engine did not come back in time."""

KILLER = "the voice engine failed again and again while speaking this text"


class State(Enum):
    """Where an utterance is."""

    OPEN = auto()  # in an engine
    WAITS = auto()  # for one
    OVER = auto()


class Home(Protocol):
    """An engine, under all who have followed each other there."""

    num_patches: int
    num_restarts: int


class Ward(Protocol):
    """Where utterances wait whose engine is gone. It calls `reopen`, or `give_up`."""

    def take_in(self, stream: LastingStream, loss: Loss) -> None:
        """Its engine is gone."""

    def expect(self, stream: LastingStream) -> None:
        """It is new, and there is no engine just now."""

    def put_back(self, stream: LastingStream, retry_after_ms: int) -> None:
        """Reopened, it was refused: there is no slot just now, and another try makes sense in so long."""

    def discharge(self, stream: LastingStream) -> None:
        """It speaks, or is over."""


class LastingStream:
    """One utterance, whichever engine speaks it.

    Refused by one before it was in any, it is opened in the next; its listener hears `busy` only if all have refused.
    When its engine is lost it waits for one that is there, and goes on at the first patch that has not come. So it
    keeps what is unspoken, what a model needs to go on (`Continuity`), and the listener's clock as the engine had it.

    It is a suspect once it may be why an engine ended, until it has had the patches that were under way then.
    """

    def __init__(
        self,
        listener: Listener,
        open_in: Callable[[LastingStream, History | None], Iterable[Stream]],
        ward: Ward,
        ear: PlaybackClock,
        clock: Callable[[], float],
    ) -> None:
        """`open_in`: opens it, with a history, in one engine after the other."""
        self._listener = listener
        self._open_in = open_in
        self._ward = ward
        self._ear = ear
        self._clock = clock
        self._continuity = Continuity()
        self.was_lost = False
        self._has_begun = False  # a patch has come from the engine in which it is
        self._is_finished = False
        self.is_suspended = False
        self._retries_ms: list[int] = []  # what those who refused it have said
        self.state = State.OPEN
        self.num_blamed_in_all = 0
        """Deaths that it may be why of, whatever it has spoken in between."""
        self.num_blamed = 0
        """Deaths in a row that it may be why of, until it has had the patches that were under way."""
        self.home: Home | None = None
        """The engine in which it is, or was."""
        self._num_to_prove = 0  # those patches
        self._openings = iter(open_in(self, None))
        self._stream: Stream = _NOWHERE
        if not self._open():
            self.state = State.WAITS
            ward.expect(self)

    # ---- what the listener's side says

    def speak(self, text: str) -> None:
        if self._is_finished or self.state is State.OVER:
            return
        self._continuity.say(text)
        if self.state is State.OPEN:
            self._stream.speak(text)

    def expect(self, text: str) -> None:
        if self.state is State.OPEN:
            self._stream.expect(text)

    def finish(self) -> None:
        self._is_finished = True
        if self.state is State.OPEN:
            self._stream.finish()

    def pace(self, reading: Reading) -> None:
        self._ear.follow(reading)
        if self.state is State.OPEN:
            self._stream.pace(reading)

    def suspend(self) -> None:
        self.is_suspended = True
        if self.state is State.OPEN:
            self._stream.suspend()

    def resume(self) -> None:
        self.is_suspended = False
        if self.state is State.OPEN:
            self._stream.resume()

    def cancel(self) -> None:
        self._stream.cancel()
        self._end()

    # ---- what the engine says

    def on_patch(self, patch: Spoke) -> None:
        self._has_begun = True
        self._continuity.take(patch)
        self._ear.emit(len(patch.pcm) // 2, self._clock())
        if self._num_to_prove:
            self._num_to_prove -= 1
            if not (self._num_to_prove and self.has_text):
                self._num_to_prove = self.num_blamed = 0
                self._ward.discharge(self)
        self._listener.on_patch(patch)

    def on_closed(self) -> None:
        self._end().on_closed()

    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None:
        if busy and not self._has_begun:
            self._retries_ms.append(retry_after_ms)
            if self._goes_on_elsewhere():
                return
            retry_after_ms = min(self._retries_ms)
            if self.was_lost:  # it was let in: it waits until there is a slot
                self.state = State.WAITS
                self._ward.put_back(self, retry_after_ms)
                return
        self._end().on_failed(message, busy, retry_after_ms)

    def on_lost(self, loss: Loss) -> None:
        """The engine in which it was is gone, or has failed to make its patch."""
        self.was_lost = True
        if loss.num_suspects:
            self.num_blamed += 1
            self.num_blamed_in_all += 1
            self._num_to_prove = max(1, loss.index - self._continuity.index + 1)
        self.state = State.WAITS
        self._ward.take_in(self, loss)

    # ---- what the ward says

    def reopen(self) -> bool:
        """Go on in an engine that is there; False if there is none, and it waits as before."""
        self._retries_ms.clear()
        self._openings = iter(self._open_in(self, self._continuity.history if self.was_lost else None))
        if not self._goes_on_elsewhere():
            return False
        self.state, self._has_begun = State.OPEN, False
        return True

    def give_up(self) -> None:
        """It ends as one that the engine failed; a newcomer, as one for which there was no room."""
        self._stream.cancel()
        self._end().on_failed(LOST, not self.was_lost, 0 if self.was_lost else RETRY_AFTER_MS)

    def refuse(self) -> None:
        """It is what kills."""
        self._end().on_failed(KILLER, False)

    @property
    def trial(self) -> Trial | None:
        """How it is tried if it is a suspect: together with all who were blamed once; then alone.

        Most engines end by chance, and then one step clears all. That death which shows that it was none tells nothing
        new, but it is one of those that it takes anyway (`NUM_DEATHS`); and each step alone that nobody dies of costs
        next to nothing beside a death.
        """
        return Trial(self._num_to_prove, self.num_blamed > 1) if self.num_blamed else None

    @property
    def can_be_tried(self) -> bool:
        """Whether the engine has something to speak to it now: what waits for its listener shows nothing."""
        return self.has_text and not self.is_suspended

    @property
    def has_text(self) -> bool:
        """Whether there is something left to say."""
        return bool(self._continuity.texts)

    # ----

    def _open(self) -> bool:
        """In the next engine; False if there is none."""
        stream = next(self._openings, None)
        if stream is None:
            return False
        self._stream = stream
        return True

    def _goes_on_elsewhere(self) -> bool:
        if not self._open():
            return False
        if self.is_suspended:
            self._stream.suspend()
        self._stream.pace(self._ear.read())
        for text in self._continuity.texts:
            self._stream.speak(text)
        if self._is_finished:
            self._stream.finish()
        return True

    def _end(self) -> Listener:
        """Nothing here refers to the listener any more: it may go."""
        listener, self._listener = self._listener, _NOBODY
        self.state = State.OVER
        self._ward.discharge(self)
        return listener


class _Nobody:
    """Who listens to a stream that is over."""

    def on_patch(self, patch: Spoke) -> None: ...
    def on_closed(self) -> None: ...
    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None: ...


_NOBODY = _Nobody()


class _Nowhere:
    """The stream of a newcomer that is in no engine yet."""

    def speak(self, text: str) -> None: ...
    def expect(self, text: str) -> None: ...
    def finish(self) -> None: ...
    def pace(self, reading: Reading) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...


_NOWHERE = _Nowhere()
