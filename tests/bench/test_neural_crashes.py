"""`python -m bench.neural_crashes`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.bystander import Heard
from bench.neural_crashes import EXACT_DB, Recoveries, below_db, goals, main
from bench.playout import Playout
from bench.recovery import SAID, stages_s

SPEECH = np.random.default_rng(1).normal(0, 3000, 640).astype(np.int16)


def heard(pcm: np.ndarray, *arrivals: float) -> Heard:
    """160 samples of it at 1 kHz at each of these instants."""
    each = Heard(playout=Playout(1000, 320))
    for number, at in enumerate(arrivals):
        data = pcm[160 * number : 160 * (number + 1)].tobytes()
        each.take({"type": "audio", "pts": 160 * number, "samples": 160, "data": data}, at)
    each.take({"type": "done", "reason": "end"}, arrivals[-1])
    return each


@pytest.mark.full
@pytest.mark.parametrize("how", ["--standby", "--no-standby"])
def test_voxcpm_goes_on_after_its_engine_was_killed(tmp_path: Path, how: str) -> None:
    main([how, "--streams", "2", "--trials", "1", "--chars", "60", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    found = result["standby" if how == "--standby" else "cold"]
    assert (found["utterances"], found["wrong"], found["other_lengths"]) == (2, {}, 0)
    stages = [found["stages_ms"][stage]["max"] for stage in SAID if stage in found["stages_ms"]]
    assert len(stages) == (4 if how == "--standby" else 7)
    assert stages == sorted(stages)
    assert [goal["is_met"] for goal in result["goals"] if "sample lost" in goal["what"] or "dB" in goal["what"]] == [
        True,
        True,
    ]


def test_the_first_patch_of_the_new_engine_is_compared_by_itself() -> None:
    found, other = Recoveries(), SPEECH.copy()
    other[320:480] += 3
    found.take(heard(other, 0.0, 0.1, 0.9, 1.9), SPEECH, killed_at=0.2, back_at=0.5)
    assert found.first_patch_s == [pytest.approx(0.7)]
    assert found.pauses_s == [pytest.approx(1.0)]
    assert found.before_db == found.after_db == [EXACT_DB]
    assert found.join_db == [pytest.approx(20 * np.log10(1000), abs=2)]
    assert [goal.is_met for goal in goals("standby", found, is_tiny=True)] == [True, True, False]
    assert len(goals("standby", found, is_tiny=False)) == 2


def test_lost_samples_and_utterances_that_ended_too_early_miss_the_goal() -> None:
    found = Recoveries()
    found.take(heard(SPEECH, 0.0, 0.1, 0.9), SPEECH, killed_at=0.2, back_at=0.3)
    found.take(heard(SPEECH, 0.0, 0.1, 0.15, 0.17), SPEECH, killed_at=0.2, back_at=0.3)
    assert found.num_other_lengths == 1
    assert found.wrong == {"over before its engine was killed": 1}
    assert goals("cold", found, is_tiny=True)[0].measured == "2 of 2"


def test_who_is_refused_waits_for_nothing_more() -> None:
    refused = Heard(playout=Playout(1000, 320))
    refused.take({"type": "error", "code": "busy", "message": "no room"}, 0.0)
    assert (refused.is_over, refused.wrong) == (True, "busy: no room")


def test_speech_without_a_difference_is_as_far_below_as_16_bits_go() -> None:
    assert below_db(SPEECH, SPEECH) == EXACT_DB
    assert below_db(SPEECH // 2, SPEECH) == pytest.approx(6, abs=0.1)


def test_stages_are_those_after_the_kill_and_not_of_the_next_that_stands_by(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = [SAID["connected"], SAID["detected"], SAID["connected"]]
    times = ["00:00:01.000", "00:00:02.250", "00:00:02.500"]
    lines = [json.dumps({"time": f"2026-01-01T{at}Z", "message": each}) for at, each in zip(times, said, strict=True)]
    lines += ["a library says something", json.dumps({"time": "2026-01-01T00:00:04.500Z", "message": "loading"})]
    log.write_text("\n".join(lines))
    assert stages_s(log, 1767225602.0) == {"detected": pytest.approx(0.25), "connected": pytest.approx(0.5)}
