"""`python -m bench.resets`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

from bench.resets import Trial, goals, main


def test_a_listener_whose_socket_is_reset_loses_nothing(tmp_path: Path) -> None:
    main(["--trials", "6", "--together", "6", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["trials"], result["wrong"]) == (6, {})
    assert result["samples_checked"] > 6 * 3 * 44_100
    assert result["resumed_ms"]["n"] == 6
    assert result["goals"][0]["is_met"]


def test_a_trial_that_went_wrong_and_too_many_gaps_miss_the_goals() -> None:
    heard, silent, wrong = Trial(), Trial(silence_s=0.01), Trial(wrong="expected seq 3, got 4")
    assert [goal.is_met for goal in goals(19 * [heard] + [silent])] == [True, True]
    assert [goal.is_met for goal in goals(18 * [heard] + 2 * [silent])] == [True, False]
    assert [goal.is_met for goal in goals(19 * [heard] + [wrong])] == [False, True]
