"""Engines as one: an utterance lives in one of them, a new one goes to the engine that has most room, and one whose
engine is lost goes on in another, or in the same one when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from models.base import History, ModelError, ModelInfo, SpeechParams
from models.engine import Busy, Ear, Fault, PlaybackClock

from .engine_face import EngineClient, Stream
from .engine_lasting import LastingStream
from .engine_streams import LOST, EngineStreams, EngineUnavailable, Listener
from .engine_ward import NEWCOMER_WAITS_S, EngineWard

HOME_S = 10.0
"""So long a suspect waits for the engine that it had, where there are others: they may have to do without it."""


class EngineFleet:
    """Ready while one of its engines is. Utterances of one session that follow each other may be in different ones.

    All engines have loaded the same model, and a voice is told once all that have reported know it.
    """

    def __init__(
        self,
        hosts: Sequence[EngineStreams],
        *,
        patience_s: float = 180.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience_s`: of an utterance whose engine is lost (`EngineWard`)."""
        self._hosts = tuple(hosts)
        self._clock = clock
        self._ward = EngineWard(patience_s=patience_s)
        for host in hosts:
            host.when_ready(self._ward.bring_back)
        self._infos: list[ModelInfo | None] = []
        self._merged: ModelInfo | None = None

    @property
    def hosts(self) -> Sequence[EngineClient]:
        return self._hosts

    @property
    def ready(self) -> bool:
        return any(host.ready for host in self._hosts)

    @property
    def admits(self) -> bool:
        return any(host.away_s < NEWCOMER_WAITS_S for host in self._hosts)

    @property
    def info(self) -> ModelInfo:
        """That of all: their slots together, and the voices which each of them has."""
        infos = [host.known_info for host in self._hosts]
        if self._merged is None or infos != self._infos:  # compared by identity first: this is asked for every message
            self._merged, self._infos = _merged([info for info in infos if info is not None]), infos
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
        """Those too that wait for an engine."""
        return sum(host.num_streams for host in self._hosts) + self._ward.num_waiting

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
    def num_lost(self) -> int:
        return sum(host.num_lost for host in self._hosts)

    @property
    def num_reopened(self) -> int:
        return self._ward.num_reopened

    @property
    def num_refused(self) -> int:
        return self._ward.num_refused

    @property
    def faults(self) -> Mapping[Fault, int]:
        return {kind: sum(host.faults.get(kind, 0) for host in self._hosts) for kind in Fault}

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
    ) -> Stream:
        if not self.admits:
            raise EngineUnavailable(LOST)
        ear = Ear.of(lead_samples, held)

        def open_in(stream: LastingStream, told: History | None) -> Iterator[Stream]:
            for host in self._places(stream, session, ear):
                if host.ready:
                    stream.home = host
                    yield host.open(
                        stream,
                        session=session,
                        voice=voice,
                        params=params,
                        lead_samples=lead_samples,
                        held=held,
                        history=told,
                        trial=stream.trial,
                        on_lost=stream.on_lost,
                    )

        rate_hz = self.info.sample_rate
        return LastingStream(listener, open_in, self._ward, PlaybackClock(rate_hz, held=held), self._clock)

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

    def _places(self, stream: LastingStream, session: Hashable, ear: Ear) -> Sequence[EngineStreams]:
        """Where to open it, best first. A suspect is tried where it was: those in another engine have nothing to do
        with it. There nobody else comes meanwhile who may go elsewhere."""
        if stream.trial is not None:
            for host in self._hosts:
                if host is stream.home and host.away_s < HOME_S:
                    return [host]
        courts = self._ward.courts
        hosts = [host for host in _by_room(self._serving, ear) if host.ready]
        return sorted(hosts, key=lambda host: (host.refusal(session, ear) is not None, host in courts))  # stable

    @property
    def _serving(self) -> Sequence[EngineStreams]:
        """Those that are ready; all, if none is."""
        return [host for host in self._hosts if host.ready] or self._hosts


def _by_room(hosts: Iterable[EngineStreams], ear: Ear) -> list[EngineStreams]:
    """The one first that, with another listener, has least for what it can do. Background work counts streams."""

    def load(host: EngineClient) -> tuple[float, int, int]:
        num_streams = host.num_streams + host.num_streams_elsewhere
        num_others = num_streams if ear is Ear.ABSENT else host.num_listeners
        return (num_others + 1) / host.capacity, num_others, num_streams

    return sorted(hosts, key=load)


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
