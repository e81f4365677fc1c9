"""`python -m bench.reliability`: the table of all goals."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import reliability
from bench.goals import Goal
from bench.reliability import BENCHES, main, measure


def test_the_goals_of_a_bench_come_into_the_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--quick", "--only", "idle"])
    told = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    assert [cell.strip() for cell in told[0].split("|")[1:4]] == ["what", "goal", "measured"]
    assert [line.split("|")[2].strip() for line in told[2:]] == ["<= 40 KiB", "100"]
    assert status == int(any("MISSED" in line for line in told))


def test_a_bench_that_leaves_no_result_is_a_goal_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(BENCHES, "drains", (lambda _: 1, ()))
    (goal,) = measure("drains", tmp_path)
    assert goal == Goal(what="bench.drains", goal="measured", measured="not", is_met=False)
    assert not list(tmp_path.iterdir())
    assert reliability.main(["--only", "drains"]) == 1
