"""`python -m bench.storm`, for real and small, and what it would find."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench.storm import Storm, goals, main


@pytest.mark.full
def test_who_comes_is_let_in_or_told_when_to_come_again_and_who_listens_hears_all(tmp_path: Path) -> None:
    flags = "--server-flags=--max-sessions 44"
    main(["--streams", "4", "--reconnects", "60", "--within", "0.5", "--output", str(tmp_path), flags])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    strangers, resumes = result["strangers"], result["resumes"]
    assert (strangers["ready"], strangers["refused_with_retry_after"], strangers["failed"]) == (40, 20, {})
    assert (resumes["ready"], resumes["refused_with_retry_after"], resumes["failed"]) == (60, 0, {})
    for storm in (strangers, resumes):
        assert (storm["streams"]["faults"], storm["streams"]["listeners_done"]) == (0, 4)
        assert storm["cpu_percent_of_a_core"]["web"] > 0


def test_late_listeners_and_visitors_without_an_answer_miss_a_goal() -> None:
    def verdicts(p99_ms: float | None, num_faults: int, num_failed: int) -> list[bool]:
        storm = Storm(
            is_resume=False, within_s=4.0, num_ready=1, num_refused=1, failed=Counter({"no answer": num_failed})
        )
        storm.rung = {"lateness_ms": {"p99": p99_ms}, "faults": num_faults, "listeners": 1}
        return [goal.is_met for goal in goals([storm])]

    assert verdicts(50.0, 0, 0) == [True, True]
    assert verdicts(50.1, 0, 1) == [False, False]
    assert verdicts(None, 0, 0) == [False, True]
    assert verdicts(1.0, 1, 0) == [False, True]
