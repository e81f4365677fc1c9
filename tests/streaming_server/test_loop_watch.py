"""A loop that stands is seen, and what it was doing."""

from __future__ import annotations

import asyncio
import time

import pytest

from models.tone import ToneModel
from streaming_server.engine_client import LocalEngine
from streaming_server.loop_watch import watch_loop
from streaming_server.metrics import Metrics


def sleep_in_the_loop() -> None:
    time.sleep(0.45)


async def page_after_two_stalls() -> str:
    engine = LocalEngine(ToneModel())
    metrics = Metrics(engine)
    watching = asyncio.create_task(watch_loop(metrics))
    await asyncio.sleep(0.2)
    for _ in range(2):
        sleep_in_the_loop()
        await asyncio.sleep(0.2)
    watching.cancel()
    await engine.close()
    return metrics.page().decode()


async def test_a_stall_is_counted_and_its_stack_logged_but_not_every_one(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):  # a loop that stands because the machine is busy counts as well
        caplog.clear()
        page = await page_after_two_stalls()
        if "voxwire_loop_stalls_total 2.0" in page:
            break
    assert "voxwire_loop_stalls_total 2.0" in page
    assert 'voxwire_loop_lag_seconds_bucket{le="0.25"}' in page
    stacks = [record.getMessage() for record in caplog.records]
    assert len(stacks) == 1, "expected one in ten seconds"
    assert "sleep_in_the_loop (test_loop_watch.py:" in stacks[0]
    assert "\n" not in stacks[0]
