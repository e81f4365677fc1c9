"""`ready`: what this server is, and every bound that a client can run into."""

from __future__ import annotations

from protocol.messages import (
    ABSENT,
    AudioFormat,
    Controls,
    Hello,
    Limits,
    ModelDescription,
    ParamRange,
    Ready,
    ServerInfo,
)

from . import __version__
from .audio.encoder import UnsupportedFormat
from .config import Config
from .engine_client import EngineClient
from .runs import check_format

MAX_LEAD_MS = 60_000
"""The largest `hello.lead_ms` (PROTOCOL.md, Pacing)."""


def told_limits(config: Config) -> Limits:
    """`ready.limits`."""
    return Limits(**{**config.limits, "lead_ms": MAX_LEAD_MS})


def granted_lead(hello: Hello, config: Config, patch_ms: float) -> int | None:
    """How far ahead of its listener a session is served, in ms; None for background work."""
    if hello.lead_ms is None:
        return None
    asked = config.lead_ms if hello.lead_ms is ABSENT else hello.lead_ms
    assert isinstance(asked, int)
    return max(min(asked, MAX_LEAD_MS), int(2 * patch_ms))


def served_audio(asked: AudioFormat | None, rate_hz: int) -> AudioFormat:
    """What a session's utterances are sent as unless they say otherwise: as asked, or PCM where that is not served.

    `rate_hz`: the model's.
    """
    audio = asked or AudioFormat()
    try:
        check_format(audio, rate_hz)
    except UnsupportedFormat:
        return AudioFormat()
    return audio


def describe_model(engine: EngineClient) -> ModelDescription:
    """`ready.model`, as fast as it is now."""
    info, rtf = engine.info, engine.rtf
    return ModelDescription(
        name=info.name,
        sample_rate=info.sample_rate,
        patch_ms=info.patch_ms,
        token_rate=info.token_rate,
        languages=info.languages,
        neural=info.neural,
        deterministic=info.deterministic,
        realtime=not engine.is_slow,
        rtf=None if rtf is None else round(rtf, 5),
        controls=Controls(speed=info.speed, volume=info.volume),
        params={
            name: ParamRange(min=knob.min, max=knob.max, default=knob.default) for name, knob in info.params.items()
        },
    )


def greet(
    session: str,
    token: str,
    config: Config,
    engine: EngineClient,
    audio: AudioFormat,
    unknown: tuple[str, ...],
    num_resumed: int | None,
) -> Ready:
    """`token`: to come back with. `num_resumed`: what the ledger of a session that has come back says it had taken."""
    return Ready(
        session=session,
        resume_token=token,
        resumed=num_resumed is not None,
        client_messages=num_resumed or 0,
        server=ServerInfo(name="voxwire", version=__version__),
        model=describe_model(engine),
        audio=audio.resolved(engine.info.sample_rate),
        voice=config.voice or engine.info.default_voice,
        limits=told_limits(config),
        unknown=unknown,
    )
