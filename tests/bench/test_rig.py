"""What benches are set up with."""

from __future__ import annotations

import asyncio

import pytest

from bench.rig import a_few_at_a_time, at_server, parser_of
from bench.server import BenchFailed, Server
from bench.websocket import ConnectionFailed


def test_a_bench_hands_its_flags_on_as_words() -> None:
    parser = parser_of("nothing", "It does nothing.")
    assert parser.parse_args([]).server_flags == []
    assert parser.parse_args(["--server-flags=--drain-ms 5"]).server_flags == ["--drain-ms", "5"]


def test_a_bench_that_finds_nothing_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(server: Server) -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(knock())
        return server.url

    async def knock() -> None:
        raise ConnectionFailed("expected ready, got nothing")

    assert at_server("nothing", fail) is None
    assert capsys.readouterr().err == "bench.nothing: expected ready, got nothing\n"
    assert at_server("nothing", fail, ["--no-such-flag"]) is None
    assert "expected a ready server" in capsys.readouterr().err


async def test_a_few_are_under_way_at_a_time_and_all_have_their_turn() -> None:
    under_way, most, done = 0, 0, []

    async def take(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await a_few_at_a_time(take, range(10), 3)
    assert (most, sorted(done)) == (3, list(range(10)))


async def test_who_cannot_be_served_ends_the_others_turns() -> None:
    async def fail(item: int) -> None:
        raise BenchFailed(f"expected {item} to be served")

    with pytest.raises(ExceptionGroup):
        await a_few_at_a_time(fail, range(2))
