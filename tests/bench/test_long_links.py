"""`python -m bench.long_links`, for real and short, and what it would find."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.long_links import Heard, goals, main
from streaming_server.audio.opus import opus_available


@pytest.mark.full
@pytest.mark.skipif(not opus_available(), reason="the system has no libopus")
def test_every_link_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--round-trips", "200", "--seconds", "3", "--output", str(tmp_path)])
    told = capsys.readouterr().err
    if "a TUN device" in told:
        pytest.skip(told)
    (path,) = tmp_path.iterdir()
    links = json.loads(path.read_text())["links"]
    assert [link["link"] for link in links] == ["long", "long", "60 ms at first", "thin, deep", "long"]
    assert [link["fault"] for link in links] == 5 * [None]
    assert all(link["first_audio_s"] > 0.2 for link in links if link["link"] == "long")
    assert links[3]["barge_in_s"] < 3
    assert links[4]["speed"] > 4


PACED = Heard(
    link="long",
    round_trip_ms=1500,
    codec="opus",
    lead_ms=4000,
    first_audio_s=1.6,
    silence_s=0.4,
    late_silence_s=0.0,
    speed=1.0,
    share=0.04,
)


@pytest.mark.parametrize(
    ("heard", "are_met"),
    [
        (PACED, [True, True]),
        (replace(PACED, silence_s=1.6), [False, True]),
        (replace(PACED, silence_s=0.5, late_silence_s=0.1), [True, False]),
        (replace(PACED, fault="the connection is lost, code 4408"), [False]),
        (Heard(link="long", round_trip_ms=1500, codec="opus", lead_ms=4000), [False]),
        (replace(PACED, codec="pcm_s16le", silence_s=9.0), [True]),
        (replace(PACED, lead_ms=None, share=0.8, speed=20.0), [True]),
        (replace(PACED, lead_ms=None, share=0.1, speed=2.0), [False]),
        (replace(PACED, barge_in_s=1.0), [True]),
        (replace(PACED, barge_in_s=2.0), [False]),
    ],
)
def test_starving_waiting_and_links_that_are_not_used_miss_a_goal(heard: Heard, are_met: list[bool]) -> None:
    assert [goal.is_met for goal in goals([heard])] == are_met
