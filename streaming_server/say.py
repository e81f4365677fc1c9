"""`voxwire say` and `voxwire voices`: speech into a file or a pipe, from a text or from standard input as it comes."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import contextlib
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from protocol.errors import RemoteProtocolError
from protocol.messages import Start
from protocol.wire import read_client

from .audio.containers import format_of, open_writer
from .audio.encoder import UnsupportedFormat
from .config import Config, add_model_arguments, embedded_config
from .engine_client import EngineUnavailable, LocalEngine
from .narration import NarrationFailed, embedded_narration, http_url, remote_narration
from .runs import as_samples
from .serve import default_model
from .voices.catalogue import describe

READ_BYTES = 65_536

WAIT_INTERVAL_S = 0.25
LINK_INTERVAL_S = 0.1
WAIT_LINES_S = 30.0
"""Where nobody looks at a terminal."""

T = TypeVar("T")


def add_say_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what to speak; - reads standard input as it comes")
    parser.add_argument(
        "-o", "--output", default="speech.wav", help="FILE.wav, .flac, .ogg or .opus; - is a WAV stream"
    )
    parser.add_argument("--url", help="speak through a running server, as http://127.0.0.1:6006; else embedded")
    parser.add_argument("--api-key", default=os.environ.get("VOXWIRE_API_KEY"), help="that server's key")
    parser.add_argument("--voice", help="a name that `voxwire voices` lists")
    parser.add_argument("--language", help="auto, en, zh, ...")
    parser.add_argument("--speed", type=float, help="0.5 to 2.0")
    parser.add_argument("--volume", type=float, help="0 to 2")
    parser.add_argument("--seed", type=int, help="0 to 4294967295; the same seed, the same speech")
    add_model_arguments(parser)


def add_voices_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="ask a running server, as http://127.0.0.1:6006; else embedded")
    parser.add_argument("--api-key", default=os.environ.get("VOXWIRE_API_KEY"), help="that server's key")
    add_model_arguments(parser)


def say(options: argparse.Namespace) -> int:
    """The exit status: 0 spoken, 1 failed, 2 there is no such model. Raises ConfigError."""
    try:
        form = "wav" if options.output == "-" else format_of(options.output)
        asyncio.run(_say(options, form))
    except (EngineUnavailable, UnsupportedFormat, NarrationFailed) as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 2 if isinstance(error, EngineUnavailable) else 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"voxwire: {error.strerror or error}: {error.filename or options.output}", file=sys.stderr)
        return 1
    return 0


async def _say(options: argparse.Namespace, form: str) -> None:
    start = asked(options)
    text = read_stdin() if options.text == "-" else _once(options.text)
    is_played = options.output == "-"  # by who reads the pipe, as it comes
    if options.url:
        opened = remote_narration(options.url, options.api_key, start, text, gapless=is_played)
    else:
        opened = embedded_narration(_embedded(options), start, text, gapless=is_played)
    target: Path | BinaryIO = sys.stdout.buffer if is_played else Path(options.output)
    async with opened as narration:
        with open_writer(target, form, narration.sample_rate) as writer:
            progress = Progress(narration.sample_rate)
            showing = [
                asyncio.create_task(progress.show_wait(narration.wait_s)),
                asyncio.create_task(progress.show_link(narration.is_away, is_played=is_played)),
            ]
            try:
                async for pcm in narration.pcm:
                    if is_played:  # a full pipe is not to hold up what is still to be made
                        await _in_thread(partial(writer.write, as_samples(pcm)))
                    else:
                        writer.write(as_samples(pcm))
                    progress.show(len(pcm) // 2)
            finally:
                for task in showing:
                    task.cancel()
    progress.end("standard output" if is_played else options.output)


def _embedded(options: argparse.Namespace) -> Config:
    """With the model that is asked for, or the default one. Raises ConfigError."""
    config = embedded_config(options, os.environ)
    return config if config.model else config.model_copy(update={"model": default_model()})


def asked(options: argparse.Namespace) -> Start:
    """The flags within the bounds that the wire has. Raises NarrationFailed."""
    flags = ("voice", "language", "speed", "volume", "seed")
    given = {name: value for name in flags if (value := getattr(options, name)) is not None}
    try:
        start, _ = read_client({"type": "start", "utterance": "say", **given})
    except RemoteProtocolError as error:
        raise NarrationFailed(f"--{error.message}") from None
    assert isinstance(start, Start)
    return start


class Progress:
    """One line on a terminal; elsewhere nothing but a line now and then while sound is held back."""

    def __init__(self, sample_rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._sample_rate = sample_rate
        self._clock = clock
        self._num_samples = 0
        self._began_at = clock()
        self._first_ms: float | None = None
        self._on_terminal = sys.stderr.isatty()

    def show(self, num_samples: int) -> None:
        if self._first_ms is None:
            self._first_ms = 1000 * (self._clock() - self._began_at)
        self._num_samples += num_samples
        if self._on_terminal:
            print(
                f"\r{self._num_samples / self._sample_rate:7.2f} s spoken{' ' * 40}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    async def show_wait(self, wait_s: Callable[[], float]) -> None:
        """Until cancelled. Sound is held back where it is made more slowly than it is heard."""
        told_at = -inf
        while True:
            await asyncio.sleep(WAIT_INTERVAL_S)
            left_s, now = wait_s(), self._clock()
            if left_s <= 0 or (not self._on_terminal and now - told_at < WAIT_LINES_S):
                continue
            told_at = now
            line = f"slower than real time: speaking in about {left_s:.0f} s"
            start, end = ("\r", " " * 8) if self._on_terminal else ("voxwire: ", "\n")
            print(start + line, end=end, file=sys.stderr, flush=True)

    async def show_link(self, is_away: Callable[[], bool], *, is_played: bool) -> None:
        """Until cancelled. A lost connection is told once it can be heard, or at once where nobody listens."""
        is_told = False
        while True:
            await asyncio.sleep(LINK_INTERVAL_S)
            if not is_away():
                is_told = False
            elif not is_told and (not is_played or self._left_s <= 0):
                is_told = True
                line = "the connection is lost: reconnecting"
                start, end = ("\r", " " * 8) if self._on_terminal else ("voxwire: ", "\n")
                print(start + line, end=end, file=sys.stderr, flush=True)

    @property
    def _left_s(self) -> float:
        """How long what was given away still plays, if it is played as it comes."""
        began_at = self._began_at + (self._first_ms or 0.0) / 1000
        return self._num_samples / self._sample_rate - (self._clock() - began_at)

    def end(self, name: str) -> None:
        if self._on_terminal:
            spoken_s = self._num_samples / self._sample_rate
            took_s = self._clock() - self._began_at
            first = f", first audio after {self._first_ms:.0f} ms" if self._first_ms is not None else ""
            print(f"\r{spoken_s:7.2f} s of speech in {took_s:.2f} s{first}: {name}", file=sys.stderr)


async def _once(text: str) -> AsyncIterator[str]:
    yield text.encode(errors="surrogateescape").decode(errors="replace")  # a shell gives any bytes


async def read_stdin() -> AsyncIterator[str]:
    """Standard input as it comes, cut anywhere but inside a character; bad bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await _in_thread(partial(os.read, sys.stdin.fileno(), READ_BYTES)):
        if text := decoder.decode(data):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


async def _in_thread(call: Callable[[], T]) -> T:
    """What it returns. In a thread that nobody waits for at the end, as an executor's are. Raises OSError."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        if not result.done():
            settled()

    def run() -> None:
        try:
            settled = partial(result.set_result, call())
        except OSError as error:
            settled = partial(result.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            loop.call_soon_threadsafe(settle, settled)

    threading.Thread(target=run, name="pipe", daemon=True).start()
    return await result


def list_voices(options: argparse.Namespace) -> int:
    """Name, language and gender of every voice, a line each. The exit status as that of `say`."""
    try:
        if options.url:
            listing = _fetch_voices(options.url, options.api_key)
        else:
            listing = asyncio.run(_embedded_voices(_embedded(options)))
    except (EngineUnavailable, NarrationFailed) as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 2 if isinstance(error, EngineUnavailable) else 1
    voices = cast("list[dict[str, str]]", listing["voices"])
    width = max(len(voice["name"]) for voice in voices)
    for voice in voices:
        mark = "*" if voice["name"] == listing["default"] else " "
        line = f"{mark} {voice['name']:{width}}  {voice['language']:8} {voice['gender']:8} {voice['description']}"
        print(line.rstrip())
    return 0


async def _embedded_voices(config: Config) -> dict[str, object]:
    engine = await LocalEngine.load(config.model, config.model_options)
    try:
        return describe(engine.info, "")
    finally:
        await engine.close()


def _fetch_voices(url: str, api_key: str | None) -> dict[str, object]:
    request = urllib.request.Request(f"{http_url(url)}/v1/voices")
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return cast("dict[str, object]", json.load(answer))
    except urllib.error.HTTPError as error:
        said = "it wants its API key: --api-key" if error.code == 401 else f"it answered {error.code} {error.reason}"
        raise NarrationFailed(f"expected the voices of a voxwire server at {url}, but {said}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NarrationFailed(f"expected a voxwire server at {url}, got: {reason}") from None
