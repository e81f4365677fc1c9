"""`python -m bench.load`, for real and small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.load import main
from streaming_server.audio.opus import opus_available


def rung_of(path: Path, arguments: list[str]) -> dict[str, Any]:
    assert main(["--quick", "--output", str(path), *arguments]) == 0
    (result,) = path.glob("load-*.json")
    (rung,) = json.loads(result.read_text())["rungs"]
    assert isinstance(rung, dict)
    return rung


def test_pcm_listeners_lose_nothing_and_are_accounted_for(tmp_path: Path) -> None:
    rung = rung_of(tmp_path, ["--ladder", "6", "--check-every", "1"])
    assert (rung["faults"], rung["fault_examples"]) == (0, [])
    assert rung["listeners_done"] == 6
    assert 60 <= rung["frames"] <= 90  # two seconds of 6.25 frames
    assert rung["frames_compared"] > rung["frames"]  # the ramp's, too
    assert rung["payload_kbit_per_s"] == pytest.approx(705.6, rel=0.2)
    assert set(rung["cpu_s"]) == {"web", "engine", "generator"}
    assert rung["first_audio_ms"]["n"] == 6


@pytest.mark.full
@pytest.mark.skipif(not opus_available(), reason="the system has no libopus")
def test_opus_listeners_lose_nothing(tmp_path: Path) -> None:
    rung = rung_of(tmp_path, ["--ladder", "4", "--codec", "opus", "--generators", "1"])
    assert (rung["faults"], rung["fault_examples"]) == (0, [])
    assert rung["listeners_done"] == 4
    assert 20 < rung["payload_kbit_per_s"] < 60


def test_without_a_server_every_listener_is_a_fault(tmp_path: Path) -> None:
    rung = rung_of(tmp_path, ["--ladder", "2", "--seconds", "0.2", "--url", "http://127.0.0.1:1"])
    assert rung["faults"] == 2
    assert rung["fault_examples"][0].startswith("listener 1: expected a server on port 1")
    assert rung["verdict"] == "2 faults, 2 listeners not served to the end"
