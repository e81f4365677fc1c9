"""`python -m bench.poison`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

from bench.poison import Affair, main


def test_one_who_kills_is_refused_and_all_others_hear_every_sample(tmp_path: Path) -> None:
    main(["--streams", "4", "--killers", "1", "--trials", "1", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    (affair,) = result["affairs"]
    assert (affair["killers"], len(affair["deaths"]), affair["longest_wait_ms"]["n"]) == (1, 1, 4)
    assert affair["deaths"][0] >= 3
    assert result["goals"][0]["is_met"]


def test_a_killer_that_goes_on_a_stream_that_is_not_whole_and_a_death_too_many_miss_the_goals() -> None:
    affair = Affair(num_killers=2, deaths=[4], verdicts_s=[1.0], waits_s=[0.5], silences_s=[0.0], num_healthy=3)
    assert [goal.is_met for goal in affair.goals] == [True, True]
    affair.num_spared, affair.deaths = 1, [4, 6]
    assert [goal.is_met for goal in affair.goals] == [False, False]
    affair.num_spared, affair.num_wrong = 0, 1
    assert not affair.goals[0].is_met
