from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import ModelError, Pcm
from models.espeak import EspeakModel
from models.stretcher import Stretcher
from tests.models.speaking import level, speak

pytest.importorskip("audiotsm")

RATE_HZ = 44_100
SPEEDS = (0.5, 0.8, 1.25, 2.0)


def stretched(pcm: Pcm, speed: float, cut: int = 7_056) -> Pcm:
    """One piece, pushed `cut` samples at a time."""
    stretcher = Stretcher(RATE_HZ, speed)
    parts = [stretcher.push(pcm[start : start + cut]) for start in range(0, len(pcm), cut)]
    return np.concatenate([*parts, stretcher.finish()])


def tone(frequency_hz: float, seconds: float) -> Pcm:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.round(10_000 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.int16)


def pitch_hz(pcm: Pcm, *, lowest: float = 70, highest: float = 300) -> float:
    """The strongest period of a piece of voice, by autocorrelation, between samples by a parabola."""
    likeness = np.fft.irfft(np.abs(np.fft.rfft(pcm.astype(float), 2 * len(pcm))) ** 2)
    lags = np.arange(int(RATE_HZ / highest), int(RATE_HZ / lowest))
    peak = int(lags[np.argmax(likeness[lags])])
    before, at, after = likeness[peak - 1 : peak + 2]
    return float(RATE_HZ / (peak + 0.5 * (before - after) / (before - 2 * at + after)))


@pytest.fixture(scope="module")
def speech(loaded_espeak: EspeakModel) -> Pcm:
    return speak(loaded_espeak, ["The morning train arrives at nine, so we should leave before eight."]).pcm


@pytest.mark.parametrize("speed", SPEEDS)
def test_tone_keeps_its_pitch_and_its_level(speed: float) -> None:
    inner = stretched(tone(200, 2), speed)[2_000:-2_000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 1 << 19))
    assert np.argmax(spectrum) * RATE_HZ / (1 << 19) == pytest.approx(200, rel=0.002)
    assert level(inner) == pytest.approx(level(tone(200, 2)), rel=0.02)


@pytest.mark.parametrize("speed", SPEEDS)
def test_tone_has_no_step_where_patches_or_frames_meet(speed: float) -> None:
    """The steepest step of the output is the sine's own."""
    steepest = 10_000 * 2 * np.pi * 200 / RATE_HZ
    assert np.abs(np.diff(stretched(tone(200, 2), speed).astype(int))).max() < 1.1 * steepest


@pytest.mark.parametrize("speed", SPEEDS)
def test_speech_keeps_its_pitch_and_its_level(speech: Pcm, speed: float) -> None:
    """Each voiced tenth of a second has the pitch that it had."""
    pcm = stretched(speech, speed)
    assert level(pcm) == pytest.approx(level(speech), rel=0.1)
    ratios = []
    for start in range(0, len(speech) - 4_410, 2_205):
        was = speech[start : start + 4_410]
        middle = round((start + 2_205) / speed)
        now = pcm[max(0, middle - 2_205) : middle + 2_205]
        if level(was) > 3_000 and len(now) == 4_410:
            ratios.append(pitch_hz(now) / pitch_hz(was))
    assert len(ratios) > 15
    assert np.median(ratios) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("speed", SPEEDS)
def test_speech_has_no_click(speech: Pcm, speed: float) -> None:
    """Nowhere does it bend more sharply than it did."""
    sharpest = np.abs(np.diff(speech.astype(int), 2)).max()
    assert np.abs(np.diff(stretched(speech, speed).astype(int), 2)).max() <= 1.05 * sharpest


@settings(max_examples=25, deadline=None)
@given(
    speed=st.floats(0.5, 2),
    num_samples=st.integers(0, 20_000),
    cuts=st.lists(st.integers(1, 9_000), min_size=1, max_size=5),
)
def test_length_is_exact_and_nothing_depends_on_the_cuts(speed: float, num_samples: int, cuts: list[int]) -> None:
    pcm = tone(150, 20_000 / RATE_HZ)[:num_samples]
    borders = np.cumsum([0, *(cuts * (1 + num_samples // sum(cuts)))])
    stretcher = Stretcher(RATE_HZ, speed)
    parts = [stretcher.push(pcm[start:end]) for start, end in pairwise(borders)]
    pieces = np.concatenate([*parts, stretcher.finish()])
    assert len(pieces) == round(num_samples / speed)
    np.testing.assert_array_equal(pieces, stretched(pcm, speed, cut=20_000))


def test_next_piece_is_as_if_it_were_the_first(speech: Pcm) -> None:
    stretcher = Stretcher(RATE_HZ, 1.4)
    stretcher.push(speech[:20_000])
    stretcher.finish()
    np.testing.assert_array_equal(np.concatenate((stretcher.push(speech), stretcher.finish())), stretched(speech, 1.4))


@pytest.mark.parametrize("speed", [*SPEEDS, 0.997])
def test_sound_is_at_its_place(speed: float) -> None:
    """Bursts out of silence begin where the map says, within half a frame; after half a minute too."""
    starts = np.arange(10_000, 30 * RATE_HZ, 13_230)
    pcm = np.zeros(30 * RATE_HZ + 4_410, np.int16)
    for start in starts:
        pcm[start : start + 4_410] = tone(180, 0.1)
    loud = np.flatnonzero(np.abs(stretched(pcm, speed).astype(int)) > 1_000)
    found = loud[np.insert(np.diff(loud) > 1_000, 0, True)]
    places = [Stretcher(RATE_HZ, speed).place(int(start)) for start in starts]
    assert len(found) == len(places)
    wrong_s = (found - places) / RATE_HZ
    assert np.abs(wrong_s).max() < 0.0225  # and the tolerance
    assert np.median(np.abs(wrong_s)) < 0.015


@pytest.mark.parametrize("speed", SPEEDS)
def test_little_is_held_back(speech: Pcm, speed: float) -> None:
    stretcher = Stretcher(RATE_HZ, speed)
    for start in range(0, len(speech) - 7_056, 7_056):
        assert len(stretcher.push(speech[start : start + 7_056]))
        held = stretcher.num_taken - stretcher.num_given * speed
        assert len(stretcher.pending) == pytest.approx(held, abs=1)
        assert held <= stretcher.latency <= 0.068 * RATE_HZ


def test_speed_needs_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audiotsm", None)
    with pytest.raises(ModelError, match="'audiotsm' with this model, and it is not installed"):
        Stretcher(RATE_HZ, 1.5)
