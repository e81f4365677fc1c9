"""Goals, judged from what stages may have found."""

from __future__ import annotations

from typing import Any

from bench.gpu_goals import GOALS, judged, names

PERCENTILES = {"n": 9, "p50": 7.0, "p95": 12.0, "p99": 20.0, "max": 30.0}


def verdicts(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["goal"]: row for row in judged(found, rehearsal=False)}


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    rows = judged({}, rehearsal=False)
    assert len(rows) == len(GOALS)
    assert {row["verdict"] for row in rows} == {"not measured"}


def test_met_and_missed_goals_are_told_apart_and_a_missed_one_shows_why() -> None:
    bucket = {"rows": 1, "wall_ms": {"p50": 1.25}, "vae_share": 0.1}
    found = {
        "steps": {"buckets": [bucket], "saturation": {"bubble": 0.05, "mfu": 0.51}},
        "server": {"one_listener": {"first_audio_ms": PERCENTILES}},
        "offline": {"audio_s_per_s": 1300.0},
        "peers": {"against": {"nano": {"step": 2.5, "streams": 8.0}}},
    }
    rows = verdicts(found)
    assert rows["step at batch 1"]["verdict"] == "met, stretch too"
    assert rows["host bubble at saturation"]["verdict"] == "missed"
    assert rows["host bubble at saturation"]["profile"] == found["steps"]["saturation"]  # type: ignore[index]
    assert rows["MFU at saturation, of 790 TFLOP/s"]["verdict"] == "met"
    assert rows["offline throughput"]["verdict"] == "met"
    assert set(names(list(rows.values()), "missed")) == {
        "host bubble at saturation",
        "first audio over a loopback WebSocket, one listener, p99",
        "time of a step alone, against nano-vllm-voxcpm",
    }


def test_streams_that_held_for_a_shorter_while_say_so() -> None:
    name = "real-time streams without an underrun, first audio p99 <= 100 ms"
    rung = {"streams": 1000, "seconds": 6.0, "steps": {}, "passed": True}
    row = verdicts({"ladder": {"highest_passing": 1000, "rungs": [rung]}})[name]
    assert (row["verdict"], row["note"]) == ("met", "over 6 s only")
    longest = rung | {"seconds": 60.0}
    row = verdicts({"ladder": {"highest_passing": 1000, "rungs": [rung], "longest": longest}})[name]
    assert (row["measured"], row["note"]) == (1000.0, "")


def test_a_rehearsal_judges_nothing() -> None:
    rows = judged({"offline": {"audio_s_per_s": 9000.0}}, rehearsal=True)
    assert {row["verdict"] for row in rows} == {"rehearsal"}
