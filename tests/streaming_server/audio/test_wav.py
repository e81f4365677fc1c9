import io
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

from streaming_server.audio.containers import open_writer
from streaming_server.audio.wav import wav_header
from tests.streaming_server.audio.listening import TICK_RATE_HZ, noise, patches

PCM = noise(20_001)


def write_wav(target, pcm, rate=TICK_RATE_HZ):
    with open_writer(target, "wav", rate) as writer:
        for patch in patches(pcm):
            writer.write(patch)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_file_is_bit_exact_and_its_sizes_are_right(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "speech.wav"
    write_wav(path, PCM, rate)
    with wave.open(str(path)) as reader:
        assert reader.getparams()[:4] == (1, 2, rate, len(PCM))
        assert_array_equal(np.frombuffer(reader.readframes(len(PCM)), "<i2"), PCM)
    assert struct.unpack_from("<I", path.read_bytes(), 4) == (path.stat().st_size - 8,)


def test_pipe_gets_a_header_at_once_and_every_reader_gets_all_samples() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        with open(writing, "wb") as pipe:
            writer = open_writer(pipe, "wav", TICK_RATE_HZ)
            assert os.read(reading, 100) == wav_header(TICK_RATE_HZ)
            writer.write(PCM)
            writer.close()
        data = wav_header(TICK_RATE_HZ) + reader.read()
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == TICK_RATE_HZ
    assert_array_equal(samples, PCM)


def test_file_opened_to_append_keeps_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"kept")
    with path.open("ab") as file:
        write_wav(file, PCM)
    assert path.read_bytes() == b"kept" + wav_header(TICK_RATE_HZ) + PCM.tobytes()


def test_empty_file_is_a_wav_file() -> None:
    file = io.BytesIO()
    write_wav(file, PCM[:0])
    assert file.getvalue() == wav_header(TICK_RATE_HZ, 0)
    assert len(soundfile.read(io.BytesIO(file.getvalue()))[0]) == 0


@pytest.mark.parametrize(
    ("data_bytes", "riff_size", "data_size"),
    [
        (2**32 - 1 - 38, 2**32 - 1 - 2, 2**32 - 1 - 38),
        (2**32 - 1 - 36, 2**32 - 1, 2**32 - 1),
        (2**33, 2**32 - 1, 2**32 - 1),
    ],
)
def test_more_than_the_header_can_say_counts_as_unknown(data_bytes: int, riff_size: int, data_size: int) -> None:
    header = wav_header(TICK_RATE_HZ, data_bytes)
    assert struct.unpack_from("<I", header, 4) == (riff_size,)
    assert struct.unpack_from("<I", header, 40) == (data_size,)
