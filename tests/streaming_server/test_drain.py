"""SIGTERM: what is being said is said to an end, nobody new gets in, and then the server is gone."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.streaming_server.serving import Wire, assert_complete
from tests.streaming_server.test_serve import engines_of, num_clients, voxwire_serve, workers_of

SHORT = "Hello there, this is a test."
LONG = "This takes a second or two. " * 40


@asynccontextmanager
async def session(port: int, **hello: Any) -> AsyncIterator[Wire]:
    url = f"ws://127.0.0.1:{port}/v1/stream"
    async with connect(url, compression=None, max_size=None) as link, Wire(link, as_json=False) as wire:
        await wire.send("hello", version=1, **hello)
        assert (await wire.receive())["type"] == "ready"
        yield wire


def readiness(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def until_all_serve(process: subprocess.Popen[str], port: int, num_processes: int) -> None:
    with ExitStack() as clients:
        while len(counts := num_clients(process, port)) < num_processes or 0 in counts:
            clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            await asyncio.sleep(0.05)


async def refusal(port: int) -> dict[str, Any]:
    """What somebody new is told; the signal may still be on its way."""
    while True:
        async with connect(f"ws://127.0.0.1:{port}/v1/stream") as link, Wire(link, as_json=False) as stranger:
            await stranger.send("hello", version=1)
            if (answer := await stranger.receive())["type"] == "error":
                assert await stranger.close_code() == 1013
                return answer


@asynccontextmanager
async def come_back(port: int, ready: dict[str, Any]) -> AsyncIterator[Wire]:
    """To the session of that `ready`, as one who has heard nothing of the utterance."""
    resume = {"session": ready["session"], "token": ready["resume_token"], "received": {"u": 0}}
    url = f"ws://127.0.0.1:{port}/v1/stream"
    async with connect(url, compression=None, max_size=None) as link, Wire(link, as_json=False) as wire:
        await wire.send("hello", version=1, resume=resume)
        yield wire


async def hear_out(wire: Wire) -> tuple[list[dict[str, Any]], int]:
    """All that still comes, and the close code."""
    code = await wire.close_code()
    return wire.received, code


def of_utterance(messages: list[dict[str, Any]], utterance: str = "u") -> list[dict[str, Any]]:
    return [message for message in messages if message.get("utterance") == utterance]


@pytest.mark.parametrize("num_workers", [1, 2])
async def test_thirty_streams_are_finished_and_new_ones_refused_at_once(num_workers: int) -> None:
    with voxwire_serve("--drain-ms", "20000", "--slots", "64", "--workers", str(num_workers)) as (process, port):
        await until_all_serve(process, port, num_workers)
        engines = engines_of(process)
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(session(port, lead_ms=320)) for _ in range(30)]
            for wire in wires:
                await wire.send("start", utterance="u", text=SHORT, end=True)
                await wire.until("audio")
            process.terminate()
            signalled_at = time.monotonic()
            refused = await refusal(port)
            assert time.monotonic() - signalled_at < 2, "at once: `bench.drains` measures it"
            assert (refused["code"], refused["fatal"]) == ("busy", True)
            assert refused["retry_after_ms"] >= 1000
            assert await asyncio.to_thread(readiness, port) == 503
            await wires[0].send("start", utterance="late", text=SHORT, end=True)
            heard = await asyncio.gather(*map(hear_out, wires))
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert time.monotonic() - signalled_at < 20
        assert [code for _, code in heard] == 30 * [1001]
        for messages, _ in heard:
            (deadline_ms,) = [each["deadline_ms"] for each in messages if each["type"] == "drain"]
            assert 10_000 < deadline_ms <= 20_000
            assert_complete(of_utterance(messages))
            assert messages[-1]["reason"] == "end" or messages[-1].get("utterance") == "late"
        (late,) = of_utterance(heard[0][0], "late")
        assert (late["code"], late["fatal"]) == ("busy", False)
        assert late["retry_after_ms"] > 0
        assert not any(engine.is_running() for engine in engines)


async def test_what_takes_longer_ends_with_its_segment_and_tells_what_is_left() -> None:
    with voxwire_serve("--drain-ms", "2000") as (process, port):
        async with session(port, lead_ms=320) as wire:
            await wire.send("start", utterance="u", text=LONG, end=True)
            await wire.until("audio")
            process.terminate()
            signalled_at = time.monotonic()
            messages, code = await hear_out(wire)
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert 1.4 < time.monotonic() - signalled_at < 15
        assert code == 1001
        *_, error, done = of_utterance(messages)
        assert error["code"] == "busy"
        assert error["retry_after_ms"] > 0
        assert done["reason"] == "error"
        spoken = done["spoken"]
        assert spoken["pts"] == done["samples"], "the listener hears all that was sent"
        assert not spoken["mid_word"]
        assert spoken["text_end"] == [each for each in messages if each["type"] == "segment"][-1]["text_end"]
        assert spoken["text"] + spoken["remaining"] == LONG


async def test_an_open_utterance_may_be_ended_while_the_server_drains() -> None:
    with voxwire_serve("--drain-ms", "8000") as (process, port):
        async with session(port, lead_ms=None) as wire:
            await wire.send("start", utterance="u", text="Hello there. ")
            await wire.until("audio")
            process.terminate()
            assert 4_000 < (await wire.until("drain"))["deadline_ms"] <= 8_000
            await wire.send("text", utterance="u", text=SHORT)
            await wire.send("end", utterance="u")
            messages, code = await hear_out(wire)
        assert code == 1001
        assert messages[-1]["type"] == "done"
        assert messages[-1]["reason"] == "end"
        assert messages[-1]["text_chars"] == len("Hello there. " + SHORT)
        assert await asyncio.to_thread(process.wait, 30) == 0


@pytest.mark.parametrize(("num_workers", "haste"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
async def test_a_second_signal_ends_it_at_once(num_workers: int, haste: signal.Signals) -> None:
    with voxwire_serve("--workers", str(num_workers)) as (process, port):
        await until_all_serve(process, port, num_workers)
        children = psutil.Process(process.pid).children(recursive=True)
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(session(port, lead_ms=320)) for _ in range(4)]
            for wire in wires:
                await wire.send("start", utterance="u", text=LONG, end=True)
                await wire.until("audio")
            process.terminate()
            for wire in wires:
                await wire.until("drain")
            process.send_signal(haste)
            signalled_at = time.monotonic()
            assert {code for _, code in await asyncio.gather(*map(hear_out, wires))} == {1001}
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert time.monotonic() - signalled_at < 15
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive


@pytest.mark.full
async def test_a_supervisor_may_signal_all_processes_at_once() -> None:
    with voxwire_serve("--workers", "2", "--drain-ms", "10000") as (process, port):
        await until_all_serve(process, port, 2)
        (worker,) = workers_of(process)
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(session(port, lead_ms=320)) for _ in range(6)]
            for wire in wires:
                await wire.send("start", utterance="u", text=SHORT, end=True)
                await wire.until("audio")
            for each in (process, worker, *engines_of(process)):
                each.send_signal(signal.SIGTERM)
            heard = await asyncio.gather(*map(hear_out, wires))
        for messages, code in heard:
            assert code == 1001
            assert messages[-1]["reason"] == "end"
        assert await asyncio.to_thread(process.wait, 30) == 0


@pytest.mark.full
async def test_a_lost_listener_may_come_back_while_others_are_spoken_to_and_nobody_else() -> None:
    with voxwire_serve("--drain-ms", "10000") as (process, port):
        url = f"ws://127.0.0.1:{port}/v1/stream"
        async with session(port, lead_ms=320) as neighbour, connect(url, compression=None, max_size=None) as link:
            lost = Wire(link, as_json=False)
            await lost.send("hello", version=1)
            ready = await lost.receive()
            await lost.send("start", utterance="u", text=SHORT)
            await lost.until("audio")
            await neighbour.send("start", utterance="u", text=2 * SHORT, end=True)
            await neighbour.until("audio")
            link.transport.abort()
            await asyncio.sleep(0.1)
            process.terminate()
            await neighbour.until("drain")
            assert (await refusal(port))["code"] == "busy"
            async with come_back(port, ready) as back:
                ready = await back.receive()
                assert ready["resumed"]
                await back.until("drain")
                back.socket.transport.abort()
                await asyncio.sleep(0.1)
            async with come_back(port, ready) as back:
                assert (await back.receive())["resumed"]
                await back.send("start", utterance="late", text=SHORT)
                await back.send("end", utterance="u")
                messages, code = await hear_out(back)
        assert code == 1001
        (late,) = of_utterance(messages, "late")
        (drain,) = [message for message in messages if message["type"] == "drain"]
        assert messages.index(drain) < messages.index(late), "expected to be told why before it is refused"
        assert_complete(of_utterance(messages))
        assert of_utterance(messages)[-1]["reason"] == "end"
        assert await asyncio.to_thread(process.wait, 30) == 0


@pytest.mark.parametrize("num_workers", [pytest.param(1, marks=pytest.mark.full), 2])
async def test_a_client_may_come_back_before_the_server_has_noticed_that_it_was_lost(num_workers: int) -> None:
    with voxwire_serve("--drain-ms", "10000", "--workers", str(num_workers)) as (process, port):
        await until_all_serve(process, port, num_workers)
        async with AsyncExitStack() as stack:
            lost = [await stack.enter_async_context(session(port, lead_ms=320)) for _ in range(4)]
            for wire in lost:
                await wire.send("start", utterance="u", text=SHORT, end=True)
                await wire.until("audio")
            process.terminate()
            for wire in lost:
                await wire.until("drain")
            backs = [await stack.enter_async_context(come_back(port, wire.received[0])) for wire in lost]
            assert all([(await back.receive())["resumed"] for back in backs])
            assert [await wire.close_code() for wire in lost] == 4 * [4409]
            for messages, code in await asyncio.gather(*map(hear_out, backs)):
                assert code == 1001
                assert [each["type"] for each in messages].count("drain") == 1
                assert_complete(of_utterance(messages))
                assert of_utterance(messages)[-1]["reason"] == "end"
        assert await asyncio.to_thread(process.wait, 30) == 0


@pytest.mark.parametrize("comes_back", [True, pytest.param(False, marks=pytest.mark.full)])
async def test_who_was_lost_a_moment_before_is_waited_for_but_not_for_long(comes_back: bool) -> None:
    with voxwire_serve("--drain-ms", "20000") as (process, port):
        async with session(port, lead_ms=320) as lost:
            await lost.send("start", utterance="u", text=SHORT, end=True)
            await lost.until("audio")
            lost.socket.transport.abort()
        await asyncio.sleep(0.1)
        process.terminate()
        signalled_at = time.monotonic()
        if comes_back:
            await asyncio.sleep(0.5)
            async with come_back(port, lost.received[0]) as back:
                assert (await back.receive())["resumed"]
                messages, code = await hear_out(back)
            assert code == 1001
            assert_complete(of_utterance(messages))
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert time.monotonic() - signalled_at > 1
        assert time.monotonic() - signalled_at < 18


async def test_a_server_that_says_nothing_ends_at_once() -> None:
    with voxwire_serve("--workers", "2") as (process, port):
        await until_all_serve(process, port, 2)
        async with session(port) as wire:
            process.terminate()
            signalled_at = time.monotonic()
            with pytest.raises(ConnectionClosed):
                await wire.until("never")
            assert wire.received[-1]["type"] == "drain"
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert time.monotonic() - signalled_at < 15
