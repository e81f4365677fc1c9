import io
import os
from pathlib import Path

import pytest
import soundfile

from streaming_server.audio.containers import FORMATS, format_of, open_writer
from streaming_server.audio.encoder import UnsupportedFormat
from streaming_server.audio.opus import opus_available
from tests.streaming_server.audio.listening import TICK_RATE_HZ, needs_libopus, noise


@needs_libopus
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_and_read_back(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"speech.{format}"
    with open_writer(path, format_of(path), TICK_RATE_HZ) as writer:
        writer.write(noise(TICK_RATE_HZ))
    assert soundfile.info(path).duration == 1


@pytest.mark.parametrize(
    ("path", "format"),
    [("a.wav", "wav"), ("A.FLAC", "flac"), ("dir.x/b.ogg", "ogg"), (Path("c.d.opus"), "opus")],
)
def test_extension_names_the_format(path: str | Path, format: str) -> None:
    assert format_of(path) == format


@pytest.mark.parametrize("path", ["speech", "speech.mp3", "wav", ".wav"])
def test_other_extensions_are_refused_in_one_sentence(path: str) -> None:
    with pytest.raises(UnsupportedFormat) as refusal:
        format_of(path)
    assert str(refusal.value) == f"a file name must end in .wav, .flac, .ogg or .opus, not {path}"


def test_unknown_format_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match=r"^the file format must be wav, flac, ogg or opus, not 'mp3'$"):
        open_writer(tmp_path / "speech.mp3", "mp3", TICK_RATE_HZ)
    assert list(tmp_path.iterdir()) == []


def test_ogg_without_libopus_is_refused_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opus_available.cache_clear()
    monkeypatch.setattr("streaming_server.audio.opus.find_library", lambda name: None)
    try:
        with pytest.raises(
            UnsupportedFormat, match=r"^the file format must be wav or flac, not ogg: libopus is not in"
        ):
            open_writer(tmp_path / "speech.ogg", "ogg", TICK_RATE_HZ)
    finally:
        opus_available.cache_clear()
    assert list(tmp_path.iterdir()) == []


def test_closed_file_takes_no_more_samples_and_closes_again_in_peace() -> None:
    writer = open_writer(io.BytesIO(), "wav", TICK_RATE_HZ)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(noise(1))


def test_speech_that_breaks_off_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"

    def break_off() -> None:
        with open_writer(path, "wav", TICK_RATE_HZ) as writer:
            writer.write(noise(1000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert soundfile.info(path).frames == 1000


def test_path_is_closed_even_when_the_end_cannot_be_written() -> None:
    reading, writing = os.pipe()
    with open(writing, "wb", buffering=0) as pipe:
        num_open = len(os.listdir("/proc/self/fd"))
        writer = open_writer(f"/proc/self/fd/{pipe.fileno()}", "flac", TICK_RATE_HZ)
        writer.write(noise(100))
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            writer.close()
        assert len(os.listdir("/proc/self/fd")) == num_open - 1
