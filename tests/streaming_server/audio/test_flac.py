import io
import os
import struct
from pathlib import Path

import pytest
import soundfile
from numpy.testing import assert_array_equal

from streaming_server.audio.containers import open_writer
from tests.streaming_server.audio.listening import TICK_RATE_HZ, noise, patches

PCM = noise(20_001)


def write_flac(target, pcm):
    with open_writer(target, "flac", TICK_RATE_HZ) as writer:
        for patch in patches(pcm):
            writer.write(patch)


def test_file_is_bit_exact_and_knows_its_length(tmp_path: Path) -> None:
    path = tmp_path / "speech.flac"
    write_flac(path, PCM)
    assert soundfile.info(path).frames == len(PCM)
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == TICK_RATE_HZ
    assert_array_equal(samples, PCM)


def test_header_is_filled_in_where_the_stream_began() -> None:
    file = io.BytesIO(b"earlier,")
    file.seek(8)
    write_flac(file, PCM)
    assert file.getvalue().startswith(b"earlier,fLaC")
    assert_array_equal(soundfile.read(io.BytesIO(file.getvalue()[8:]), dtype="int16")[0], PCM)


def with_length(data: bytes, num_samples: int) -> bytes:
    """The stream with the length filled in that a pipe's header leaves open: libsndfile does not read on without it."""
    (fields,) = struct.unpack_from(">Q", data, 18)  # RFC 9639, section 8.2: its last 36 bits are the total
    assert fields % 2**36 == 0
    return data[:18] + struct.pack(">Q", fields + num_samples) + data[26:]


def test_pipe_carries_frames_as_they_fill_and_all_samples() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        with open(writing, "wb") as pipe:
            writer = open_writer(pipe, "flac", TICK_RATE_HZ)
            writer.write(PCM[:9000])
            early = os.read(reading, 65536)
            assert len(early) > 2 * 8192  # noise does not compress: two frames of 4096 samples
            writer.write(PCM[9000:])
            writer.close()
        data = early + reader.read()
    samples, _ = soundfile.read(io.BytesIO(with_length(data, len(PCM))), dtype="int16")
    assert_array_equal(samples, PCM)


def test_reader_that_goes_away_is_an_error() -> None:
    reading, writing = os.pipe()
    with open(writing, "wb", buffering=0) as pipe:
        writer = open_writer(pipe, "flac", TICK_RATE_HZ)
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            writer.write(PCM)
        with pytest.raises(BrokenPipeError):
            writer.close()


def test_empty_file_is_closed_cleanly(tmp_path: Path) -> None:
    write_flac(tmp_path / "speech.flac", PCM[:0])
    assert (tmp_path / "speech.flac").exists()
