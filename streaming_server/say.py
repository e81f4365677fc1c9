"""`voxwire say` and `voxwire voices`: speech into a file or a pipe, from a text or from standard input as it comes."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, cast

from protocol.messages import Start

from .audio.containers import format_of, open_writer
from .audio.encoder import UnsupportedFormat
from .engine_client import EngineUnavailable, LocalEngine
from .runs import as_samples
from .serve import default_model
from .speech import SpeechFailed, embedded_speech, remote_speech
from .voices import describe

READ_BYTES = 65_536


def add_say_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what to speak; - reads standard input as it comes")
    parser.add_argument(
        "-o", "--output", default="speech.wav", help="FILE.wav, .flac, .ogg or .opus; - is a WAV stream"
    )
    parser.add_argument("--url", help="speak through a running server, as http://127.0.0.1:6006; else embedded")
    parser.add_argument("--api-key", default=os.environ.get("VOXWIRE_API_KEY"), help="that server's key")
    parser.add_argument("--model", default="", help="embedded: espeak, tone or a checkpoint directory")
    parser.add_argument("--voice", help="a name that `voxwire voices` lists")
    parser.add_argument("--language", help="auto, en, zh, ...")
    parser.add_argument("--speed", type=float, help="0.5 to 2.0")
    parser.add_argument("--volume", type=float, help="0 to 2")
    parser.add_argument("--seed", type=int, help="0 to 4294967295; the same seed, the same speech")


def say(options: argparse.Namespace) -> int:
    """The exit status: 0 spoken, 1 failed."""
    try:
        form = "wav" if options.output == "-" else format_of(options.output)
        asyncio.run(_say(options, form))
    except (EngineUnavailable, UnsupportedFormat, SpeechFailed) as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"voxwire: {error.strerror or error}: {error.filename or options.output}", file=sys.stderr)
        return 1
    return 0


async def _say(options: argparse.Namespace, form: str) -> None:
    text = read_stdin() if options.text == "-" else _once(options.text)
    start = Start(
        utterance="say",
        voice=options.voice,
        language=options.language,
        speed=options.speed,
        volume=options.volume,
        seed=options.seed,
    )
    if options.url:
        opened = remote_speech(options.url, options.api_key, start, text)
    else:
        opened = embedded_speech(options.model or default_model(), start, text)
    target: Path | BinaryIO = sys.stdout.buffer if options.output == "-" else Path(options.output)
    async with opened as speech:
        with open_writer(target, form, speech.sample_rate) as writer:
            progress = Progress(speech.sample_rate)
            async for pcm in speech.pcm:
                writer.write(as_samples(pcm))
                progress.show(len(pcm) // 2)
    progress.end("standard output" if options.output == "-" else options.output)


class Progress:
    """One line on a terminal, nothing elsewhere."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._num_samples = 0
        self._began_at = time.monotonic()
        self._first_ms: float | None = None
        self._on_terminal = sys.stderr.isatty()

    def show(self, num_samples: int) -> None:
        if self._first_ms is None:
            self._first_ms = 1000 * (time.monotonic() - self._began_at)
        self._num_samples += num_samples
        if self._on_terminal:
            print(f"\r{self._num_samples / self._sample_rate:7.2f} s spoken", end="", file=sys.stderr, flush=True)

    def end(self, name: str) -> None:
        if self._on_terminal:
            spoken_s = self._num_samples / self._sample_rate
            took_s = time.monotonic() - self._began_at
            first = f", first audio after {self._first_ms:.0f} ms" if self._first_ms is not None else ""
            print(f"\r{spoken_s:7.2f} s of speech in {took_s:.2f} s{first}: {name}", file=sys.stderr)


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def read_stdin() -> AsyncIterator[str]:
    """Standard input as it comes, cut anywhere but inside a character; bad bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    loop = asyncio.get_running_loop()
    while data := await loop.run_in_executor(None, os.read, sys.stdin.fileno(), READ_BYTES):
        if text := decoder.decode(data):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def list_voices(options: argparse.Namespace) -> int:
    """Name, language and gender of every voice, a line each."""
    try:
        if options.url:
            listing = _fetch_voices(options.url, options.api_key)
        else:
            listing = asyncio.run(_embedded_voices(options.model or default_model()))
    except (EngineUnavailable, SpeechFailed) as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 1
    voices = cast("list[dict[str, str]]", listing["voices"])
    width = max(len(voice["name"]) for voice in voices)
    for voice in voices:
        mark = "*" if voice["name"] == listing["default"] else " "
        line = f"{mark} {voice['name']:{width}}  {voice['language']:8} {voice['gender']:8} {voice['description']}"
        print(line.rstrip())
    return 0


async def _embedded_voices(model_name: str) -> dict[str, object]:
    engine = await LocalEngine.load(model_name)
    try:
        return describe(engine.info, "")
    finally:
        await engine.close()


def _fetch_voices(url: str, api_key: str | None) -> dict[str, object]:
    request = urllib.request.Request(f"{url.rstrip('/')}/v1/voices")
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return cast("dict[str, object]", json.load(answer))
    except (OSError, ValueError) as error:
        raise SpeechFailed(f"expected a voxwire server at {url}, got: {error}") from None
