from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import host


@pytest.mark.parametrize("overlapped", [False, True])
def test_cost_of_a_row_is_measured_without_the_models(overlapped: bool) -> None:
    run = host.measure(8, 100, 5, overlapped, num_rounds=3)
    assert (run["rows"], run["streams"]) == (8, 100)
    assert 0.5 < run["us_per_row"] < 1000
    assert run["us_per_step"] == pytest.approx(8 * run["us_per_row"], rel=0.02)


def test_command_keeps_what_it_found(tmp_path: Path) -> None:
    assert host.main(["--quick", "--streams", "100", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("host-*.json")
    assert [run["rows"] for run in json.loads(path.read_text())["runs"]] == [*host.ROWS, *host.ROWS]
