"""One utterance as a stream of PCM: by a server, or inside this process on a server's whole path but the socket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from protocol.client import SpeechClient
from protocol.errors import ProtocolError, RemoteProtocolError, SpeechError
from protocol.line import Line
from protocol.messages import (
    Audio,
    AudioFormat,
    Cancel,
    ClientMessage,
    End,
    ServerMessage,
    Start,
    Text,
    UtteranceMessage,
)
from protocol.reconnect import LinkReport
from protocol.speech import Speech

from .config import Config
from .engine_client import LocalEngine
from .greeting import describe_model
from .order import resolve_order
from .studio import create_studio
from .text.normalizer import Normalizer
from .utterance import Utterance


class NarrationFailed(Exception):
    """The utterance did not reach its end; one sentence."""


@dataclass(frozen=True, slots=True)
class Narration:
    """`pcm`: little-endian int16 at `sample_rate`, a patch at a time. `wait_s`: how long it will still be held back.

    `is_away`: whether the connection to the server is lost, and another looked for.
    """

    sample_rate: int
    pcm: AsyncIterator[bytes]
    wait_s: Callable[[], float]
    is_away: Callable[[], bool]


@asynccontextmanager
async def embedded_narration(
    config: Config, start: Start, text: AsyncIterator[str], *, gapless: bool = False
) -> AsyncIterator[Narration]:
    """Speak `text` as it comes with `config.model`, as fast as it can, and wait for the text as long as it takes.

    `gapless`: for who plays it as it comes, as `protocol.speech.Speech.gapless`; only then words are looked for.
    Raises EngineUnavailable, NarrationFailed; `pcm` raises NarrationFailed, or what `text` raised.
    """
    engine = await LocalEngine.load(config.model, config.model_options, is_measured=gapless)
    studio = replace(create_studio(config, engine, Normalizer()), utterance_idle_s=math.inf)
    try:
        order = resolve_order(
            replace(start, words=gapless),
            engine=engine,
            config=config,
            session="say",
            audio=AudioFormat(),
            lead_ms=None,
            unknown=(),
        )
    except RemoteProtocolError as error:
        await engine.close()
        raise NarrationFailed(error.message) from None
    loop = asyncio.get_running_loop()
    next_seq = 0

    def hear(message: ServerMessage) -> None:
        nonlocal next_seq
        assert isinstance(message, UtteranceMessage), "expected an utterance to speak of nothing else"
        speech.take(replace(message, seq=next_seq))
        if isinstance(message, Audio):
            next_seq += 1
            loop.call_soon(utterance.on_audio_sent)

    def tell(message: ClientMessage) -> None:
        match message:
            case Text():
                utterance.text(message.text)
            case End():
                utterance.end()
            case Cancel():
                utterance.cancel()
            case _:
                pass  # where the listener is makes no difference to background work

    # A client without a server: it buffers all the speech, which is bounded by the text alone.
    line = Line(
        post=tell,
        pieces=_once,
        look_again=lambda: None,  # nobody waits
        model=lambda: describe_model(engine),
        clock=studio.clock,
    )
    speech = Speech(start, line)
    utterance = Utterance(order, studio, emit=hear, recall=lambda *_: 0, over=lambda _: None)
    writer = asyncio.create_task(speech.write_all(text))
    try:
        yield Narration(engine.info.sample_rate, _pcm(speech, gapless), lambda: speech.wait_s, lambda: False)
        await writer
    finally:
        writer.cancel()
        utterance.abandon()
        await engine.close()
        studio.close()


@asynccontextmanager
async def remote_narration(
    url: str, api_key: str | None, start: Start, text: AsyncIterator[str], *, gapless: bool = False
) -> AsyncIterator[Narration]:
    """Speak `text` as it comes through the server at `url`; `gapless` as above.

    Raises NarrationFailed; `pcm` also what `text` raised.
    """
    is_away = False

    def note(report: LinkReport) -> None:
        nonlocal is_away
        is_away = report.state in ("lost", "connecting")

    try:
        async with SpeechClient(
            http_url(url).replace("http", "ws", 1), token=api_key, lead_ms=None, name="voxwire say", on_link=note
        ) as client:
            speech = client.speak(
                text,
                voice=start.voice,
                language=start.language,
                speed=start.speed,
                volume=start.volume,
                seed=start.seed,
                words=gapless,  # they tell how long the rest will be
            )
            rate = client.ready.model.sample_rate
            yield Narration(rate, _pcm(speech, gapless), lambda: speech.wait_s, lambda: is_away)
    except ProtocolError as error:
        raise NarrationFailed(error.message) from None
    except SpeechError as error:
        raise NarrationFailed(error.message) from None


async def _pcm(speech: Speech, gapless: bool) -> AsyncIterator[bytes]:
    try:
        async for chunk in speech.gapless() if gapless else speech:
            if chunk.pcm:
                yield chunk.pcm
    except SpeechError as error:
        raise NarrationFailed(error.message) from None


async def _once(text: str) -> AsyncIterator[str]:
    yield text


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
