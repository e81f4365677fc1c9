"""The endpoint's watch over a client's silence."""

from __future__ import annotations

import asyncio
import time

from tests.streaming_server.serving import greeted, serving


async def test_silence_counts_from_the_last_message() -> None:
    async with serving(idle_ms=1500) as server, greeted(server) as wire:
        for nonce in range(4):
            await asyncio.sleep(0.5)
            await wire.send("ping", nonce=nonce)
            assert (await wire.receive())["type"] == "pong"
        heard_at = time.monotonic()
        assert await wire.close_code() == 4408
        assert wire.received[-1]["code"] == "timeout"
        assert 1.4 < time.monotonic() - heard_at < 10


async def test_who_listens_in_silence_is_not_idle() -> None:
    async with serving(idle_ms=1000) as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="u", text="This takes rather more than three seconds to say.", end=True)
        done = await wire.until("done", "u")
        assert done["reason"] == "end"
        assert sum(message["type"] == "audio" for message in wire.received) > 15
