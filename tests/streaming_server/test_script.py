"""Text becomes segments for the engine, in order, without holding up the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from streaming_server.script import Script
from streaming_server.text.normalizer import Normalizer


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def script(executor: ThreadPoolExecutor, spoken: list[str]) -> Script:
    return Script(
        "auto",
        "en",
        normalizer=Normalizer(),
        executor=executor,
        on_cut=lambda: None,
        on_caught_up=lambda: None,
        speak=spoken.append,
        on_error=pytest.fail,
    )


async def ended(script: Script) -> None:
    over = asyncio.Event()
    script.end(over.set)
    async with asyncio.timeout(20):
        await over.wait()


async def test_a_clause_is_handed_over_before_add_returns(executor: ThreadPoolExecutor) -> None:
    spoken: list[str] = []
    script(executor, spoken).add("Hello there, my friend")
    assert spoken == ["Hello there,"]


async def test_segments_keep_their_order_past_one_that_must_be_normalised(executor: ThreadPoolExecutor) -> None:
    spoken: list[str] = []
    text = script(executor, spoken)
    text.add("It costs $3.50 today. That is cheap. I have 12 of them. Good.")
    await ended(text)
    assert "".join(spoken).replace(" ", "").startswith("Itcoststhreedollarsfifty")
    assert spoken[-1].rstrip().endswith("Good.")
    assert [segment.index for segment, _ in text.segments] == list(range(len(spoken)))


async def test_a_long_text_takes_turns_with_everything_else(executor: ThreadPoolExecutor) -> None:
    spoken: list[str] = []
    text = script(executor, spoken)
    longest_ms = 0.0

    async def watch() -> None:
        nonlocal longest_ms
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest_ms = max(longest_ms, 1000 * (time.perf_counter() - before))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    began_at = time.perf_counter()
    text.add("And so it goes on and on, for a while. " * 1600)
    assert text.is_cutting
    await ended(text)
    took_ms = 1000 * (time.perf_counter() - began_at)
    watching.cancel()
    assert text.num_chars == len(text.original) == 1600 * 39
    assert longest_ms < took_ms / 5, "one slice at a time"


async def test_a_fault_ends_the_script_and_is_told_once(executor: ThreadPoolExecutor) -> None:
    faults: list[BaseException] = []

    def refuse(_: str) -> None:
        raise ZeroDivisionError

    text = Script(
        "auto",
        "en",
        normalizer=Normalizer(),
        executor=executor,
        on_cut=lambda: None,
        on_caught_up=lambda: None,
        speak=refuse,
        on_error=faults.append,
    )
    text.add("Hello there, my friend. " * 500)
    await asyncio.sleep(0.05)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    assert not text.is_cutting


async def test_what_is_closed_cuts_no_further(executor: ThreadPoolExecutor) -> None:
    spoken: list[str] = []
    text = script(executor, spoken)
    text.add("And so it goes on and on, for a while. " * 1600)
    text.close()
    before = len(spoken)
    await asyncio.sleep(0.05)
    assert len(spoken) == before
