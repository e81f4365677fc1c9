from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.words.letter_sounds import GAP, NUM_KINDS, PAUSE, spell
from models.words.sound_score import Costs, Outline, Score
from models.words.time_warp import IMPOSSIBLE, TimeWarp

TEXT = "Ships pass, and nobody knows."


def heard(kinds: NDArray[np.int64]) -> Costs:
    """Speech that is nothing but these sounds."""
    costs = np.full((len(kinds), NUM_KINDS), 5, np.float32)
    costs[np.arange(len(kinds)), kinds] = 0
    costs[kinds >= PAUSE, PAUSE:] = 0
    return costs


def way(score: Score, kinds: NDArray[np.int64], patch: int = 16) -> NDArray[np.int64]:
    warp = TimeWarp(score)
    costs = heard(kinds)
    for start in range(0, len(costs), patch):
        warp.advance(costs[start : start + patch])
    cost, place = warp.end
    assert cost < IMPOSSIBLE
    return warp.path(place, len(kinds))


@pytest.fixture
def score() -> Score:
    return Score(Outline(spell(TEXT)))


def test_speech_that_is_the_score_is_followed_frame_by_frame(score: Score) -> None:
    np.testing.assert_array_equal(way(score, score.kinds)[:-1], np.arange(len(score) - 1))  # silence, or the last sound


def test_patches_make_no_difference(score: Score) -> None:
    slow = np.repeat(score.kinds, 2)
    np.testing.assert_array_equal(way(score, slow, patch=1), way(score, slow, patch=500))


def test_slow_speech_stays_and_fast_speech_leaves_out(score: Score) -> None:
    slow, fast = way(score, np.repeat(score.kinds, 2)), way(score, score.kinds[::2])
    for number, first in enumerate(score.first):
        assert np.searchsorted(slow, first) == pytest.approx(2 * first, abs=2), number
        assert np.searchsorted(fast, first) == pytest.approx(first / 2, abs=2), number
    assert set(np.diff(slow)) | set(np.diff(fast)) <= {0, 1, 2}


def test_pause_may_last_and_a_gap_may_be_missing(score: Score) -> None:
    comma = int(score.last[1]) + 1
    kinds = score.kinds[score.kinds != GAP]
    after = int(np.count_nonzero(score.kinds[:comma] != GAP))
    kinds = np.concatenate((kinds[:after], np.full(300, PAUSE), kinds[after:]))
    path = way(score, kinds)
    assert np.searchsorted(path, score.last[1]) < after
    assert np.searchsorted(path, score.first[2]) == pytest.approx(after + 306, abs=2)


def test_speech_too_short_for_the_score_does_not_end_it(score: Score) -> None:
    warp = TimeWarp(score)
    warp.advance(heard(score.kinds[: len(score) // 3]))
    assert warp.end[0] > IMPOSSIBLE
    assert warp.place == pytest.approx(len(score) // 3 - 1, abs=1)


@pytest.mark.parametrize("patch", [16, 5_000])
def test_long_score_is_followed_through_its_window(patch: int) -> None:
    score = Score(Outline(spell(f"{TEXT} " * 20)))
    assert len(score) > 3_000
    np.testing.assert_array_equal(way(score, score.kinds, patch)[:-1], np.arange(len(score) - 1))


@pytest.mark.parametrize("pace", [0.05, 0.3, 1.0, 4.0])
def test_every_word_has_its_frames_at_any_pace(pace: float) -> None:
    words = spell(TEXT)
    score = Score(Outline(words), pace)
    assert (score.first <= score.last).all()
    assert (score.last[:-1] < score.first[1:]).all()
    assert len(score.first) == len(words)
