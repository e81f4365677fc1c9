"""A step of several rows beside a step of one."""

from __future__ import annotations

import json
from pathlib import Path

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.peer import STAGES
from bench.rows import SIZES, compared, main


def test_every_size_is_measured_and_reported(tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny"
    write_checkpoint(checkpoint, TINY, seed=1, never_stop=True)
    how = ["--checkpoint", str(checkpoint), "--threads", "1", "--rounds", "2"]
    assert main([*how, "--output", str(tmp_path)]) == 0
    (result,) = tmp_path.glob("rows-*.json")
    report = json.loads(result.read_text())
    assert [row["rows"] for row in report["rows"]] == list(SIZES)
    assert all(len(each) == 2 for each in report["ms"].values())


def test_a_ratio_is_of_steps_that_stood_beside_each_other() -> None:
    slow_once = {1: [10.0, 100.0, 10.0], 8: [20.0, 200.0, 20.0]}
    stages = {size: [dict.fromkeys(STAGES, 1.0)] * 3 for size in slow_once}
    assert compared(slow_once, stages)[1]["times one"] == 2.0
