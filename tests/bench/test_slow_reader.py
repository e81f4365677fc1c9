"""`python -m bench.slow_reader`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

from bench.slow_reader import Deaf, goals, main


def test_a_client_that_never_reads_is_cut_and_its_speech_is_heard_by_the_next_connection(tmp_path: Path) -> None:
    main(["--quick", "--server-flags=--tcp-user-timeout-ms 1000", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    (way,) = json.loads(path.read_text())["ways"]
    assert (way["codec"], way["fault"]) == ("opus", None)
    assert 0 < way["queued_s"] < 30
    assert 0.5 < way["freed_s"] < 15


def test_what_is_queued_or_kept_for_too_long_or_lost_misses_a_goal() -> None:
    def verdicts(deaf: Deaf) -> list[bool]:
        well = Deaf(codec="opus", lead_ms=4000, queued_s=1.0, freed_s=4.0)
        return [goal.is_met for goal in goals([well, deaf])]

    assert verdicts(Deaf(codec="opus", lead_ms=4000, queued_s=2.0, freed_s=5.0)) == [True, True, True]
    assert verdicts(Deaf(codec="opus", lead_ms=4000, queued_s=2.1, freed_s=5.1)) == [False, False, True]
    assert verdicts(Deaf(codec="opus", lead_ms=4000, queued_s=2.0)) == [True, False, True]
    assert verdicts(Deaf(codec="opus", lead_ms=4000, freed_s=1.0, fault="lost")) == [True, True, False]
