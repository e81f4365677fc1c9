import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from streaming_server.audio.pcm import PCM_RATES_HZ, NativePcm, ResampledPcm
from tests.streaming_server.audio.listening import (
    PATCH_SAMPLES,
    TICK_RATE_HZ,
    cut,
    noise,
    patches,
    pcm_bytes,
    sine,
    snr_db,
    to_int16,
)

OTHER_RATES_HZ = tuple(rate for rate in PCM_RATES_HZ if rate != TICK_RATE_HZ)


def resampled(codec, rate):
    return ResampledPcm(codec, sample_rate=rate, model_rate=TICK_RATE_HZ)


def test_native_s16le_is_bit_exact() -> None:
    pcm = noise(3 * PATCH_SAMPLES + 17)
    encoder = NativePcm("pcm_s16le")
    for patch in patches(pcm):
        assert_array_equal(np.frombuffer(encoder.encode(patch), "<i2"), patch)
    assert encoder.finish() == b""


def test_native_f32le_is_exact() -> None:
    pcm = noise(PATCH_SAMPLES)
    encoder = NativePcm("pcm_f32le")
    assert_array_equal(np.frombuffer(encoder.encode(pcm), "<f4") * 32768, pcm)
    assert encoder.finish() == b""


@pytest.mark.parametrize("rate", OTHER_RATES_HZ)
@pytest.mark.parametrize(("codec", "sample_bytes"), [("pcm_s16le", 2), ("pcm_f32le", 4)])
@settings(max_examples=20, deadline=None)
@given(length=st.integers(0, 20_000), positions=st.lists(st.integers(0, 20_000), max_size=6))
def test_other_rates_cover_exactly_their_ticks_however_cut(codec, sample_bytes, rate, length, positions) -> None:
    pcm = noise(length)
    data = pcm_bytes(resampled(codec, rate), cut(pcm, positions))
    assert len(data) == sample_bytes * -(-length * rate // TICK_RATE_HZ)
    assert data == pcm_bytes(resampled(codec, rate), [pcm])


@pytest.mark.parametrize("rate", OTHER_RATES_HZ)
def test_other_rates_sound_like_the_model(rate: int) -> None:
    pcm = to_int16(sine(TICK_RATE_HZ))
    samples = np.frombuffer(pcm_bytes(resampled("pcm_s16le", rate), patches(pcm)), "<i2") / 32767
    middle = slice(rate // 10, -rate // 10)
    assert snr_db(sine(rate, rate=rate)[middle], samples[middle]) > 75


def test_overshoot_saturates_as_s16le_and_stays_as_f32le() -> None:
    square = np.where(np.arange(20_000) // 50 % 2, 32767, -32768).astype(np.int16)
    floats = np.frombuffer(pcm_bytes(resampled("pcm_f32le", 48000), [square]), "<f4")
    integers = np.frombuffer(pcm_bytes(resampled("pcm_s16le", 48000), [square]), "<i2")
    assert floats.max() > 1
    assert floats.min() < -1
    assert_array_equal(integers, np.clip(np.rint(floats * 32768), -32768, 32767))


def test_pcm_has_no_pre_skip_and_only_native_pcm_passes_through() -> None:
    assert (NativePcm("pcm_s16le").pre_skip, resampled("pcm_s16le", 8000).pre_skip) == (0, 0)
    assert NativePcm("pcm_s16le").passthrough
    assert not resampled("pcm_s16le", 8000).passthrough
