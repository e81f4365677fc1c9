import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_server.audio.opus import OPUS_FRAMES_MS, OpusEncoder
from tests.streaming_server.audio.listening import (
    PATCH_SAMPLES,
    TICK_RATE_HZ,
    cut,
    decode,
    needs_libopus,
    noise,
    opus_packets,
    patches,
    sine,
    snr_db,
    to_int16,
)

pytestmark = needs_libopus

BITRATES = (6000, 9000, 12000, 16000, 20000, 24000, 32000, 48000, 64000, 96000, 128000)
TONES = to_int16(0.5 * sine(20_000, hz=220) + 0.3 * sine(20_000, hz=3000))


def opus(*, bitrate: int = 32000, frame_ms: int = 20, model_rate: int = TICK_RATE_HZ) -> OpusEncoder:
    return OpusEncoder(bitrate=bitrate, frame_ms=frame_ms, model_rate=model_rate)


@pytest.mark.parametrize("frame_ms", OPUS_FRAMES_MS)
def test_decoded_sine_lines_up_with_its_ticks(frame_ms: int) -> None:
    encoder = opus(frame_ms=frame_ms)
    decoded = decode(opus_packets(encoder, patches(to_int16(sine(2 * TICK_RATE_HZ)))), 48 * frame_ms)
    assert snr_db(sine(2 * 48000, rate=48000), decoded[encoder.pre_skip :][: 2 * 48000]) > 25


def test_announced_offset_is_the_best_one() -> None:
    pcm = noise(TICK_RATE_HZ) // 4
    encoder = opus(bitrate=128000, model_rate=48000)
    decoded = decode(opus_packets(encoder, patches(pcm)), 960)
    fits = [snr_db(pcm / 32768, decoded[offset:][: len(pcm)]) for offset in range(encoder.pre_skip + 40)]
    assert int(np.argmax(fits)) == encoder.pre_skip


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(0, len(TONES)),
    positions=st.lists(st.integers(0, len(TONES)), max_size=8),
    frame_ms=st.sampled_from(OPUS_FRAMES_MS),
)
def test_any_cutting_gives_the_same_packets_and_covers_the_ticks(length, positions, frame_ms) -> None:
    pcm = TONES[:length]
    encoder = opus(frame_ms=frame_ms)
    packets = opus_packets(encoder, cut(pcm, positions))
    assert packets == opus_packets(opus(frame_ms=frame_ms), [pcm])
    num_wanted = -(-length * 48000 // TICK_RATE_HZ)
    assert encoder.num_samples == num_wanted
    num_kept = len(packets) * 48 * frame_ms - encoder.pre_skip if packets else 0
    assert num_wanted <= num_kept < num_wanted + 48 * frame_ms


@pytest.mark.parametrize("frame_ms", OPUS_FRAMES_MS)
@pytest.mark.parametrize("bitrate", BITRATES)
def test_every_bitrate_and_frame_size_is_coded_at_about_its_bitrate(bitrate: int, frame_ms: int) -> None:
    encoder = opus(bitrate=bitrate, frame_ms=frame_ms)
    packets = opus_packets(encoder, patches(noise(2 * TICK_RATE_HZ) // 4))
    assert len(decode(packets, 48 * frame_ms)) - encoder.pre_skip >= 2 * 48000
    assert 0.6 < 8 * sum(map(len, packets)) / 2 / bitrate < 1.35


def test_thin_links_get_the_speech_coder() -> None:
    # RFC 6716, section 3.1: configurations below 16 are SILK or hybrid, the others CELT.
    voiced = to_int16(sum(sine(TICK_RATE_HZ, hz=140 * n) / n for n in range(1, 20)) / 2)
    thin, usual = (opus_packets(opus(bitrate=bitrate), patches(voiced)) for bitrate in (20000, 32000))
    assert all(packet[0] >> 3 < 16 for packet in thin)
    assert all(packet[0] >> 3 >= 16 for packet in usual)


def test_only_a_part_of_a_frame_waits_for_the_next_patch() -> None:
    encoder = opus()
    num_packets = 0
    for num_patches in range(1, 20):
        num_packets += len(encoder.encode(TONES[:PATCH_SAMPLES]))
        assert num_packets >= (num_patches * 7680 - 24) // 960


def test_first_run_is_silent_where_opuslib_was_never_compiled(tmp_path: Path) -> None:
    probe = "from streaming_server.audio.opus import OpusEncoder as O; O(bitrate=32000, frame_ms=20, model_rate=44100)"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_said_needs_no_packets() -> None:
    assert opus().finish() == ()


def test_a_single_sample_becomes_one_packet() -> None:
    encoder = opus()
    assert encoder.encode(TONES[:1]) == ()
    assert len(encoder.finish()) == 1
    assert encoder.num_samples == 2


def test_encoders_share_no_state_between_threads() -> None:
    alone = opus_packets(opus(), patches(TONES))
    with ThreadPoolExecutor(4) as executor:
        together = [executor.submit(opus_packets, opus(), patches(TONES)) for _ in range(8)]
        assert all(future.result() == alone for future in together)
