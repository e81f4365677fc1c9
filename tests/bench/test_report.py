"""Reports: percentiles, tables, files."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

from bench.report import commit, machine, percentiles, table, write


def test_percentiles_are_milliseconds() -> None:
    found = percentiles([n / 1000 for n in range(101)])
    assert found == {"n": 101, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_without_values_there_is_no_percentile() -> None:
    assert percentiles([]) == {"n": 0, "p50": None, "p95": None, "p99": None, "max": None}


def test_a_table_is_aligned_markdown() -> None:
    rows: list[dict[str, object]] = [{"listeners": 250, "p99": 3.14159}, {"listeners": 1000, "p99": None}]
    assert table(rows) == ("| listeners | p99 |\n| --------- | --- |\n| 250       | 3.1 |\n| 1000      | -   |")
    assert table([]) == ""


def test_a_report_says_what_it_was_measured_on_and_not_by_whom(tmp_path: Path) -> None:
    path = write("load", {"rungs": [1]}, tmp_path / "new")
    assert re.fullmatch(r"load-\d{8}\.json", path.name)
    report = json.loads(path.read_text())
    assert report["rungs"] == [1]
    assert report["machine"]["cores"] >= 1
    assert "uvicorn" in report["machine"]["packages"]
    assert platform.node() not in path.read_text()


def test_the_commit_is_told_where_there_is_one() -> None:
    found = commit()
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", found["commit"])
    assert set(machine()) == {"cpu", "cores", "memory_gib", "kernel", "python", "packages"}
