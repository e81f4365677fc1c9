"""Listeners as arithmetic, on a clock that only a step moves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest

from bench.gpu_streams import MEAN_S, Scene, Sound, is_passed, lengths, perform


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-4)


class Speaker:
    """A step of `step_s` gives every open stream a patch of 160 ms; of more than `max_streams` the last are refused."""

    rate_hz, patch_samples = 1000, 160

    def __init__(self, clock: Clock, step_s: float, max_streams: int = 1000) -> None:
        self.clock, self.step_s, self.max_streams = clock, step_s, max_streams
        self.left: dict[int, int] = {}
        self.refused: list[int] = []

    def start(self, key: int, num_patches: int) -> None:
        if len(self.left) < self.max_streams:
            self.left[key] = num_patches
        else:
            self.refused.append(key)

    def step(self) -> Sequence[Sound]:
        self.clock.now += self.step_s
        sounds = [Sound(key, 0, is_last=True) for key in self.refused]
        self.refused = []
        for key in list(self.left):
            self.left[key] -= 1
            sounds.append(Sound(key, self.patch_samples, is_last=not self.left[key]))
            if not self.left[key]:
                del self.left[key]
        return sounds

    def next_at(self) -> float | None:
        return float("-inf") if self.left or self.refused else None


def performed(step_s: float, max_streams: int = 1000, **arguments: Any) -> dict[str, Any]:
    clock = Clock()
    values: dict[str, Any] = {"num_streams": 5, "seconds": 20.0, "warm_up_s": 5.0, "ramp_s": 1.0} | arguments
    return perform(Speaker(clock, step_s, max_streams), Scene(**values), clock=clock, sleep=clock.sleep)


def test_listeners_of_a_fast_voice_hear_no_gap_and_are_replaced_when_they_have_heard_all() -> None:
    found = performed(0.05)
    assert found["underruns"]["streams"] == 0
    assert (found["underruns"]["c50"], found["underruns"]["largest_gap_ms"]) == (1.0, 0.0)
    assert found["audio_s_per_s"] == pytest.approx(5, rel=0.35)  # five listeners hear five seconds in a second
    assert 50 <= found["first_audio_ms"]["p50"] <= 100  # one step, and what was left of the one before
    assert found["started"] >= 5
    assert is_passed(found, first_p99_ms=100)
    assert not is_passed(found, first_p99_ms=10)


def test_a_voice_slower_than_real_time_lets_every_listener_run_dry() -> None:
    found = performed(0.22)
    assert found["underruns"]["streams"] == found["underruns"]["of"] > 0
    assert found["underruns"]["largest_gap_ms"] == pytest.approx(60, abs=1)
    assert (found["underruns"]["c50"], found["underruns"]["c100"]) == (0.0, 1.0)
    assert found["busy"] == pytest.approx(1, abs=0.05)
    assert not is_passed(found, first_p99_ms=1000)


def test_who_is_refused_is_counted_and_not_taken_for_heard() -> None:
    found = performed(0.01, max_streams=3)
    assert found["refused"] > 0
    assert not is_passed(found, first_p99_ms=100)


def test_newcomers_are_timed_apart_from_those_who_were_there() -> None:
    found = performed(0.02, newcomers_per_s=4.0, newcomer_s=0.5)
    assert 40 < found["newcomers_first_audio_ms"]["n"] < 130
    assert found["newcomers_first_audio_ms"]["p50"] <= 50


def test_steps_are_counted_by_their_rows() -> None:
    found = performed(0.05, replaced=False, mean_s=2.0, warm_up_s=0.0, ramp_s=0.01)
    assert set(found["steps"]) <= {"1", "2", "3", "4", "5"}
    assert found["steps"]["5"]["p50"] == pytest.approx(50)
    assert found["seconds"] < 10  # over when all have heard theirs


def test_lengths_are_the_same_every_time_and_about_as_long_as_they_should_be() -> None:
    first, second = (list(islice(lengths(3, mean_s=MEAN_S, patch_s=0.16), 400)) for _ in range(2))
    assert first == second
    assert sum(first) * 0.16 / 400 == pytest.approx(MEAN_S, rel=0.1)
    assert min(first) >= 3
