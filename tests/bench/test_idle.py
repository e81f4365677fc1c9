"""`python -m bench.idle`, for real and small, and what it would find."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.idle import Crowd, goals, main
from bench.processes import pss_bytes, usage


def test_connections_that_say_nothing_are_kept_by_pings(tmp_path: Path) -> None:
    flags = "--server-flags=--ping-interval-ms 300 --ping-timeout-ms 300"
    main(["--connections", "40", "--seconds", "1.5", flags, "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["num_ready"], result["num_kept"]) == (40, 40)
    assert result["num_pings"] >= 2 * 40
    assert result["before_pss_mib"] > 10


def test_a_share_of_memory_is_no_more_than_all_of_it() -> None:
    assert 0 < pss_bytes(os.getpid()) <= 1.1 * usage([os.getpid()]).rss_bytes
    assert pss_bytes(2**30) == 0


def test_a_heavy_connection_and_a_lost_one_miss_a_goal() -> None:
    def verdicts(crowd: Crowd) -> list[bool]:
        return [goal.is_met for goal in goals(crowd, 10)]

    assert verdicts(Crowd(num_ready=10, kib_each=40.0, num_kept=10)) == [True, True]
    assert verdicts(Crowd(num_ready=10, kib_each=40.1, num_kept=9)) == [False, False]
    assert verdicts(Crowd(num_ready=9, kib_each=1.0, num_kept=9)) == [False, False]
