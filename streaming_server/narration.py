"""One utterance as a stream of PCM: by a server, or inside this process on a server's whole path but the socket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from protocol.client import SpeechClient
from protocol.errors import ProtocolError, RemoteProtocolError, SpeechError
from protocol.messages import Audio, AudioFormat, Done, Error, ServerMessage, Start

from .config import Config
from .engine_client import LocalEngine
from .order import resolve_order
from .studio import create_studio
from .text.normalizer import Normalizer
from .utterance import Utterance


class NarrationFailed(Exception):
    """The utterance did not reach its end; one sentence."""


@dataclass(frozen=True, slots=True)
class Narration:
    """`pcm`: little-endian int16 at `sample_rate`, a patch at a time."""

    sample_rate: int
    pcm: AsyncIterator[bytes]


@asynccontextmanager
async def embedded_narration(config: Config, start: Start, text: AsyncIterator[str]) -> AsyncIterator[Narration]:
    """Speak `text` as it comes with `config.model`, as fast as it can, and wait for the text as long as it takes.

    Raises EngineUnavailable, NarrationFailed; `pcm` raises NarrationFailed, or what `text` raised.
    """
    engine = await LocalEngine.load(config.model, config.model_options)
    studio = replace(create_studio(config, engine, Normalizer()), utterance_idle_s=math.inf)
    # Bounded by the text: nothing else makes speech.
    messages: asyncio.Queue[ServerMessage | Exception] = asyncio.Queue()
    try:
        order = resolve_order(
            start, engine=engine, config=config, session="say", audio=AudioFormat(), lead_ms=None, unknown=()
        )
    except RemoteProtocolError as error:
        await engine.close()
        raise NarrationFailed(error.message) from None
    utterance = Utterance(order, studio, emit=messages.put_nowait, recall=lambda _: 0, over=lambda _: None)

    async def write() -> None:
        try:
            async for delta in text:
                utterance.text(delta)
        except Exception as error:  # another's iterator may raise anything; whoever takes the sound hears of it
            messages.put_nowait(error)
        else:
            utterance.end()

    async def read() -> AsyncIterator[bytes]:
        while True:
            match await messages.get():
                case Audio(data=bytes() as data):
                    utterance.on_audio_sent()
                    yield data
                case Error() as error:
                    raise NarrationFailed(error.message)
                case Exception() as error:
                    raise error
                case Done():
                    return

    writer = asyncio.create_task(write())
    try:
        yield Narration(engine.info.sample_rate, read())
        await writer
    finally:
        writer.cancel()
        utterance.abandon()
        await engine.close()
        studio.close()


@asynccontextmanager
async def remote_narration(
    url: str, api_key: str | None, start: Start, text: AsyncIterator[str]
) -> AsyncIterator[Narration]:
    """Speak `text` as it comes through the server at `url`. Raises NarrationFailed; `pcm` also what `text` raised."""
    try:
        async with SpeechClient(
            http_url(url).replace("http", "ws", 1), token=api_key, lead_ms=None, name="voxwire say"
        ) as client:
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

            yield Narration(client.ready.model.sample_rate, read())
    except ProtocolError as error:
        raise NarrationFailed(error.message) from None
    except SpeechError as error:
        raise NarrationFailed(error.message) from None


def http_url(url: str) -> str:
    """A server's address as a user gives it (http, ws or no scheme at all) in http or https. Raises NarrationFailed."""
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        is_usable = parts.scheme in ("http", "https", "ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an address in brackets that is none
        is_usable = False
    if not is_usable:
        raise NarrationFailed(f"expected a server's address such as http://127.0.0.1:6006, got {url}")
    return parts._replace(scheme=parts.scheme.replace("ws", "http")).geturl().rstrip("/")
