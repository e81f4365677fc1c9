"""A start is resolved: asked for, else configured, else the model's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import AudioFormat, Start
from streaming_server.engine_client import LocalEngine
from streaming_server.order import Order, resolve_order
from streaming_server.settings import Config


@pytest.fixture
async def espeak() -> AsyncIterator[LocalEngine]:
    engine = await LocalEngine.load("espeak")
    yield engine
    await engine.close()


def resolve(engine: LocalEngine, config: Config | None = None, **start: Any) -> Order:
    return resolve_order(
        Start(utterance="u1", **start),
        engine=engine,
        config=config or Config(),
        session="s",
        audio=AudioFormat(codec="pcm_f32le"),
        lead_ms=4000,
    )


@pytest.mark.parametrize(
    ("start", "voice"),
    [
        ({}, "en-US-male"),
        ({"language": "auto"}, "en-US-male"),
        ({"language": "zh"}, "cmn-male"),
        ({"language": "zh-CN"}, "cmn-male"),
        ({"language": "en-GB"}, "en-GB-male"),
        ({"voice": "cmn-female", "language": "en"}, "cmn-female"),
    ],
)
async def test_the_asked_voice_wins_then_the_languages_own(
    espeak: LocalEngine, start: dict[str, str], voice: str
) -> None:
    assert resolve(espeak, **start).voice == voice


async def test_the_configured_voice_stands_in_for_the_models(espeak: LocalEngine) -> None:
    config = Config(voice="en-GB-female", language="auto", speed=1.5, volume=0.5)
    order = resolve(espeak, config)
    assert (order.voice, order.speed, order.volume) == ("en-GB-female", 1.5, 0.5)
    assert resolve(espeak, config, language="zh").voice == "cmn-female"
    assert resolve(espeak, config, speed=0.7).speed == 0.7


async def test_the_sessions_format_holds_unless_the_start_brings_one(espeak: LocalEngine) -> None:
    assert resolve(espeak).audio.codec == "pcm_f32le"
    assert resolve(espeak, audio=AudioFormat(codec="opus")).audio.codec == "opus"


async def test_every_order_has_a_seed(espeak: LocalEngine) -> None:
    assert resolve(espeak, seed=0).seed == 0
    seeds = {resolve(espeak).seed for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("start", [{"voice": "nobody"}, {"language": "xx-none"}])
async def test_a_voice_that_does_not_exist_is_refused(espeak: LocalEngine, start: dict[str, str]) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        resolve(espeak, **start)
    assert refused.value.code is ErrorCode.UNKNOWN_VOICE
    assert refused.value.utterance == "u1"
