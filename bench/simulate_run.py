"""One run of the simulator: listeners who come at random, the real engine for each device, and what they hear."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, log
from typing import cast

import numpy as np

from models.base import SpeechParams
from models.engine import Closed, Engine, Extend, Failed, Finish, Open, Seal, Spoke, warm_up

from .simulate_model import PATCH_S, RATE_HZ, SimulatedModel, VirtualClock
from .simulate_times import StepModel

SIGMA = 0.7
"""Of the logarithm of a length."""

RAMP_S = 4.0
"""Over which those come who speak already when the measurement begins."""

START_S = 1000.0
"""When it begins; warming up is long over then."""

CAPACITY_STEPS = 200
"""So often a device is asked anew how many listeners it has time for."""

PARAMS = SpeechParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`rate`: arrivals a second, over all devices. `num_arrivals` of them are measured; before the first there are
    already as many listeners as there will be on average."""

    num_gpus: int
    num_arrivals: int
    rate: float
    seed: int = 0
    mean_s: float = 8.0  # of speech
    segment_s: float = 4.0  # a longer text has more segments
    lead_s: float = 4.0
    max_slots: int = 4000  # of a device
    host_us_per_row: float = 12.0


class Listener:
    """Plays from the first patch on."""

    __slots__ = ("asked_at", "dry_at", "first_at", "is_measured", "num_gaps", "refused", "worst_gap_s")

    def __init__(self, asked_at: float, is_measured: bool) -> None:
        self.asked_at = asked_at
        self.is_measured = is_measured
        self.refused = False
        self.first_at = inf
        self.dry_at = inf
        self.worst_gap_s = 0.0
        self.num_gaps = 0

    def hear(self, at: float) -> None:
        if self.first_at == inf:
            self.first_at = self.dry_at = at
        elif at > self.dry_at:
            self.worst_gap_s = max(self.worst_gap_s, at - self.dry_at)
            self.num_gaps += 1
            self.dry_at = at
        self.dry_at += PATCH_S


class Gpu:
    """A device, its engine, and what has been told it since its last turn."""

    def __init__(self, steps: StepModel, scenario: Scenario) -> None:
        self.clock = VirtualClock()
        host_s = scenario.host_us_per_row / 1e6
        self.model = SimulatedModel(steps, self.clock, max_slots=scenario.max_slots, host_s=host_s)
        self.engine = Engine(self.model, clock=self.clock)
        warm_up(self.engine)
        self.capacity = self.engine.tempo.capacity
        self.inbox: list[tuple[int, int]] = []
        self.num_listeners = 0
        self.wake_at = inf
        self.busy_before_s = 0.0

    def turn(self, listeners: list[Listener], lead: int, segment: int) -> None:
        """What the engine's thread does: obey, step, tell."""
        engine, apply = self.engine, self.engine.apply
        for key, num_patches in self.inbox:
            apply(Open(key, key, "nobody", PARAMS, lead))
            for at in range(0, num_patches, segment):
                apply(Extend(key, "x" * min(segment, num_patches - at)))
                apply(Seal(key))
            apply(Finish(key))
        self.inbox.clear()
        step = engine.step()
        if step is not None:
            now = self.clock.now
            for event in step.events:
                listener = listeners[cast("int", event.stream)]  # opened above
                if isinstance(event, Spoke):
                    listener.hear(now)
                elif isinstance(event, Closed | Failed):
                    self.num_listeners -= 1
                    listener.refused = isinstance(event, Failed)
        if self.model.num_steps % CAPACITY_STEPS == 0:
            self.capacity = engine.tempo.capacity
        wake = engine.next_wake()
        self.wake_at = inf if wake is None else max(self.clock.now, wake)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of those who were measured."""

    listeners: list[Listener]
    virtual_s: float
    utilisation: float  # of the devices' time while listeners came
    num_steps: int
    num_rows: int
    capacity: float  # listeners of one device, as its engine knows it in the end


def simulate(steps: StepModel, scenario: Scenario) -> Outcome:
    """Everything that happens, in the order of time. A device that makes a step is told of nothing until its turn is
    over, as the engine's thread is."""
    gpus = [Gpu(steps, scenario) for _ in range(scenario.num_gpus)]
    lead, segment = int(scenario.lead_s * RATE_HZ), max(1, round(scenario.segment_s / PATCH_S))
    listeners: list[Listener] = []
    agenda: list[tuple[float, int]] = []  # turns of devices; of each the latest counts
    num_s = 0.0
    for at, length_s, is_measured in arrivals(scenario):
        while agenda and agenda[0][0] <= at:
            _turn(gpus, agenda, listeners, lead, segment)
        if is_measured and not num_s:
            for gpu in gpus:
                gpu.busy_before_s = gpu.model.busy_s
        num_s = at - START_S if is_measured else 0.0
        place = min(range(len(gpus)), key=lambda i: (gpus[i].num_listeners + 1) / gpus[i].capacity)
        gpu = gpus[place]
        gpu.inbox.append((len(listeners), max(1, ceil(length_s / PATCH_S))))
        gpu.num_listeners += 1
        listeners.append(Listener(at, is_measured))
        wake_at = max(gpu.clock.now, at)
        if wake_at < gpu.wake_at:
            gpu.wake_at = wake_at
            heapq.heappush(agenda, (wake_at, place))
    busy_s = sum(gpu.model.busy_s - gpu.busy_before_s for gpu in gpus)
    while agenda:
        _turn(gpus, agenda, listeners, lead, segment)
    return Outcome(
        [listener for listener in listeners if listener.is_measured],
        num_s,
        busy_s / (len(gpus) * num_s) if num_s else 0.0,
        sum(gpu.model.num_steps for gpu in gpus),
        sum(gpu.model.num_rows for gpu in gpus),
        gpus[0].engine.tempo.capacity,
    )


def arrivals(scenario: Scenario) -> Iterator[tuple[float, float, bool]]:
    """When, how much speech in seconds, and whether it is measured; in the order of time."""
    draw = np.random.default_rng(scenario.seed)
    mu = log(scenario.mean_s) - SIGMA**2 / 2
    num_before = draw.poisson(scenario.rate * scenario.mean_s)
    # Who is met at a moment speaks long: lengths by their own weight (of a log-normal: shifted), anywhere in it.
    left_s = draw.lognormal(mu + SIGMA**2, SIGMA, num_before) * draw.random(num_before)
    came_at = np.sort(draw.uniform(START_S - RAMP_S, START_S, num_before))
    yield from ((at, left + START_S - at, False) for at, left in zip(came_at.tolist(), left_s.tolist(), strict=True))
    times = START_S + np.cumsum(draw.exponential(1 / scenario.rate, scenario.num_arrivals))
    lengths = draw.lognormal(mu, SIGMA, scenario.num_arrivals)
    yield from ((at, length, True) for at, length in zip(times.tolist(), lengths.tolist(), strict=True))


def _turn(gpus: list[Gpu], agenda: list[tuple[float, int]], listeners: list[Listener], lead: int, segment: int) -> None:
    at, place = heapq.heappop(agenda)
    gpu = gpus[place]
    if at != gpu.wake_at:
        return
    gpu.clock.wait(at)
    gpu.turn(listeners, lead, segment)
    if gpu.wake_at < inf:
        heapq.heappush(agenda, (gpu.wake_at, place))
