import subprocess
import sys
from collections.abc import Iterator

import pytest

from streaming_server.audio.encoder import RunEncoder, UnsupportedFormat, open_encoder, supported_codecs
from streaming_server.audio.opus import opus_available
from tests.streaming_server.audio.listening import PATCH_SAMPLES, needs_libopus, noise


def encoder(
    codec: str, *, sample_rate: int = 44100, bitrate: int = 32000, frame_ms: int = 20, model_rate: int = 44100
) -> RunEncoder:
    return open_encoder(codec, sample_rate=sample_rate, bitrate=bitrate, frame_ms=frame_ms, model_rate=model_rate)


@pytest.fixture
def without_libopus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opus_available.cache_clear()
    monkeypatch.setattr("streaming_server.audio.opus.find_library", lambda name: None)
    yield
    opus_available.cache_clear()


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_native_pcm_passes_through(codec: str) -> None:
    assert encoder(codec).passthrough


def test_other_rate_is_resampled() -> None:
    run = encoder("pcm_s16le", sample_rate=8000)
    assert not run.passthrough
    data = run.encode(noise(PATCH_SAMPLES)), run.finish()
    assert len(b"".join(data)) == 2 * 1280


def test_native_rate_is_served_even_when_it_is_not_on_the_list() -> None:
    assert encoder("pcm_s16le", sample_rate=32000, model_rate=32000).passthrough


@needs_libopus
@pytest.mark.parametrize("frame_ms", [10, 20, 40])
@pytest.mark.parametrize("bitrate", [6000, 128000])
def test_opus_is_opened_at_both_ends_of_its_range(bitrate: int, frame_ms: int) -> None:
    run = encoder("opus", sample_rate=48000, bitrate=bitrate, frame_ms=frame_ms)
    assert not run.passthrough
    assert 0 < run.pre_skip < 960
    packets = (*run.encode(noise(PATCH_SAMPLES)), *run.finish())
    assert len(packets) == -(-(7680 + run.pre_skip) // (48 * frame_ms))


@needs_libopus
@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"codec": "mp3"}, "codec must be pcm_s16le, pcm_f32le or opus, not mp3"),
        (
            {"codec": "pcm_s16le", "sample_rate": 11025},
            "pcm_s16le sample_rate must be 8000, 16000, 22050, 24000, 44100 or 48000 Hz, not 11025",
        ),
        ({"codec": "opus"}, "opus sample_rate must be 48000 Hz, not 44100"),
        (
            {"codec": "opus", "sample_rate": 48000, "bitrate": 5999},
            "opus bitrate must be 6000 to 128000 bit/s, not 5999",
        ),
        (
            {"codec": "opus", "sample_rate": 48000, "bitrate": 128001},
            "opus bitrate must be 6000 to 128000 bit/s, not 128001",
        ),
        ({"codec": "opus", "sample_rate": 48000, "frame_ms": 60}, "opus frame_ms must be 10, 20 or 40, not 60"),
    ],
)
def test_what_is_not_served_is_refused_in_one_sentence(wish, sentence) -> None:
    with pytest.raises(UnsupportedFormat) as refusal:
        encoder(**wish)
    assert str(refusal.value) == sentence


@needs_libopus
def test_all_codecs_are_served_where_libopus_is() -> None:
    assert supported_codecs() == ("pcm_s16le", "pcm_f32le", "opus")


@pytest.mark.usefixtures("without_libopus")
def test_opus_is_off_without_libopus_and_says_so() -> None:
    assert supported_codecs() == ("pcm_s16le", "pcm_f32le")
    with pytest.raises(UnsupportedFormat, match=r"^codec must be pcm_s16le or pcm_f32le, not opus: libopus is not in"):
        encoder("opus", sample_rate=48000)
    assert encoder("pcm_s16le").passthrough


def test_importing_the_room_does_not_import_opuslib() -> None:
    # opuslib's import raises where libopus is missing; nobody may depend on it before the first Opus run.
    probe = "import sys, streaming_server.audio.encoder; sys.exit('opuslib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
