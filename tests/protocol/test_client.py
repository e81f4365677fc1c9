"""The client, against a real socket and a tiny server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from protocol.client import SpeechClient
from protocol.messages import Close, End, Start, Text
from protocol.wire import Encoding
from tests.protocol.tiny_server import TinyServer, said


async def deltas(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  what is waited for happens behind a socket
            await asyncio.sleep(0.005)


@pytest.fixture
async def server() -> AsyncIterator[TinyServer]:
    async with TinyServer().serving() as tiny:
        yield tiny


@pytest.fixture
async def client(server: TinyServer) -> AsyncIterator[SpeechClient]:
    async with SpeechClient(server.url) as entered:
        yield entered


@pytest.mark.parametrize("encoding", Encoding)
async def test_a_chatbot_speaks_its_deltas(server: TinyServer, encoding: Encoding) -> None:
    async with SpeechClient(server.url, encoding=encoding) as client:
        heard = [chunk.pcm async for chunk in client.speak(deltas("Hel", "lo ", "there"), voice="plain")]
    assert said(heard) == "Hello there"
    assert [message.text for message in server.heard_of(Text)] == ["Hel", "lo ", "there"]
    assert len(server.heard_of(End)) == 1
    assert server.heard_of(Close)
    assert server.num_closed == 1


async def test_a_short_text_goes_with_its_start(server: TinyServer, client: SpeechClient) -> None:
    assert said([chunk.pcm async for chunk in client.speak("Hi")]) == "Hi"
    assert server.heard_of(Start)[0].end
    assert not server.heard_of(Text)
