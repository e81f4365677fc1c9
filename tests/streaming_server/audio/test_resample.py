import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from streaming_server.audio.resample import Quality, Resampler, to_pcm, to_signal
from tests.streaming_server.audio.listening import PATCH_SAMPLES, TICK_RATE_HZ, cut, noise, sine, snr_db, to_int16

RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
MIXED = noise(9000)

each_rate = pytest.mark.parametrize("rate", RATES_HZ)
each_quality = pytest.mark.parametrize("quality", ["HQ", "LQ"])


def resample_all(resampler, pieces):
    return np.concatenate([*(resampler.resample(piece) for piece in pieces), resampler.finish()])


@each_quality
@each_rate
@settings(max_examples=25, deadline=None)
@given(length=st.integers(0, len(MIXED)), positions=st.lists(st.integers(0, len(MIXED)), max_size=12))
def test_any_cutting_gives_the_same_samples(rate: int, quality: Quality, length: int, positions: list[int]) -> None:
    pcm = MIXED[:length]
    whole = resample_all(Resampler(TICK_RATE_HZ, rate, quality), [pcm])
    pieces = resample_all(Resampler(TICK_RATE_HZ, rate, quality), cut(pcm, positions))
    assert_array_equal(pieces, whole)
    assert len(whole) == -(-length * rate // TICK_RATE_HZ)


@each_rate
def test_nothing_in_gives_nothing_out(rate: int) -> None:
    assert len(Resampler(TICK_RATE_HZ, rate).finish()) == 0


@each_quality
@each_rate
def test_output_lies_where_the_input_was(rate: int, quality: Quality) -> None:
    pcm = to_int16(sine(TICK_RATE_HZ))
    signal = resample_all(Resampler(TICK_RATE_HZ, rate, quality), [pcm])
    middle = slice(rate // 10, -rate // 10)  # the filter also hears the edges
    assert snr_db(sine(rate, rate=rate)[middle], signal[middle]) > 75


@each_rate
def test_less_than_a_patch_is_ever_held_back(rate: int) -> None:
    resampler = Resampler(TICK_RATE_HZ, rate, "HQ")
    pcm = noise(PATCH_SAMPLES)
    num_out = 0
    for num_patches in range(1, 30):
        num_out += len(resampler.resample(pcm))
        lag_s = num_patches * PATCH_SAMPLES / TICK_RATE_HZ - num_out / rate
        assert 0 <= lag_s < 0.08


def test_low_quality_to_48_khz_holds_back_half_a_millisecond() -> None:
    resampler = Resampler(TICK_RATE_HZ, 48000, "LQ")
    assert len(resampler.resample(noise(PATCH_SAMPLES))) >= 7680 - 24


def test_same_rate_changes_nothing() -> None:
    resampler = Resampler(22050, 22050)
    assert_array_equal(resampler.resample(MIXED), to_signal(MIXED))
    assert len(resampler.finish()) == 0


def test_pcm_survives_the_way_through_floats() -> None:
    every_value = np.arange(-32768, 32768).astype(np.int16)
    assert_array_equal(to_pcm(to_signal(every_value)), every_value)


def test_pcm_is_rounded_to_the_nearest_value_and_saturated() -> None:
    signal = np.array([1.4, 1.6, -1.4, -1.6, 32767.7, 40000, -32768.4, -40000], np.float32) / np.float32(32768)
    assert_array_equal(to_pcm(signal), [1, 2, -1, -2, 32767, 32767, -32768, -32768])
