"""`python -m bench.crashes`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.bystander import Heard
from bench.crashes import Crowd, goals, main
from bench.playout import Playout
from bench.server import Server


def heard(*arrivals: float, num_samples: int = 160) -> Heard:
    """Audio of 160 samples at 1 kHz at each of these instants."""
    each = Heard(playout=Playout(1000, 320))
    for number, at in enumerate(arrivals):
        pcm = np.full(num_samples, 7, np.int16).tobytes()
        each.take({"type": "audio", "pts": num_samples * number, "samples": num_samples, "data": pcm}, at)
    each.take({"type": "done", "reason": "end"}, arrivals[-1])
    return each


def test_all_who_listen_to_an_engine_that_is_killed_hear_every_sample(tmp_path: Path) -> None:
    main(["--tone", "4", "--espeak", "0", "--trials", "1", "--chars", "26", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    (crowd,) = result["crowds"]
    assert (crowd["wrong"], crowd["utterances"], crowd["max_difference"]) == ({}, 4, 0)
    assert crowd["samples_compared"] > 4 * 1 * 44_100
    assert crowd["pause_ms"]["max"] > 160
    assert result["goals"][0]["is_met"]


def test_silence_is_what_the_loudspeaker_lacks_and_a_pause_what_the_socket_does() -> None:
    each = heard(0.0, 0.1, 0.2, 1.2, 1.3)
    assert each.longest_silence_s == pytest.approx(0.72)
    assert each.pause_s(0.5) == pytest.approx(1.0)
    assert each.pause_s(1.25) == pytest.approx(0.1)


def test_samples_that_differ_or_lack_and_errors_and_long_silences_miss_the_goals() -> None:
    crowd = Crowd("tone", Server("http://127.0.0.1:1"))
    whole = heard(0.0, 0.1).pcm
    other = whole.copy()
    other[100] += 3
    crowd.undisturbed = [whole, other, whole[:-1], whole]
    broken = heard(0.0, 2.0)
    broken.take({"type": "error", "code": "engine_failed", "message": "it failed"}, 2.0)
    crowd.judge([heard(0.0, 0.1), heard(0.0, 0.1), heard(0.0, 0.1), broken], 0.0, tolerance=2)
    assert crowd.wrong == {"samples differ by more than 2": 1, "320 samples of 319": 1, "engine_failed: it failed": 1}
    assert crowd.max_difference == 3
    assert [goal.is_met for goal in goals([crowd])] == [False, False]
