"""One utterance as a stream of PCM: by a server, or inside this process on a server's whole path but the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from protocol.client import SpeechClient
from protocol.errors import ProtocolError, RemoteProtocolError, SpeechError
from protocol.messages import Audio, AudioFormat, Done, Error, ServerMessage, Start

from .config import Config
from .engine_client import LocalEngine
from .order import resolve_order
from .studio import create_studio
from .text.normalizer import Normalizer
from .utterance import Utterance


class SpeechFailed(Exception):
    """The utterance did not reach its end; one sentence."""


@dataclass(frozen=True, slots=True)
class Speech:
    """`pcm`: little-endian int16 at `sample_rate`, a patch at a time."""

    sample_rate: int
    pcm: AsyncIterator[bytes]


@asynccontextmanager
async def embedded_speech(model_name: str, start: Start, text: AsyncIterator[str]) -> AsyncIterator[Speech]:
    """Speak `text` as it comes, as fast as the voice can. Raises EngineUnavailable, SpeechFailed."""
    engine = await LocalEngine.load(model_name)
    studio = create_studio(Config(), engine, Normalizer())
    messages: asyncio.Queue[ServerMessage] = asyncio.Queue()  # bounded by the text: nothing else makes speech
    try:
        order = resolve_order(
            start, engine=engine, config=Config(), session="say", audio=AudioFormat(), lead_ms=None, unknown=()
        )
    except RemoteProtocolError as error:
        await engine.close()
        raise SpeechFailed(error.message) from None
    utterance = Utterance(order, studio, emit=messages.put_nowait, recall=lambda _: 0, over=lambda _: None)

    async def write() -> None:
        async for delta in text:
            utterance.text(delta)
        utterance.end()

    async def read() -> AsyncIterator[bytes]:
        while True:
            match await messages.get():
                case Audio(data=bytes() as data):
                    utterance.on_audio_sent()
                    yield data
                case Error() as error:
                    raise SpeechFailed(error.message)
                case Done():
                    return

    writer = asyncio.create_task(write())
    try:
        yield Speech(engine.info.sample_rate, read())
        await writer
    finally:
        writer.cancel()
        utterance.abandon()
        await engine.close()
        studio.close()


@asynccontextmanager
async def remote_speech(url: str, api_key: str | None, start: Start, text: AsyncIterator[str]) -> AsyncIterator[Speech]:
    """Speak `text` as it comes through the server at `url` (http or ws). Raises SpeechFailed."""
    stream_url = url.replace("http", "ws", 1) if url.startswith("http") else url
    try:
        async with SpeechClient(stream_url, token=api_key, lead_ms=None, name="voxwire say") as client:
            speech = client.speak(
                text,
                voice=start.voice,
                language=start.language,
                speed=start.speed,
                volume=start.volume,
                seed=start.seed,
                words=False,
            )

            async def read() -> AsyncIterator[bytes]:
                async for chunk in speech:
                    if chunk.pcm:
                        yield chunk.pcm

            yield Speech(client.ready.model.sample_rate, read())
    except ProtocolError as error:
        raise SpeechFailed(error.message) from None
    except SpeechError as error:
        raise SpeechFailed(str(error)) from None
