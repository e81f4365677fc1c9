"""The client of a server that says it is slower than real time, against a real socket and a tiny server."""

from __future__ import annotations

import asyncio

import pytest

from protocol import headstart
from protocol.client import SpeechClient
from protocol.speech import Speech
from tests.protocol.test_client import deltas, until
from tests.protocol.tiny_server import TinyServer
from tests.protocol.tiny_voice import said

TEXT = "Hold it."


async def taken(speech: Speech, pcm: list[bytes]) -> str:
    async for chunk in speech.gapless():
        pcm.append(chunk.pcm or b"")
    return said(pcm)


async def test_sound_is_held_back_and_the_wait_told_until_all_is_there() -> None:
    async with TinyServer(rtf=3.0).serving() as server, SpeechClient(server.url) as client:
        speech, pcm = client.speak(voice="wordless"), list[bytes]()
        taking = asyncio.ensure_future(taken(speech, pcm))
        await speech.write(TEXT)
        await until(lambda: speech.buffered_bytes == 8 * len(TEXT))
        await asyncio.sleep(0.05)
        assert pcm == []
        assert speech.wait_s > 0.5
        speech.end()
        assert await taking == TEXT
        assert speech.wait_s == 0.0


async def test_what_stands_still_is_played_as_far_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STALL_S", "STALL_UNSPOKEN_S"):
        monkeypatch.setattr(headstart, name, 0.2)
    async with TinyServer(rtf=3.0).serving() as server, SpeechClient(server.url) as client:
        speech, pcm = client.speak(voice="wordless"), list[bytes]()
        taking = asyncio.ensure_future(taken(speech, pcm))
        await speech.write(TEXT)
        await until(lambda: len(pcm) == len(TEXT))
        speech.end()
        assert await taking == TEXT


async def test_a_server_that_is_fast_enough_is_not_waited_for() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        pcm: list[bytes] = []
        speech = client.speak(deltas(TEXT), voice="endless")
        taking = asyncio.ensure_future(taken(speech, pcm))
        await until(lambda: len(pcm) == len(TEXT))
        assert speech.wait_s == 0.0
        speech.cancel()
        await taking
