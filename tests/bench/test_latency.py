"""`python -m bench.latency`, for real and small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.conversation import STAGES
from bench.latency import main, verdict


def figures(p50: float, p99: float, maximum: float | None = None) -> dict[str, Any]:
    return {"n": 200, "p50": p50, "p95": p99, "p99": p99, "max": p99 if maximum is None else maximum}


@pytest.mark.full
def test_every_scene_is_measured_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", "--model", "tone", "--listeners", "4", "--warm-up", "0", "--output", str(tmp_path)]
    assert main(arguments) == 0
    (path,) = tmp_path.glob("latency-*.json")
    scenes = json.loads(path.read_text())["scenes"]
    assert [scene["scene"] for scene in scenes] == ["one listener", "barge-in", "4 listeners at once"]
    for scene in scenes:
        assert scene["first_audio_ms"]["n"] == {"one listener": 5, "barge-in": 3}.get(scene["scene"], 4)
        assert 0 < scene["first_audio_ms"]["p50"] < 1000
        total = sum(scene["stages_ms"][stage]["p50"] for stage in STAGES)
        assert total == pytest.approx(scene["first_audio_ms"]["p50"], rel=0.5, abs=5)
    assert scenes[2]["frames"] > 4 * 10
    assert "16 listeners" not in capsys.readouterr().out


def test_without_a_server_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--url", "http://127.0.0.1:1"]) == 1
    assert "expected a server on port 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ({"first_audio_ms": figures(15, 40)}, "ok"),
        ({"first_audio_ms": figures(15.1, 40)}, "p50 over 15 ms"),
        ({"first_audio_ms": figures(3, 41)}, "p99 over 40 ms"),
        ({"first_audio_ms": figures(90, 120), "underruns": {"gaps": 0}}, "ok"),
        ({"first_audio_ms": figures(90, 121), "underruns": {"gaps": 2}}, "p99 over 120 ms, 2 underruns"),
        (
            {"first_audio_ms": figures(3, 4), "last_audio_after_cancel_ms": figures(0, 1, 20.5)},
            "audio 20.5 ms after a cancel",
        ),
    ],
)
def test_a_scene_is_held_against_its_goals(scene: dict[str, Any], expected: str) -> None:
    assert verdict(scene) == expected
