"""Listeners as arithmetic: streams arrive, are heard from their first chunk on, and are replaced when they end."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .playout import Playout
from .report import percentiles

MEAN_S = 8.0
SIGMA = 0.5
"""Lengths are log-normal with this mean, of the seeded kind: the same in every run and for every peer."""

GAPS_MS = (50, 100, 200)
"""C50, C100 and C200: the share of streams whose worst gap is shorter."""

_IDLE_S = 0.002
_NEVER_LATE_MS = 0


@dataclass(frozen=True, slots=True)
class Sound:
    """A chunk of one stream. `num_samples` 0: the stream was refused or has failed."""

    key: int
    num_samples: int
    is_last: bool = False
    is_flat: bool = False  # constant samples: nothing that a voice says


class Streams(Protocol):
    """Whoever speaks: our engine, or a peer's."""

    rate_hz: int
    patch_samples: int

    def start(self, key: int, num_patches: int) -> None:
        """Somebody wants so many patches of speech, from now on."""

    def step(self) -> Sequence[Sound]:
        """What the next step brings, perhaps nothing."""

    def next_at(self) -> float | None:
        """When a step has something to do: -inf at once, None not before the next start. Monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`num_streams` are always live; newcomers arrive on top of them at Poisson instants, if any.

    What begins within `warm_up_s` of the start is not counted; what is open when `seconds` more are over is counted as
    far as it came.
    """

    num_streams: int
    seconds: float
    warm_up_s: float
    ramp_s: float  # in which the first ones arrive, evenly
    newcomers_per_s: float = 0.0
    newcomer_s: float = 2.0  # of speech
    mean_s: float = MEAN_S
    sigma: float = SIGMA  # 0: all are equally long
    replaced: bool = True  # who has heard all is followed by another
    is_listened_to: bool = True  # or else the next one follows as soon as the last is made
    seed: int = 1


@dataclass(slots=True)
class _Listener:
    arrived_at: float
    is_newcomer: bool
    playout: Playout
    first_s: float | None = None
    worst_gap_s: float = 0.0
    pts: int = 0
    is_over: bool = False


@dataclass(slots=True)
class _Heard:
    first_s: list[float] = field(default_factory=list)
    newcomers_first_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    steps: dict[int, list[float]] = field(default_factory=dict)
    num_samples: int = 0
    num_started: int = 0
    num_ended: int = 0
    num_refused: int = 0
    num_flat: int = 0
    busy_s: float = 0.0


def lengths(seed: int, *, mean_s: float, patch_s: float, sigma: float = SIGMA) -> Iterator[int]:
    """Patches of one stream after the other."""
    generator = np.random.Generator(np.random.PCG64(seed))
    while True:
        seconds = mean_s * math.exp(sigma * generator.standard_normal() - sigma**2 / 2)
        yield max(3, round(seconds / patch_s))


def perform(
    streams: Streams,
    scene: Scene,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Play the scene; never takes much longer than warm-up and seconds."""
    return _Performance(streams, scene, clock, sleep).run()


class _Performance:
    def __init__(
        self, streams: Streams, scene: Scene, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._streams, self._scene, self._clock, self._sleep = streams, scene, clock, sleep
        self._patch_s = streams.patch_samples / streams.rate_hz
        self._lengths = lengths(scene.seed, mean_s=scene.mean_s, patch_s=self._patch_s, sigma=scene.sigma)
        self._keys = itertools.count(1)
        self._open: dict[int, _Listener] = {}
        self._arrivals: list[tuple[float, int, bool]] = []
        self._counted = _Heard()

    def run(self) -> dict[str, Any]:
        scene, streams, clock = self._scene, self._streams, self._clock
        begins_at = clock()
        self._opens_at = begins_at + scene.warm_up_s
        self._closes_at = self._opens_at + scene.seconds
        for index in range(scene.num_streams):
            self._expect(begins_at + scene.ramp_s * index / scene.num_streams, is_newcomer=False)
        for at in self._newcomers(begins_at):
            self._expect(at, is_newcomer=True)
        while (now := clock()) < self._closes_at and (self._arrivals or self._open):
            self._admit(now)
            wake = streams.next_at()
            if wake is None or wake > now:
                following = [at for at in (wake, self._arrivals[0][0] if self._arrivals else None) if at is not None]
                self._sleep(min(_IDLE_S, max(0.0, min(following, default=now + _IDLE_S) - now)))
            if wake is not None and wake <= now + _IDLE_S:
                self._step()
        for listener in self._open.values():
            self._account(listener)
        return self._result(max(1e-9, min(clock(), self._closes_at) - self._opens_at))

    def _newcomers(self, begins_at: float) -> Iterator[float]:
        if self._scene.newcomers_per_s <= 0:
            return
        generator = np.random.Generator(np.random.PCG64([self._scene.seed, 2]))
        at = self._opens_at
        while (at := at + generator.exponential(1 / self._scene.newcomers_per_s)) < self._closes_at:
            yield at

    def _expect(self, at: float, *, is_newcomer: bool) -> None:
        heapq.heappush(self._arrivals, (at, next(self._keys), is_newcomer))

    def _admit(self, now: float) -> None:
        while self._arrivals and self._arrivals[0][0] <= now:
            at, key, is_newcomer = heapq.heappop(self._arrivals)
            playout = Playout(self._streams.rate_hz, _NEVER_LATE_MS)
            self._open[key] = _Listener(at, is_newcomer, playout)
            self._counted.num_started += at >= self._opens_at
            newcomer = max(2, round(self._scene.newcomer_s / self._patch_s))
            self._streams.start(key, newcomer if is_newcomer else next(self._lengths))

    def _step(self) -> None:
        started_at = self._clock()
        sounds = self._streams.step()
        now = self._clock()
        if sounds and started_at >= self._opens_at:
            self._counted.steps.setdefault(len(sounds), []).append(now - started_at)
        if started_at >= self._opens_at:
            self._counted.busy_s += now - started_at
        for sound in sounds:
            listener = self._open.get(sound.key)
            if listener is not None:
                self._hear(listener, sound, now)

    def _hear(self, listener: _Listener, sound: Sound, now: float) -> None:
        counted, playout = self._counted, listener.playout
        if not sound.num_samples:
            counted.num_refused += 1
            self._end(sound.key, listener, now + self._patch_s)  # and tries again
            return
        if listener.first_s is None:
            listener.first_s = now - listener.arrived_at
        before_s = playout.stalled_s
        playout.arrive(listener.pts, sound.num_samples, now)
        listener.worst_gap_s = max(listener.worst_gap_s, playout.stalled_s - before_s)
        listener.pts += sound.num_samples
        if now >= self._opens_at:
            counted.num_samples += sound.num_samples
            counted.num_flat += sound.is_flat
        if sound.is_last:
            assert playout.started_at is not None
            ends_at = playout.started_at + playout.stalled_s + listener.pts / self._streams.rate_hz
            self._end(sound.key, listener, max(now, ends_at) if self._scene.is_listened_to else now)

    def _end(self, key: int, listener: _Listener, at: float) -> None:
        """It has been made; its listener is gone when it has been heard."""
        del self._open[key]
        self._account(listener)
        self._counted.num_ended += 1
        if self._scene.replaced and not listener.is_newcomer:
            self._expect(at, is_newcomer=False)

    def _account(self, listener: _Listener) -> None:
        if listener.arrived_at < self._opens_at and not self._is_old(listener):
            return
        if listener.first_s is not None and listener.arrived_at >= self._opens_at:
            firsts = self._counted.newcomers_first_s if listener.is_newcomer else self._counted.first_s
            firsts.append(listener.first_s)
        self._counted.gaps_s.append(listener.worst_gap_s)

    def _is_old(self, listener: _Listener) -> bool:
        """It came before the window and was heard within it: its gaps count, its first audio does not."""
        started_at = listener.playout.started_at
        return started_at is not None and started_at + listener.pts / self._streams.rate_hz > self._opens_at

    def _result(self, seconds: float) -> dict[str, Any]:
        counted, gaps = self._counted, self._counted.gaps_s
        waiting = [each for each in self._open.values() if each.first_s is None]
        closes_at = self._opens_at + seconds
        audio_s = counted.num_samples / self._streams.rate_hz
        return {
            "streams": self._scene.num_streams,
            "seconds": round(seconds, 2),
            "started": counted.num_started,
            "ended": counted.num_ended,
            "refused": counted.num_refused,
            "never_heard": sum(closes_at - each.arrived_at > 1.0 for each in waiting),
            "first_audio_ms": percentiles(counted.first_s),
            "newcomers_first_audio_ms": percentiles(counted.newcomers_first_s),
            "underruns": {
                "streams": sum(gap > 0 for gap in gaps),
                "of": len(gaps),
                "largest_gap_ms": round(1000 * max(gaps, default=0.0), 2),
                **{f"c{ms}": _share(gaps, ms) for ms in GAPS_MS},
            },
            "audio_s_per_s": round(audio_s / seconds, 2),
            "busy": round(counted.busy_s / seconds, 4),
            "flat_patches": counted.num_flat,
            "steps": {
                str(rows): percentiles(times) | {"n": len(times)} for rows, times in sorted(counted.steps.items())
            },
        }


def is_passed(found: dict[str, Any], *, first_p99_ms: float) -> bool:
    """No underrun, nobody refused or left waiting, and the first audio soon enough."""
    p99 = found["first_audio_ms"]["p99"]
    faults = found["underruns"]["streams"] + found["refused"] + found["never_heard"]
    return not faults and found["underruns"]["of"] > 0 and (p99 is None or p99 <= first_p99_ms)


def _share(gaps_s: Sequence[float], limit_ms: int) -> float | None:
    return round(sum(1000 * gap < limit_ms for gap in gaps_s) / len(gaps_s), 4) if gaps_s else None
