"""Commands and steps between a web process and the engine's process: msgpack arrays behind a length.

One frame a write, one message a step and worker. Both ends are of one build, so the form is private and unversioned.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import asdict
from typing import Any

import msgpack

from models.base import ModelInfo, ParamRange, SpeechParams, Voice, Word
from models.engine import (
    Cancel,
    Closed,
    Command,
    Event,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reading,
    Seal,
    Spoke,
)

MAX_FRAME_BYTES = 64 << 20
"""Far above any step (112 rows of 160 ms are 1.6 MB); a longer frame means that the stream is torn."""

_LENGTH = struct.Struct("<I")


def frame(value: Any) -> bytes:
    body: bytes = msgpack.packb(value)
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """Raises asyncio.IncompleteReadError at the end of the stream, ValueError when it is torn."""
    (num_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if num_bytes > MAX_FRAME_BYTES:
        raise ValueError(f"expected an engine frame of at most {MAX_FRAME_BYTES} bytes, {num_bytes} came")
    return msgpack.unpackb(await reader.readexactly(num_bytes), strict_map_key=False)


def pack_info(info: ModelInfo) -> dict[str, Any]:
    return asdict(info)


def unpack_info(data: dict[str, Any]) -> ModelInfo:
    voices = tuple(Voice(**voice) for voice in data["voices"])
    params = {name: ParamRange(**value) for name, value in data["params"].items()}
    return ModelInfo(**{**data, "languages": tuple(data["languages"]), "voices": voices, "params": params})


def pack_command(command: Command) -> list[Any]:
    match command:
        case Open():
            p = command.params
            params = [p.language, p.speed, p.volume, p.seed, dict(p.knobs)]
            return ["o", command.stream, command.session, command.voice, params, command.lead_samples, command.held]
        case Extend():
            return ["x", command.stream, command.text]
        case Seal():
            return ["s", command.stream]
        case Finish():
            return ["f", command.stream]
        case Pace():
            return ["p", command.stream, command.reading.position, command.reading.since]
        case Cancel():
            return ["c", command.stream]


def unpack_command(data: list[Any], worker: int) -> Command:
    """`worker` makes stream and session names of several web processes distinct."""
    stream = (worker, data[1])
    match data:
        case ["o", _, session, voice, [language, speed, volume, seed, knobs], lead_samples, held]:
            params = SpeechParams(language=language, speed=speed, volume=volume, seed=seed, knobs=knobs)
            return Open(stream, (worker, session), voice, params, lead_samples, held)
        case ["x", _, text]:
            return Extend(stream, text)
        case ["s", _]:
            return Seal(stream)
        case ["f", _]:
            return Finish(stream)
        case ["p", _, position, since]:
            return Pace(stream, Reading(position, since))
        case ["c", _]:
            return Cancel(stream)
        case _:
            raise ValueError(f"expected an engine command, {data[:1]!r} came")


def pack_event(event: Event, stream: int) -> list[Any]:
    """`stream`: the name within the worker that the event goes to."""
    match event:
        case Spoke():
            words = [[word.text_start, word.text_end, word.start, word.end] for word in event.words]
            return [
                "a", stream, event.segment, event.index, event.pcm, words, event.estimated, event.latents, event.last
            ]  # fmt: skip
        case Closed():
            return ["c", stream]
        case Failed():
            return ["e", stream, event.message, event.busy]


def unpack_event(data: list[Any]) -> Event:
    match data:
        case ["a", stream, segment, index, pcm, words, estimated, latents, last]:
            return Spoke(stream, segment, index, pcm, tuple(Word(*word) for word in words), estimated, latents, last)
        case ["c", stream]:
            return Closed(stream)
        case ["e", stream, message, busy]:
            return Failed(stream, message, busy)
        case _:
            raise ValueError(f"expected an engine event, {data[:1]!r} came")
