"""How many patches may wait for a coder."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from protocol.messages import AudioFormat, ServerMessage
from streaming_server.runs import MAX_JOBS, Runs


async def test_a_coder_that_cannot_keep_up_is_seen_before_much_waits_for_it() -> None:
    emitted: list[ServerMessage] = []
    is_free, failed = threading.Event(), asyncio.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(is_free.wait)
        audio = AudioFormat(sample_rate=16_000)
        runs = Runs("u", audio, rate_hz=44_100, executor=executor, emit=emitted.append, on_error=lambda _: failed.set())
        for number in range(MAX_JOBS + 1):
            assert not runs.is_behind(still=False)
            runs.send(lambda: (), 441 * number, bytes(882), run_ends=False)
        assert runs.is_behind(still=False)
        is_free.set()
        async with asyncio.timeout(30):
            while runs.is_behind(still=True):  # noqa: ASYNC110 - only looking tells
                await asyncio.sleep(0.01)
        assert len(emitted) >= MAX_JOBS // 2
        runs.close()
    assert not failed.is_set()
