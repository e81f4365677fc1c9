"""Text becomes segments for the engine, in order, without holding up the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.base import Word
from streaming_server.script import Script
from streaming_server.text.normalizer import Normalizer
from tests.streaming_server.serving import until


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


async def test_what_is_being_written_is_known_as_far_as_it_is_said_as_written(executor: ThreadPoolExecutor) -> None:
    text = script(executor, [])
    text.add("**Hello** the")
    assert text.draft == "Hello the"
    text.add("re, my friend")
    assert text.draft == "my friend"
    text.add(" paid $5")
    assert text.draft == "my friend paid "


async def test_segments_keep_their_order_past_one_that_must_be_normalised(executor: ThreadPoolExecutor) -> None:
    spoken: list[str] = []
    text = script(executor, spoken)
    text.add("It costs $3.50 today. That is cheap. I have 12 of them. Good.")
    await ended(text)
    assert "".join(spoken).replace(" ", "").startswith("Itcoststhreedollarsfifty")
    assert spoken[-1].rstrip().endswith("Good.")
    assert [segment.index for segment, _ in text.segments] == list(range(len(spoken)))


async def test_a_long_text_takes_turns_with_everything_else(executor: ThreadPoolExecutor) -> None:
    for _ in range(3):  # the machine may be busy with something else: the best counts
        longest_share = await longest_turn_of_a_long_text(executor)
        if longest_share < 0.2:
            return
    raise AssertionError(f"expected one slice at a time, the longest took {longest_share:.0%}")


async def longest_turn_of_a_long_text(executor: ThreadPoolExecutor) -> float:
    """How long nobody else had a turn, as a share of all the time that the text took."""
    text = script(executor, [])
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    began_at = time.perf_counter()
    text.add("And so it goes on and on, for a while. " * 1600)
    assert text.is_cutting
    await ended(text)
    took_s = time.perf_counter() - began_at
    watching.cancel()
    assert text.num_chars == len(text.original) == 1600 * 39
    return longest_s / took_s


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
    await until(lambda: bool(faults))
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


async def test_corrections_of_estimated_words_are_told_and_unmoved_words_are_not(executor: ThreadPoolExecutor) -> None:
    text = script(executor, [])
    text.add("Now 42 go.")
    await ended(text)
    assert text.segments[0][1].text == "Now forty two go."
    now, two, go = Word(0, 3, 0, 90), Word(10, 13, 300, 400), Word(14, 16, 500, 600)
    forty = Word(4, 9, 200, 290)
    assert [tuple(each) for each in text.place(0, (now, forty, two), estimated=True)] == [
        (0, 3, 0, 90),
        (4, 6, 200, 400),
    ]
    moved = Word(10, 13, 320, 450)
    placed = text.place(0, (moved, go), estimated=True)
    assert [tuple(each) for each in placed] == [(4, 6, 200, 450), (7, 9, 500, 600)], "as long as both words it became"
    assert text.place(0, (now, moved), estimated=True) == ()


async def test_an_exact_word_is_told_once_however_many_words_it_became(executor: ThreadPoolExecutor) -> None:
    text = script(executor, [])
    text.add("Now 42 go.")
    await ended(text)
    first = text.place(0, (Word(0, 3, 0, 90), Word(4, 9, 200, 290)), estimated=False)
    assert [tuple(each) for each in first] == [(0, 3, 0, 90), (4, 6, 200, 290)]
    rest = text.place(0, (Word(10, 13, 300, 400), Word(14, 16, 500, 600)), estimated=False)
    assert [tuple(each) for each in rest] == [(7, 9, 500, 600)]
