"""`python -m bench.drains`, for real and small, and what it would find."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bench.drains import Ending, goals, main


def test_who_listens_hears_an_end_and_nobody_new_is_let_in(tmp_path: Path) -> None:
    main(["--streams", "8", "--drain-ms", "2000", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["fault_examples"], result["exit_status"]) == ([], 0)
    assert sum(result["ends"].values()) == 8
    assert set(result["ends"]) == {"end", "busy, error"}
    assert result["new_utterance"] == "busy"
    assert result["exit_s"] < 10


def test_who_got_no_end_or_was_let_in_late_or_has_to_wait_misses_a_goal() -> None:
    def verdicts(**found: object) -> list[bool]:
        ending = Ending(num_streams=2, limit_s=2.0)
        ending.refusal_s, ending.num_with_retry_after = [0.01, 0.02], 2
        ending.reasons = Counter({"end": 1, "busy, error": 1})
        ending.exit_s, ending.exit_status = 1.9, 0
        for name, value in found.items():
            setattr(ending, name, value)
        return [goal.is_met for goal in goals(ending)]

    assert all(verdicts())
    assert verdicts(last_let_in_s=0.2) == [False, True, True, True]
    assert verdicts(refusal_s=[0.01, 0.3]) == [True, False, True, True]
    assert verdicts(num_with_retry_after=1) == [True, False, True, True]
    assert verdicts(reasons=Counter({"end": 1, "no done": 1})) == [True, True, False, True]
    assert verdicts(exit_s=None) == [True, True, True, False]
    assert verdicts(exit_status=-9) == [True, True, True, False]
