"""The client of the benches that outlives its connections, against the real server."""

from __future__ import annotations

import pytest

from bench.survivor import Survivor
from bench.websocket import BUFFER_BYTES, Address, ConnectionFailed
from protocol.messages import AudioFormat, End, Start, Text
from streaming_server.audio.opus import opus_available
from tests.streaming_server.serving import serving

SENTENCE = "A sentence that lasts for a while. "


@pytest.mark.parametrize(
    "codec",
    ["pcm_s16le", pytest.param("opus", marks=pytest.mark.skipif(not opus_available(), reason="no libopus here"))],
)
async def test_what_is_said_while_the_connection_is_lost_is_said_once(codec: str) -> None:
    async with serving() as server:
        audio = AudioFormat(codec=codec)  # type: ignore[arg-type]  # it is one
        survivor = Survivor(Address.of(server.http_url), bytearray(BUFFER_BYTES), lead_ms=1000, audio=audio)
        await survivor.connect()
        survivor.say(Start(utterance="a", seed=7, text=SENTENCE))
        hearing = survivor.hearings["a"]
        await survivor.until(lambda: hearing.proof.num_ticks > 0)
        survivor.reset()
        survivor.say(Text(utterance="a", text="The end."))
        survivor.say(End(utterance="a"))
        await survivor.connect()
        await survivor.until(lambda: hearing.is_over)
        assert (hearing.is_whole, hearing.proof.faults, hearing.num_chars) == (True, [], len(SENTENCE) + 8)
        survivor.leave()


async def test_a_session_that_is_not_kept_ends_what_was_spoken_in_it() -> None:
    async with serving(resume_ms=0) as server:
        survivor = Survivor(Address.of(server.http_url), bytearray(BUFFER_BYTES))
        await survivor.connect()
        survivor.say(Start(utterance="a", seed=7, text=SENTENCE))
        await survivor.until(lambda: survivor.hearings["a"].proof.num_ticks > 0)
        survivor.reset()
        with pytest.raises(ConnectionFailed, match="lost"):
            await survivor.until(lambda: survivor.hearings["a"].is_over)
        await survivor.connect()
        hearing = survivor.hearings["a"]
        assert (hearing.reason, hearing.error, hearing.is_whole) == ("error", "resume_failed", False)
        survivor.leave()
