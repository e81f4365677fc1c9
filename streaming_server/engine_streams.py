"""Streams that take text and give patches: what a client of the engine is, wherever the engine runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import count
from math import inf
from typing import Any, Protocol, cast

from models.base import History, ModelError, ModelInfo, SpeechParams
from models.engine import (
    Audience,
    Busy,
    Cancel,
    Closed,
    Command,
    Ear,
    Event,
    Expect,
    Extend,
    Failed,
    Fault,
    Finish,
    Open,
    Pace,
    Prospects,
    Reading,
    Reloaded,
    ReloadVoices,
    Seal,
    Spoke,
    Suspend,
    Trial,
)

from .engine_loss import Loss

LOST = "the voice engine stopped and is being restarted"
DEAF = "the server failed while taking this speech"


class EngineUnavailable(Exception):
    """There is no engine just now; one sentence."""


class Listener(Protocol):
    """Who a stream speaks to. Called on the event loop, in order; exactly one `on_closed` or `on_failed` comes last,
    unless the stream is cancelled first. One that raises loses its stream."""

    def on_patch(self, patch: Spoke) -> None: ...
    def on_closed(self) -> None: ...
    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None: ...


class EngineStream:
    """One utterance in the engine. Whatever is said to one that is over is ignored."""

    def __init__(self, engine: EngineStreams, key: int) -> None:
        self._engine = engine
        self._key = key

    def speak(self, text: str) -> None:
        """A whole segment, normalised."""
        self._engine.post(Extend(self._key, text), Seal(self._key))

    def expect(self, text: str) -> None:
        """The next segment will probably begin with this text. For a stream that has nothing to speak."""
        self._engine.post(Expect(self._key, text))

    def finish(self) -> None:
        self._engine.post(Finish(self._key))

    def pace(self, reading: Reading) -> None:
        self._engine.post(Pace(self._key, reading))

    def suspend(self) -> None:
        """Make no more for now, not even up to the lead: what there is is not being taken."""
        self._engine.post(Suspend(self._key, True))

    def resume(self) -> None:
        self._engine.post(Suspend(self._key, False))

    def cancel(self) -> None:
        """Nothing reaches the listener any more."""
        self._engine.forget(self._key)
        self._engine.post(Cancel(self._key))


class EngineStreams:
    """An engine's client, in what both forms share: names of streams, and the way of events to their listeners."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.known_info: ModelInfo | None = None
        self._listeners: dict[int, Listener] = {}
        self._keepers: dict[int, Callable[[Loss], None]] = {}  # of some of these: who is told of their loss instead
        self._watchers: list[Callable[[], None]] = []
        self._reloads: dict[int, asyncio.Future[None]] = {}
        self._keys = count(1)
        self._ears: dict[int, tuple[Hashable, Ear]] = {}  # of the same streams: whose, and what they do
        self._audience = Audience()
        self.rtf: float | None = None
        """Seconds of work for a second of speech to one listener, as measured; None before the first."""
        self.is_slow = False
        """Whether that is slower than real time (`models.engine.Tempo`)."""
        self.capacity = inf
        """How many listeners it has time for, those of other web processes too."""
        self._prospects = Prospects(None, False, inf, 0.0, 0.0, 1.0)
        self.num_streams_elsewhere = 0
        """Of other web processes; they and their listeners are told when they change."""
        self.num_listeners_elsewhere = 0
        self.num_restarts = 0
        self.num_lost = 0
        self.num_steps = 0
        self.num_patches = 0
        self.num_errors = 0  # what the model should not have done, as the present engine counts
        self.busy_s = 0.0

    @property
    def info(self) -> ModelInfo:
        """Raises EngineUnavailable before the first engine has reported."""
        if self.known_info is None:
            raise EngineUnavailable("the voice engine is still starting")
        return self.known_info

    @property
    def ready(self) -> bool:
        raise NotImplementedError

    @property
    def admits(self) -> bool:
        return self.ready

    @property
    def away_s(self) -> float:
        """How long it has not been ready."""
        return 0.0 if self.ready else inf

    @property
    def num_streams(self) -> int:
        return len(self._listeners)

    @property
    def num_reopened(self) -> int:
        return 0

    @property
    def num_refused(self) -> int:
        return 0

    @property
    def faults(self) -> Mapping[Fault, int]:
        return {}

    @property
    def num_listeners(self) -> int:
        """Of all web processes."""
        return self._audience.num_listeners + self.num_listeners_elsewhere

    @property
    def hosts(self) -> Sequence[EngineStreams]:
        return (self,)

    def when_ready(self, tell: Callable[[], None]) -> None:
        """From now on, whenever it is ready after it was not."""
        self._watchers.append(tell)

    def refusal(self, session: Hashable, ear: Ear, *, frees_others: bool = False) -> Busy | None:
        """Why this session cannot have another stream (`models.engine.Audience`), as far as this process knows."""
        prospects = self._prospects._replace(is_slow=self.is_slow, capacity=self.capacity)
        return self._audience.refusal(session, ear, prospects, frees_others=frees_others)

    def open(
        self,
        listener: Listener,
        *,
        session: Hashable,
        voice: str,
        params: SpeechParams,
        lead_samples: int | None,
        held: bool = False,
        history: History | None = None,
        trial: Trial | None = None,
        on_lost: Callable[[Loss], None] | None = None,
    ) -> EngineStream:
        """`history`: of an utterance that was lost (`Continuity`); `trial`: see `Open`; `on_lost`: called in place of
        the listener's `on_failed` when the engine is gone, or its step has raised. Raises EngineUnavailable."""
        if not self.ready:
            raise EngineUnavailable(LOST)
        key = next(self._keys)
        self._listeners[key] = listener
        if on_lost is not None:
            self._keepers[key] = on_lost
        ear = Ear.of(lead_samples, held)
        self._ears[key] = session, ear
        self._audience.join(session, ear)
        self.post(Open(key, session, voice, params, lead_samples, held, history, trial))
        return EngineStream(self, key)

    async def reload_voices(self) -> None:
        """Have the model look for its voices again: `info` tells them when this returns.

        Raises EngineUnavailable, and ModelError where the model failed: it has the voices that it had.
        """
        if not self.ready:
            raise EngineUnavailable(LOST)
        key = next(self._keys)
        reload = self._reloads[key] = self._loop.create_future()
        self.post(ReloadVoices(key))
        try:
            await reload
        finally:
            del self._reloads[key]

    def post(self, *commands: Command) -> None:
        raise NotImplementedError

    def forget(self, key: int) -> Listener | None:
        if key in self._ears:
            self._audience.leave(*self._ears.pop(key))
        self._keepers.pop(key, None)
        return self._listeners.pop(key, None)

    async def close(self) -> None:
        raise NotImplementedError

    def _take_step(self, events: Iterable[Event], num_rows: int, seconds: float) -> None:
        self.num_steps += num_rows > 0
        self.busy_s += seconds
        for event in events:
            # A turn of the loop's for each: one listener that raises takes nothing from the others.
            self._loop.call_soon(self._hand_over, event)

    def _hand_over(self, event: Event) -> None:
        key = cast("int", event.stream)  # every key here is ours
        match event:
            case Spoke():
                self.num_patches += 1
                listener = self._listeners.get(key)
                if listener is None:
                    return  # cancelled
                taken = False
                try:
                    listener.on_patch(event)
                    taken = True
                finally:
                    if not taken:
                        self.forget(key)
                        self.post(Cancel(key))
                        self._loop.call_soon(listener.on_failed, DEAF, False)
            case Closed():
                listener = self.forget(key)
                if listener is not None:
                    listener.on_closed()
            case Failed(num_suspects=num_suspects) if num_suspects and key in self._keepers:
                self._hand_over_loss(key, Loss(num_suspects=num_suspects, on_trial=event.on_trial))
            case Failed():
                listener = self.forget(key)
                if listener is not None:
                    listener.on_failed(event.message, event.busy, event.retry_after_ms)
                self._end_reload(key, ModelError(event.message))
            case Reloaded():
                self._learn(event.info)
                self._end_reload(key, None)

    def _hand_over_loss(self, key: int, loss: Loss) -> None:
        on_lost = self._keepers.get(key)
        listener = self.forget(key)
        if listener is None:
            return
        self.num_lost += 1
        if on_lost is None:
            listener.on_failed(LOST, False)
        else:
            on_lost(loss)

    def _heed(self, prospects: Iterable[Any]) -> None:
        """What `Prospects` has, as it came."""
        told = self._prospects = Prospects(*prospects)
        self.rtf, self.is_slow, self.capacity = told.rtf, told.is_slow, told.capacity

    def _learn(self, info: ModelInfo) -> None:
        self.known_info = info

    def _end_reload(self, key: int, error: EngineUnavailable | ModelError | None) -> None:
        reload = self._reloads.get(key)
        if reload is None or reload.done():
            return
        if error is None:
            reload.set_result(None)
        else:
            reload.set_exception(error)

    def _lose_all(self, losses: Mapping[int, Loss]) -> None:
        """Those already told of their end are not told again; nor are those cancelled until their turn comes."""
        for key in self._listeners:
            self._loop.call_soon(self._hand_over_loss, key, losses.get(key, Loss()))
        for key in self._reloads:
            self._loop.call_soon(self._end_reload, key, EngineUnavailable(LOST))
