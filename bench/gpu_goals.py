"""The goals, and what was measured for each: met, missed, or not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Found = Mapping[str, Any]
"""What the stages found, by stage."""

LONG_S = 60.0
"""A window shorter than this says how many streams hold, not that they hold for a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`measured` gives a number, None where it was not measured. `at_most`: less is better."""

    name: str
    unit: str
    goal: float
    stretch: float | None
    at_most: bool
    measured: Callable[[Found], float | None]
    profile: Callable[[Found], Any]  # what to look at where it is missed

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        if self.stretch is not None and self._reached(value, self.stretch):
            return "met, stretch too"
        return "met" if self._reached(value, self.goal) else "missed"

    def _reached(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def at(*path: str | int) -> Callable[[Found], Any]:
    """What lies under those names and indices, None where anything is missing."""

    def look(found: Found) -> Any:
        value: Any = found
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    return look


def _bucket(*path: str) -> Callable[[Found], Any]:
    """Of the bucket of one row."""

    def look(found: Found) -> Any:
        rows = at("steps", "buckets")(found) or []
        one = next((row for row in rows if row["rows"] == 1), None)
        return None if one is None else at(*path)(one)

    return look


def _step_ms(found: Found) -> float | None:
    return _bucket("wall_ms", "p50")(found)  # type: ignore[no-any-return]


def _largest(found: Found) -> Mapping[str, Any] | None:
    rows = at("steps", "buckets")(found)
    return rows[-1] if rows else None


def _vae_share(found: Found) -> float | None:
    row = _largest(found)
    return None if row is None or "vae_share" not in row else 100 * row["vae_share"]


def _percent(*path: str) -> Callable[[Found], float | None]:
    def look(found: Found) -> float | None:
        value = at(*path)(found)
        return None if value is None else 100 * float(value)

    return look


def _streams(found: Found) -> float | None:
    """The most that held for a minute; without such a window, the most that held at all (`note` says how long)."""
    longest = at("ladder", "longest")(found)
    if longest and longest["passed"]:
        return float(longest["streams"])
    return at("ladder", "highest_passing")(found)  # type: ignore[no-any-return]


def _peer(name: str) -> Callable[[Found], float | None]:
    return at("peers", "against", "nano", name)


def _memory(found: Found) -> float | None:
    return at("memory", "budget", "used_gib")(found)  # type: ignore[no-any-return]


def _goal(
    name: str,
    unit: str,
    goal: float,
    stretch: float | None,
    measured: Callable[[Found], float | None],
    profile: Callable[[Found], Any],
    *,
    at_most: bool = True,
) -> Goal:
    return Goal(name=name, unit=unit, goal=goal, stretch=stretch, at_most=at_most, measured=measured, profile=profile)


_PARTS = at("steps", "buckets")
_RUNGS = at("ladder", "rungs", -1, "steps")
_ONE_OVER_A_SOCKET = ("server", "one_listener", "first_audio_ms")
_NEWCOMERS = ("server", "poisson", "newcomers_first_audio_ms")

GOALS = (
    _goal("step at batch 1", "ms", 2.0, 1.3, _step_ms, _PARTS),
    _goal("first audio over a loopback WebSocket, one listener, p50", "ms", 8.0, 5.0,
          at(*_ONE_OVER_A_SOCKET, "p50"), at("server", "one_listener")),
    _goal("first audio over a loopback WebSocket, one listener, p99", "ms", 15.0, None,
          at(*_ONE_OVER_A_SOCKET, "p99"), at("server", "one_listener")),
    _goal("real-time streams without an underrun, first audio p99 <= 100 ms", "streams", 1000, 1500,
          _streams, _RUNGS, at_most=False),
    _goal("offline throughput", "audio s/s", 1200, 1600, at("offline", "audio_s_per_s"), at("offline", "steps"),
          at_most=False),
    _goal("Poisson arrivals onto 512 live streams, first audio p50", "ms", 20.0, None,
          at(*_NEWCOMERS, "p50"), at("ladder", "poisson")),
    _goal("Poisson arrivals onto 512 live streams, first audio p99", "ms", 40.0, None,
          at(*_NEWCOMERS, "p99"), at("ladder", "poisson")),
    _goal("codec's share of a step, largest bucket", "%", 12.0, 8.0, _vae_share, _PARTS),
    _goal("host bubble at saturation", "%", 3.0, 1.0, _percent("steps", "saturation", "bubble"),
          at("steps", "saturation")),
    _goal("MFU at saturation, of 790 TFLOP/s", "%", 50.0, 60.0, _percent("steps", "saturation", "mfu"), _PARTS,
          at_most=False),
    _goal("time of a step alone, against nano-vllm-voxcpm", "times", 3.0, None, _peer("step"), at("peers"),
          at_most=False),
    _goal("streams without an underrun, against nano-vllm-voxcpm", "times", 5.0, None, _peer("streams"),
          at("peers"), at_most=False),
    _goal("device memory for 8 streams of 60 s", "GiB", 4.0, 3.0, _memory, at("memory", "budget")),
    _goal("server ready, nothing compiled yet", "s", 60.0, None, at("memory", "cold_start_s"), at("memory")),
    _goal("server ready, a second time", "s", 15.0, None, at("memory", "warm_start_s"), at("memory")),
)  # fmt: skip


def judged(found: Found, *, rehearsal: bool) -> list[dict[str, Any]]:
    """A row for each goal; where it is missed, with what shows why."""
    rows: list[dict[str, Any]] = []
    for goal in GOALS:
        value = goal.measured(found)
        verdict = "rehearsal" if rehearsal else goal.verdict(value)
        row: dict[str, Any] = {
            "goal": goal.name,
            "needed": f"{'<=' if goal.at_most else '>='} {goal.goal:g} {goal.unit}",
            "stretch": None if goal.stretch is None else f"{goal.stretch:g}",
            "measured": None if value is None else round(float(value), 3),
            "verdict": verdict,
            "note": _note(goal, found),
        }
        if verdict == "missed":
            row["profile"] = goal.profile(found)
        rows.append(row)
    return rows


def _note(goal: Goal, found: Found) -> str:
    if goal.measured is _streams:
        window = at("ladder", "longest")(found) or at("ladder", "rungs", -1)(found)
        if window and window["seconds"] < LONG_S - 1:
            return f"over {window['seconds']:.0f} s only"
    if "512" in goal.name:
        live = at("server", "poisson", "live")(found)
        if live is not None and live != 512:
            return f"onto {live} live streams only"
    return ""


def names(rows: Sequence[Mapping[str, Any]], verdict: str) -> list[str]:
    """The goals that have that verdict."""
    return [row["goal"] for row in rows if row["verdict"] == verdict]
