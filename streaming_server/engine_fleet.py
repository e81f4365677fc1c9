"""Several engines as one: an utterance lives in one of them, a new one goes to the engine that has most room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from models.base import History, ModelError, ModelInfo, SpeechParams
from models.engine import Busy, Ear, Reading, Spoke

from .engine_face import EngineClient, Stream
from .engine_streams import LOST, EngineUnavailable, Listener


class EngineFleet:
    """Ready while one of its engines is. Utterances of one session that follow each other may be in different ones.

    All engines have loaded the same model, and a voice is told once all that have reported know it.
    """

    def __init__(self, hosts: Sequence[EngineClient]) -> None:
        self._hosts = tuple(hosts)
        self._infos: tuple[ModelInfo, ...] = ()
        self._merged: ModelInfo | None = None

    @property
    def hosts(self) -> Sequence[EngineClient]:
        return self._hosts

    @property
    def ready(self) -> bool:
        return any(host.ready for host in self._hosts)

    @property
    def info(self) -> ModelInfo:
        """That of all: their slots together, and the voices which each of them has."""
        infos = tuple(info for host in self._hosts if (info := _known_info(host)) is not None)
        if self._merged is None or infos != self._infos:  # compared by identity first: this is asked for every patch
            self._merged, self._infos = _merged(infos), infos
        return self._merged

    @property
    def rtf(self) -> float | None:
        return min((host.rtf for host in self._serving if host.rtf is not None), default=None)

    @property
    def is_slow(self) -> bool:
        return all(host.is_slow for host in self._serving)

    @property
    def capacity(self) -> float:
        return sum(host.capacity for host in self._serving)

    @property
    def num_streams(self) -> int:
        return sum(host.num_streams for host in self._hosts)

    @property
    def num_streams_elsewhere(self) -> int:
        return sum(host.num_streams_elsewhere for host in self._hosts)

    @property
    def num_listeners(self) -> int:
        return sum(host.num_listeners for host in self._hosts)

    @property
    def num_restarts(self) -> int:
        return sum(host.num_restarts for host in self._hosts)

    @property
    def num_steps(self) -> int:
        return sum(host.num_steps for host in self._hosts)

    @property
    def num_patches(self) -> int:
        return sum(host.num_patches for host in self._hosts)

    @property
    def num_errors(self) -> int:
        return sum(host.num_errors for host in self._hosts)

    @property
    def busy_s(self) -> float:
        return sum(host.busy_s for host in self._hosts)

    def refusal(self, session: Hashable, ear: Ear, *, frees_others: bool = False) -> Busy | None:
        """None if one of them takes it; else what the one says that will have room first."""
        refusals = [host.refusal(session, ear, frees_others=frees_others) for host in self._serving]
        told = [busy for busy in refusals if busy is not None]
        return min(told, key=lambda busy: busy.retry_after_ms) if len(told) == len(refusals) else None

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
    ) -> Stream:
        if not self.ready:
            raise EngineUnavailable(LOST)
        ear = Ear.of(lead_samples, held)
        hosts = [host for host in _by_room(self._serving, ear) if host.ready]
        hosts.sort(key=lambda host: host.refusal(session, ear) is not None)  # stable

        def open_at(host: EngineClient, listener: Listener) -> Stream:
            return host.open(
                listener,
                session=session,
                voice=voice,
                params=params,
                lead_samples=lead_samples,
                held=held,
                history=history,
            )

        return FleetStream(listener, hosts, open_at)

    async def reload_voices(self) -> None:
        """By all that are ready: another looks for its voices when it starts."""
        reloads = [host.reload_voices() for host in self._hosts if host.ready]
        outcomes = await asyncio.gather(*reloads, return_exceptions=True)
        for kind in (ModelError, BaseException):
            for outcome in outcomes:
                if isinstance(outcome, kind) and not isinstance(outcome, EngineUnavailable):
                    raise outcome
        if not any(outcome is None for outcome in outcomes):
            raise EngineUnavailable(LOST)

    async def close(self) -> None:
        for host in self._hosts:
            await host.close()

    @property
    def _serving(self) -> Sequence[EngineClient]:
        """Those that are ready; all, if none is."""
        return [host for host in self._hosts if host.ready] or self._hosts


class FleetStream:
    """One utterance. Until its first patch has come it may be refused, which its listener hears only if all engines
    have: so long what it was told is kept for the next one."""

    def __init__(
        self, listener: Listener, hosts: Sequence[EngineClient], open_at: Callable[[EngineClient, Listener], Stream]
    ) -> None:
        """Opened at the first of `hosts` that is there. Raises EngineUnavailable."""
        self._listener = listener
        self._hosts = list(hosts)
        self._open_at = open_at
        self._has_begun = False
        self._texts: list[str] = []
        self._is_finished = False
        self._is_suspended = False
        self._reading: Reading | None = None
        self._retries_ms: list[int] = []  # what those who refused it have said
        self._stream = self._open()

    def speak(self, text: str) -> None:
        if not self._has_begun:
            self._texts.append(text)
        self._stream.speak(text)

    def expect(self, text: str) -> None:
        self._stream.expect(text)

    def finish(self) -> None:
        self._is_finished = True
        self._stream.finish()

    def pace(self, reading: Reading) -> None:
        self._reading = reading
        self._stream.pace(reading)

    def suspend(self) -> None:
        self._is_suspended = True
        self._stream.suspend()

    def resume(self) -> None:
        self._is_suspended = False
        self._stream.resume()

    def cancel(self) -> None:
        self._stream.cancel()
        self._listener = _NOBODY  # who may go: nothing here refers to it any more

    def on_patch(self, patch: Spoke) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._texts.clear()
        self._listener.on_patch(patch)

    def on_closed(self) -> None:
        self._listener.on_closed()

    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None:
        if busy and not self._has_begun:
            self._retries_ms.append(retry_after_ms)
            if self._goes_on_elsewhere():
                return
            retry_after_ms = min(self._retries_ms)
        self._listener.on_failed(message, busy, retry_after_ms)

    def _open(self) -> Stream:
        while self._hosts:
            try:
                return self._open_at(self._hosts.pop(0), self)
            except EngineUnavailable:
                continue
        raise EngineUnavailable(LOST)

    def _goes_on_elsewhere(self) -> bool:
        try:
            stream = self._stream = self._open()
        except EngineUnavailable:
            return False
        if self._is_suspended:
            stream.suspend()
        if self._reading is not None:
            stream.pace(self._reading)
        for text in self._texts:
            stream.speak(text)
        if self._is_finished:
            stream.finish()
        return True


class _Nobody:
    """Who listens to a stream that is cancelled."""

    def on_patch(self, patch: Spoke) -> None: ...
    def on_closed(self) -> None: ...
    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None: ...


_NOBODY = _Nobody()


def _by_room(hosts: Iterable[EngineClient], ear: Ear) -> list[EngineClient]:
    """The one first that, with another listener, has least for what it can do. Background work counts streams."""

    def load(host: EngineClient) -> tuple[float, int, int]:
        num_streams = host.num_streams + host.num_streams_elsewhere
        num_others = num_streams if ear is Ear.ABSENT else host.num_listeners
        return (num_others + 1) / host.capacity, num_others, num_streams

    return sorted(hosts, key=load)


def _known_info(host: EngineClient) -> ModelInfo | None:
    try:
        return host.info
    except EngineUnavailable:
        return None


def _merged(infos: Sequence[ModelInfo]) -> ModelInfo:
    """Raises EngineUnavailable if there is none."""
    if not infos:
        raise EngineUnavailable("the voice engine is still starting")
    first = infos[0]
    common = set.intersection(*({voice.name for voice in info.voices} for info in infos))
    return replace(
        first,
        voices=tuple(voice for voice in first.voices if voice.name in common),
        max_slots=sum(info.max_slots for info in infos),
        deterministic=all(info.deterministic for info in infos),
    )
