"""Commands and events as msgpack values; the model's options as an argument of the engine's process.

Web process to engine: `{"commands": [...]}` or `{"ping": nonce}`. Engine to web process: first `{"info": ...}`, again
whenever another web process had the voices looked for; then a message for each step, or
`{"pong": nonce, "step_age_s": ...}`. Both ends are of one build, so the form is private and
unversioned.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from models.base import History, ModelInfo, ModelOptions, ParamRange, SpeechParams, Voice, Word
from models.engine import (
    Cancel,
    Closed,
    Command,
    Event,
    Expect,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reading,
    Reloaded,
    ReloadVoices,
    Seal,
    Spoke,
    Suspend,
    Trial,
)

HURRY = "hurry"
"""Said to a host for which utterances wait."""

_HISTORY = tuple(field.name for field in fields(History))


def pack_info(info: ModelInfo) -> dict[str, Any]:
    return asdict(info)


def unpack_info(data: dict[str, Any]) -> ModelInfo:
    voices = tuple(Voice(**voice) for voice in data["voices"])
    params = {name: ParamRange(**value) for name, value in data["params"].items()}
    tuples = {name: tuple(data[name]) for name in ("languages", "adapters", "buckets")}
    return ModelInfo(**{**data, **tuples, "voices": voices, "params": params})


def pack_options(options: ModelOptions) -> str:
    """One line of JSON, paths absolute. Whom `progress` tells is not told."""
    told = {name: value for name, value in asdict(options).items() if name != "progress"}
    return json.dumps(told, default=lambda path: str(path.absolute()))


def unpack_options(text: str) -> ModelOptions:
    data = json.loads(text)
    for name in ("voices", "cache", "merge_adapter"):
        data[name] = None if data[name] is None else Path(data[name])
    return ModelOptions(**{**data, "adapters": tuple(map(Path, data["adapters"]))})


def pack_command(command: Command) -> list[Any]:
    match command:
        case Open():
            p = command.params
            params = [p.language, p.speed, p.volume, p.seed, dict(p.knobs)]
            history = _pack_history(command.history)
            lead = command.lead_samples
            named = [command.stream, command.session, command.voice]
            trial = command.trial and [command.trial.num_patches, command.trial.is_alone]
            return ["o", *named, params, lead, command.held, history, trial]
        case Extend():
            return ["x", command.stream, command.text]
        case Expect():
            return ["e", command.stream, command.text]
        case Seal():
            return ["s", command.stream]
        case Finish():
            return ["f", command.stream]
        case Pace():
            return ["p", command.stream, command.reading.position, command.reading.since]
        case Suspend():
            return ["w", command.stream, command.suspended]
        case Cancel():
            return ["c", command.stream]
        case ReloadVoices():
            return ["v", command.stream]


def unpack_command(data: Any, worker: int) -> Command:
    """`worker` makes stream and session names of several web processes distinct. Raises ValueError."""
    match data:
        case ["o", stream, session, voice, [language, speed, volume, seed, knobs], lead_samples, held, history, trial]:
            params = SpeechParams(language=language, speed=speed, volume=volume, seed=seed, knobs=knobs)
            past = _unpack_history(history)
            tried = Trial(*trial) if trial else None
            return Open((worker, stream), (worker, session), voice, params, lead_samples, held, past, tried)
        case ["x", stream, text]:
            return Extend((worker, stream), text)
        case ["e", stream, text]:
            return Expect((worker, stream), text)
        case ["s", stream]:
            return Seal((worker, stream))
        case ["f", stream]:
            return Finish((worker, stream))
        case ["p", stream, position, since]:
            return Pace((worker, stream), Reading(position, since))
        case ["w", stream, suspended]:
            return Suspend((worker, stream), suspended)
        case ["c", stream]:
            return Cancel((worker, stream))
        case ["v", stream]:
            return ReloadVoices((worker, stream))
        case _:
            raise ValueError(f"expected an engine command, {str(data)[:40]} came")


def _pack_history(history: History | None) -> list[Any] | None:
    return None if history is None else [getattr(history, name) for name in _HISTORY]


def _unpack_history(data: Any) -> History | None:
    return None if data is None else History(**dict(zip(_HISTORY, data, strict=True)))


def pack_event(event: Event, stream: int) -> list[Any]:
    """`stream`: the name within the worker that the event goes to."""
    match event:
        case Spoke():
            words = [[word.text_start, word.text_end, word.start, word.end] for word in event.words]
            return ["a", stream, event.segment, event.index, event.pcm, words, event.latents, event.last, event.seconds]
        case Closed():
            return ["c", stream]
        case Failed():
            suspects = [event.num_suspects, event.on_trial]
            return ["e", stream, event.message, event.busy, event.retry_after_ms, *suspects]
        case Reloaded():
            return ["v", stream, pack_info(event.info)]


def unpack_event(data: Any) -> Event:
    """Raises ValueError."""
    match data:
        case ["a", stream, segment, index, pcm, words, latents, last, seconds]:
            spoken = tuple([Word(*word) for word in words])
            return Spoke(stream, segment, index, pcm, spoken, latents, last, seconds)
        case ["c", stream]:
            return Closed(stream)
        case ["e", stream, message, busy, retry_after_ms, num_suspects, on_trial]:
            return Failed(stream, message, busy, retry_after_ms, num_suspects, on_trial)
        case ["v", stream, info]:
            return Reloaded(stream, unpack_info(info))
        case _:
            raise ValueError(f"expected an engine event, {str(data)[:40]} came")
