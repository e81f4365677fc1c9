"""What `ready` promises is what is served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streaming_server.audio.opus import opus_available
from tests.streaming_server.audio.listening import needs_libopus
from tests.streaming_server.serving import connected, serving

OPUS = {"codec": "opus", "bitrate": 24000}


@pytest.fixture
def without_libopus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opus_available.cache_clear()
    monkeypatch.setattr("streaming_server.audio.opus.find_library", lambda name: None)
    yield
    opus_available.cache_clear()


@pytest.mark.usefixtures("without_libopus")
async def test_without_libopus_ready_says_pcm_and_pcm_is_what_comes() -> None:
    async with serving() as server, await connected(server) as wire:
        await wire.send("hello", version=1, audio=OPUS)
        ready = await wire.receive()
        assert (ready["audio"]["codec"], ready["audio"]["sample_rate"]) == ("pcm_s16le", 44100)
        messages = await wire.speak("u1", "Hello.")
        assert messages[0]["audio"]["codec"] == "pcm_s16le"
        assert messages[-1]["reason"] == "end"


@needs_libopus
async def test_an_asked_format_that_is_served_is_the_sessions_own() -> None:
    async with serving() as server, await connected(server) as wire:
        await wire.send("hello", version=1, audio=OPUS)
        ready = await wire.receive()
        assert (ready["audio"]["codec"], ready["audio"]["sample_rate"], ready["audio"]["bitrate"]) == (
            "opus",
            48000,
            24000,
        )
        messages = await wire.speak("u1", "Hello.")
        assert messages[0]["audio"]["codec"] == "opus"
