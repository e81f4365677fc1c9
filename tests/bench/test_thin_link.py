"""`python -m bench.thin_link`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.thin_link import Heard, goals, main
from streaming_server.audio.opus import opus_available


@pytest.mark.full
@pytest.mark.skipif(not opus_available(), reason="the system has no libopus")
def test_nothing_is_lost_where_nothing_goes_through_for_a_while(tmp_path: Path) -> None:
    main(["--seconds", "1", "--outage", "1", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["is_whole"], result["faults"]) == (True, [])
    assert 0.3 < result["first_audio_s"] < 5
    assert result["seconds"] > 4


def test_late_audio_gaps_and_losses_miss_a_goal() -> None:
    def verdicts(heard: Heard) -> list[bool]:
        return [goal.is_met for goal in goals(heard, 10.0)]

    assert verdicts(Heard(first_audio_s=0.5, is_whole=True)) == [True, True, True]
    assert verdicts(Heard(first_audio_s=1.1, silence_s=0.1)) == [False, False, False]
    assert verdicts(Heard()) == [False, False, False]
