"""Listeners whose way is longer than the sound that may wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.packet_link import Direction
from bench.survivor import Hearing, Survivor
from bench.websocket import BUFFER_BYTES, Address
from models.tone import SAMPLE_RATE
from protocol.messages import AudioFormat, Start
from streaming_server.audio.opus import opus_available
from streaming_server.sound_window import MAX_SOUND_S
from tests.packet_links import packet_link

from .serving import serving

needs_opus = pytest.mark.skipif(not opus_available(), reason="the system has no libopus")


@asynccontextmanager
async def far_listener(round_trip_s: float, lead_ms: int | None, **settings: int) -> AsyncIterator[Survivor]:
    up, down = (Direction(delay_ms=1000 * round_trip_s / 2) for _ in range(2))
    async with (
        serving(ping_interval_ms=60_000, resume_ms=0, **settings) as server,
        packet_link(server.port, up=up, down=down) as link,
    ):
        audio = AudioFormat(codec="opus", bitrate=32_000)
        survivor = Survivor(Address(link.far, link.port), bytearray(BUFFER_BYTES), lead_ms=lead_ms, audio=audio)
        await survivor.connect()
        try:
            with survivor.playing():
                yield survivor
        finally:
            up.delay_ms = down.delay_ms = 0.0
            survivor.leave()
            await asyncio.sleep(0.1)  # the goodbyes are under way


async def heard_s(hearing: Hearing, wait_s: float) -> float:
    """So much sound comes in that time."""
    num_ticks = hearing.playout.num_ticks
    await asyncio.sleep(wait_s)
    return (hearing.playout.num_ticks - num_ticks) / SAMPLE_RATE


@needs_opus
async def test_who_is_farther_away_than_sound_may_wait_and_than_a_stall_may_last_does_not_starve() -> None:
    round_trip_s = 1.6
    assert round_trip_s > MAX_SOUND_S
    async with far_listener(round_trip_s, lead_ms=4000, write_stall_ms=1_000) as survivor:
        hearing = await survivor.hear(Start(utterance="u", seed=3, language="en", text="So far away. " * 20, end=True))
        await asyncio.sleep(round_trip_s)  # TCP begins with a few packets
        assert await heard_s(hearing, 2 * round_trip_s) > 2 * MAX_SOUND_S + 0.5
        assert survivor.is_connected, "expected him not to be taken for a slow reader"


@needs_opus
async def test_who_is_not_paced_gets_more_at_every_round_trip() -> None:
    round_trip_s = 0.4
    async with far_listener(round_trip_s, lead_ms=None) as survivor:
        text = "As much as there is. " * 400
        hearing = await survivor.hear(Start(utterance="u", seed=3, language="en", text=text, end=True))
        await asyncio.sleep(6 * round_trip_s)
        assert await heard_s(hearing, 2 * round_trip_s) > 2 * 2 * MAX_SOUND_S
