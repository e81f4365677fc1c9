"""What becomes of a server whose processes are killed, stopped, asked to end, or left without files, room or time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import websockets

from bench.fault_proxy import FaultProxy
from protocol.messages import Close, Drain, Error, Start
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import connected
from tests.streaming_server.test_drain import until_all_serve

from .aftermath import Witness, speaks_at_once
from .conftest import SHORT
from .test_engines import RESTARTS, crowd, hear_out
from .victim import KEY, Victim, Way, victim

TEXT = "Hello there. And a second one."


@contextlib.contextmanager
def limited(pid: int, kind: int, soft: int) -> Iterator[None]:
    """The process has no more of it than that meanwhile."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def assert_ended_well(server: Victim, status: int = 0) -> None:
    """With everything it had started, and without a bad word."""
    assert server.process.wait(30) == status
    log = server.new_log()
    assert "Traceback" not in log, log[-2000:]
    assert KEY not in log


@contextlib.asynccontextmanager
async def all_gone(server: Victim) -> AsyncIterator[None]:
    """By the end of the block and a moment, every process of it is."""
    processes = [psutil.Process(pid) for pids in server.pids.values() for pid in pids]
    yield
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=20)
    assert not alive


async def test_sigterm_during_speech() -> None:
    """All hear it announced and hear their speech to its end, then 1001; who comes now is turned away."""
    with victim(*SHORT) as server:
        async with all_gone(server):
            listeners = [await Listener(server, token=KEY, lead_ms=500).open() for _ in range(8)]
            for number, listener in enumerate(listeners):
                await listener.say(Start(utterance="u", seed=number, text=TEXT, end=True))
                await listener.hear_some("u")
            server.process.terminate()
            for listener in listeners:
                await listener.hear(lambda listener=listener: isinstance(listener.messages[-1], Drain))  # type: ignore[misc]
            stranger = Listener(server, token=KEY)
            await stranger.greet()
            assert await stranger.close_code() == 1013
            refusal = stranger.messages[-1]
            assert isinstance(refusal, Error)
            assert (refusal.code, refusal.fatal) == ("busy", True)
            assert await asyncio.gather(*(each.close_code() for each in listeners)) == 8 * [1001]
            for listener in listeners:
                assert listener.done["u"].reason == "end"
                assert listener.done["u"].samples == listener.num_heard["u"]
            await asyncio.to_thread(assert_ended_well, server)


async def test_a_second_sigterm() -> None:
    """It is meant: every connection is closed with 1001 at once."""
    with victim(*SHORT, "--workers", "2") as server:
        async with all_gone(server):
            listener = await Listener(server, token=KEY, lead_ms=500).open()
            await listener.say(Start(utterance="u", seed=1, text=TEXT * 9, end=True))
            await listener.hear_some("u")
            server.process.terminate()
            await listener.hear(lambda: isinstance(listener.messages[-1], Drain))
            server.process.terminate()
            asked_at = time.monotonic()
            assert await listener.close_code() == 1001
            await asyncio.to_thread(assert_ended_well, server)
            assert time.monotonic() - asked_at < 10


async def test_a_server_that_is_killed() -> None:
    """Its engine and its other web processes end by themselves; the port is free for the next."""
    with victim(*SHORT, "--workers", "2") as server:
        async with all_gone(server):
            listener = await Listener(server, token=KEY, lead_ms=500).open()
            await listener.say(Start(utterance="u", seed=1, text=TEXT * 9, end=True))
            await listener.hear_some("u")
            server.process.kill()
            with pytest.raises(websockets.ConnectionClosed):
                await listener.hear_out("u")
        with victim(*SHORT, "--port", str(server.port)) as again:
            await speaks_at_once(again)


async def test_a_web_process_that_is_killed(pair: Witness) -> None:
    """Its clients are told that their sessions are gone, and start anew; the others hear on; another comes."""
    server = pair.server
    async with pair.aftermath():
        await until_all_serve(server.process, server.port, 2)
        listeners = [await Listener(server, token=KEY, lead_ms=500).open() for _ in range(8)]
        for number, listener in enumerate(listeners):
            await listener.say(Start(utterance="u", seed=number, text=TEXT, end=True))
            await listener.hear_some("u")
        os.kill(server.pids["web"][1], signal.SIGKILL)
        outcomes = await asyncio.gather(*(hear_on(each) for each in listeners))
        assert set(outcomes) == {"heard", "told"}


async def hear_on(listener: Listener) -> str:
    try:
        await hear_out(listener)
        return "heard"
    except websockets.ConnectionClosed:
        await listener.open()
    if listener.ready.resumed:
        await hear_out(listener)
        return "resumed"
    assert [each.code for each in listener.messages if isinstance(each, Error)] == ["resume_failed"]
    await listener.say(Start(utterance="again", seed=50, text=TEXT, end=True))
    await listener.hear_out("again")
    assert listener.done["again"].reason == "end"
    await listener.say(Close())
    assert await listener.close_code() == 1000
    return "told"


async def test_a_web_process_that_stands_still(hasty: Witness) -> None:
    """For longer than any of its time-outs: nobody is cut for it, and the engine is not taken for dead."""
    restarts = (await hasty.server.figures())[RESTARTS]
    async with hasty.aftermath("voxwire_loop_stalls_total"), crowd(hasty.server):
        hasty.server.signal("web", signal.SIGSTOP)
        await asyncio.sleep(1.8)
        hasty.server.signal("web", signal.SIGCONT)
    assert (await hasty.server.figures())[RESTARTS] == restarts


async def test_a_machine_that_stands_still(hasty: Witness) -> None:
    """As when its lid is closed, or it is moved to another host: all goes on afterwards, on the same connections."""
    pids = [pid for each in hasty.server.pids.values() for pid in each]
    async with hasty.aftermath("voxwire_loop_stalls_total"), crowd(hasty.server):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.8)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.full
async def test_a_sweeper_of_temporary_files() -> None:
    """It spares what a server will need when its engine or a web process dies."""
    with tempfile.TemporaryDirectory() as temporary, victim(*SHORT, "--workers", "2", temporary=temporary) as server:
        await until_all_serve(server.process, server.port, 2)
        web = server.pids["web"][1]
        async with crowd(server):
            sweep(temporary)
            server.signal("engine", signal.SIGKILL)
            await asyncio.sleep(0.3)
        os.kill(web, signal.SIGKILL)
        await asyncio.sleep(0.3)
        await until_all_serve(server.process, server.port, 2)
        await speaks_at_once(server)


def sweep(temporary: str) -> None:
    """As tmpfiles.d(5) has it: a directory that is locked is left alone."""
    for name in os.listdir(temporary):
        directory = os.open(os.path.join(temporary, name), os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(os.path.join(temporary, name))
        except BlockingIOError:
            pass
        finally:
            os.close(directory)


async def test_a_server_that_has_no_more_files(hasty: Witness) -> None:
    """Who is there hears on; who comes is let in as soon as there are files again."""
    (pid,) = hasty.server.pids["web"]
    async with hasty.aftermath("voxwire_utterances_total"), crowd(hasty.server):
        num_files = len(os.listdir(f"/proc/{pid}/fd"))
        cpu_s = psutil.Process(pid).cpu_times().user
        with limited(pid, resource.RLIMIT_NOFILE, num_files):
            waiting = [asyncio.ensure_future(connected(hasty.server)) for _ in range(5)]
            await asyncio.sleep(0.5)
        assert psutil.Process(pid).cpu_times().user - cpu_s < 0.4, "expected it not to try without a pause"
        for each in waiting:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with await each:
                    pass


async def test_a_log_that_has_no_more_room(hasty: Witness) -> None:
    """Lines are lost, and not a sample."""
    pids = [*hasty.server.pids["web"], *hasty.server.pids["engine"]]
    async with hasty.aftermath("voxwire_utterances_total"):
        with contextlib.ExitStack() as stack:
            for pid in pids:
                stack.enter_context(limited(pid, resource.RLIMIT_FSIZE, 0))
            async with crowd(hasty.server):
                with pytest.raises(websockets.InvalidStatus):
                    await connected(hasty.server, origin=websockets.Origin("http://evil.example"))
                async with await connected(hasty.server) as wire:
                    assert await wire.close_code() == 4400


@pytest.mark.full
async def test_a_log_that_nobody_reads() -> None:
    """A pipe that is full holds nobody up: neither who is spoken to nor who comes."""
    unread, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with victim(*SHORT, log_fd=log) as server:
            async with crowd(server):
                for _ in range(100):
                    with pytest.raises(websockets.InvalidStatus):
                        await connected(server, origin=websockets.Origin("http://evil.example"))
                await speaks_at_once(server)
            server.process.terminate()
            assert await asyncio.to_thread(server.process.wait, 30) == 0
    finally:
        os.close(unread)
        os.close(log)


async def test_a_clock_that_is_set_a_day_ahead(troubled: Witness) -> None:
    """Nobody notices: not who speaks, not who is away, not the engine's watch."""
    restarts = (await troubled.server.figures())[RESTARTS]
    async with troubled.aftermath("voxwire_sessions_resumed_total"), crowd(troubled.server) as listeners:
        listeners[0].cut()
        os.kill(troubled.server.process.pid, signal.SIGUSR1)
        await asyncio.sleep(0.2)
        await listeners[0].open()
        assert listeners[0].ready.resumed
    assert (await troubled.server.figures())[RESTARTS] == restarts


async def test_two_dozen_listeners_that_lose_their_links_at_once(hasty: Witness) -> None:
    """They all come back at once; all hear every sample, and so does one who was never away."""
    async with (
        hasty.aftermath("voxwire_sessions_lost_total", "voxwire_sessions_resumed_total"),
        crowd(hasty.server, 4),
        FaultProxy("127.0.0.1", hasty.server.port) as proxy,
    ):
        listeners = [await Listener(Way(proxy.port), token=KEY, lead_ms=1000).open() for _ in range(24)]
        for number, listener in enumerate(listeners):
            await listener.say(Start(utterance="u", seed=1_000 + number, text=TEXT, end=True))
        proxy.reset_all()
        await asyncio.gather(*(listener.open() for listener in listeners))
        assert all(listener.ready.resumed for listener in listeners)
        await asyncio.gather(*(hear_out(listener) for listener in listeners))
