"""A start with every value resolved: what the client asked for, the configuration's defaults, the model's bounds."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import AudioFormat, Start, Started

from .config import Config
from .voices.catalogue import NoSuchVoice, choose_voice

if TYPE_CHECKING:
    from .engine_client import EngineClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an utterance is made from; `started` echoes it."""

    utterance: str
    session: Hashable
    voice: str
    language: str = "auto"
    speed: float = 1.0
    volume: float = 1.0
    seed: int = 0
    params: Mapping[str, float]
    audio: AudioFormat
    segmentation: Literal["auto", "sentence", "clause", "manual"] = "auto"
    words: bool = True
    lead_ms: int | None = 4000
    unknown: tuple[str, ...] = ()

    def started(self, audio: AudioFormat) -> Started:
        """`audio`: with the `pre_skip` of its first run."""
        return Started(
            utterance=self.utterance,
            voice=self.voice,
            language=self.language,
            seed=self.seed,
            params=dict(self.params),
            audio=audio,
            unknown=self.unknown,
        )


def resolve_order(
    start: Start,
    *,
    engine: EngineClient,
    config: Config,
    session: Hashable,
    audio: AudioFormat,
    lead_ms: int | None,
    unknown: tuple[str, ...] = (),
) -> Order:
    """Raises RemoteProtocolError: unknown voice, a parameter out of its range."""
    info = engine.info
    language = start.language or config.language
    try:
        voice = choose_voice(info, start.voice, language, config.voice)
    except NoSuchVoice as error:
        raise RemoteProtocolError(ErrorCode.UNKNOWN_VOICE, str(error), utterance=start.utterance) from None
    params = {name: knob.default for name, knob in info.params.items()}
    strange = list(unknown)
    for name, value in start.params.items():
        knob = info.params.get(name)
        if knob is None:
            strange.append(f"params.{name}")
            continue
        if not knob.min <= value <= knob.max:
            raise RemoteProtocolError(
                ErrorCode.BAD_VALUE,
                f"expected params.{name} between {knob.min:g} and {knob.max:g}, got {value:g}",
                utterance=start.utterance,
            )
        params[name] = value
    return Order(
        utterance=start.utterance,
        session=session,
        voice=voice,
        language=language,
        speed=config.speed if start.speed is None else start.speed,
        volume=config.volume if start.volume is None else start.volume,
        seed=secrets.randbits(32) if start.seed is None else start.seed,
        params=params,
        audio=start.audio or audio,
        segmentation=start.segmentation or "auto",
        words=start.words is not False,
        lead_ms=lead_ms,
        unknown=tuple(strange),
    )
