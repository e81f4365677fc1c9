"""A client that lands on another web process than its session's: its connection goes to where the session is.

Two web processes in one here, each with a port of its own, so that a test chooses where a client lands.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgpack
import psutil
import pytest
import uvicorn

from models.registry import load_model
from protocol.messages import Audio, AudioFormat, Close, Done, End, Error, Ping, Pong, Ready, Resume, Start, Text
from protocol.wire import Encoding
from streaming_server.engine_client import LocalEngine
from streaming_server.handover import Heard, Offer, give, is_wanted, pack_offer
from streaming_server.neighbours import ANSWER_S, Neighbours, name_session, owner_of
from streaming_server.serve import listen, serve_web
from streaming_server.settings import Config
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import WAIT_S, Server, connected, until
from tests.streaming_server.test_stream_socket import BINARY, frame

REQUEST = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT = "Hello there. And a second one."


class Machine:
    """Its web processes, by number."""

    def __init__(self, webs: list[uvicorn.Server], servers: list[Server], directory: Path) -> None:
        self.webs = webs
        self.servers = servers
        self.directory = directory

    @property
    def num_connections(self) -> list[int]:
        return [len(web.server_state.connections) for web in self.webs]

    async def metric(self, number: int, name: str) -> float:
        async with httpx.AsyncClient(base_url=self.servers[1 - number].http_url) as http:  # either tells of both
            page = (await http.get("/metrics")).text
        sample = f'{name}{{worker="{number}"}} '
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(sample))


@asynccontextmanager
async def machine(directory: Path, **settings: Any) -> AsyncIterator[Machine]:
    """Two of them, on one engine."""
    config = Config(port=0, **settings)
    engine = LocalEngine(load_model("tone"))
    Neighbours.create(directory, 2)
    webs: list[uvicorn.Server] = []
    servers: list[Server] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)
        listeners = [stack.enter_context(listen(config)) for _ in range(2)]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for number, listener in enumerate(listeners):
            started: asyncio.Future[uvicorn.Server] = asyncio.get_running_loop().create_future()
            tasks.create_task(
                serve_web(config, engine, listener, started.set_result, neighbours=Neighbours(directory, number))
            )
            async with asyncio.timeout(WAIT_S):
                webs.append(await started)
            servers.append(Server(listener.getsockname()[1], engine))
        doors = [directory / f"{kind}{number}" for kind in ("worker", "tally") for number in range(2)]
        await until(lambda: all(door.is_socket() for door in doors))
        yield Machine(webs, servers, directory)
        for web in webs:
            web.should_exit = True


def land(listener: Listener, server: Server) -> Listener:
    """Its next connection is to that web process."""
    listener.move_to(server)
    return listener


def test_a_name_tells_whose_session_it_is() -> None:
    assert [owner_of(name_session(number)) for number in (0, 7, 63)] == [0, 7, 63]
    assert name_session(1) != name_session(1)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nobody",
        "1",
        "1-",
        "-0123456789abcdef",
        "01-0123456789abcdef",
        "100-0123456789abcdef",
        "+1-0123456789abcdef",
        "1-0123456789ABCDEF",
        "1-0123456789abcde",
        "1-0123456789abcdef0",
        "1-0123456789abcdef\n",
        "\u0661-0123456789abcdef",
        "../1-0123456789abcdef",
    ],
)
def test_what_is_no_name_is_nobodys(name: str) -> None:
    assert owner_of(name) is None


@pytest.mark.parametrize("encoding", list(Encoding))
async def test_every_sample_comes_once_wherever_the_client_lands(tmp_path: Path, encoding: Encoding) -> None:
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0], encoding=encoding, lead_ms=1000).open()
        session = listener.ready.session
        await listener.say(Start(utterance="u", seed=7, text=TEXT))
        for number in (1, 1, 0, 1, 0, 0, 1):
            await listener.hear_some("u")
            listener.cut()
            await land(listener, both.servers[number]).open()
            assert (listener.ready.resumed, listener.ready.session) == (True, session)
            await listener.say(Text(utterance="u", text=" More."))
        await listener.say(End(utterance="u"))
        await listener.hear_out("u")
        done = listener.done["u"]
        assert (done.reason, done.text_chars) == ("end", len(TEXT) + 7 * len(" More."))
        assert done.samples == listener.num_heard["u"]
        assert await both.metric(1, "voxwire_resumes_handed_over_total") == 4
        assert await both.metric(0, "voxwire_sessions_resumed_total") == 7
        assert await both.metric(0, "voxwire_connections_total") == 4
        assert await both.metric(1, "voxwire_resumes_failed_total") == 0
        await listener.say(Close())
        assert await listener.close_code() == 1000
        await until(lambda: not sum(both.num_connections))


async def test_a_coder_goes_on_in_the_midst_of_its_run(tmp_path: Path) -> None:
    """Opus that is handed back and forth is, packet for packet, that of a listener who was never cut."""
    async with machine(tmp_path) as both:
        sound: list[list[bytes]] = []
        for is_cut in (False, True):
            listener = await Listener(both.servers[0], lead_ms=1000, audio=AudioFormat(codec="opus")).open()
            await listener.say(Start(utterance="u", seed=7, text=TEXT, end=True))
            for number in (1, 0, 1) if is_cut else ():
                num_before = len(listener.news)
                await listener.hear(lambda n=num_before: len(listener.news) > n + 3)  # type: ignore[misc]  # noqa: B023
                listener.cut()
                await land(listener, both.servers[number]).open()
                assert listener.ready.resumed
            await listener.hear_out("u")
            audio = {message.seq: message for message in listener.news if isinstance(message, Audio)}
            assert sorted(audio) == list(range(len(audio)))
            sound.append([packet for seq in sorted(audio) for packet in audio[seq].packets or ()])
        assert sound[0] == sound[1]


async def told_at_once(server: Server, session: str) -> Listener:
    """Who asks for that session with a wrong token. The machine may be busy: the best of three counts."""
    clock = asyncio.get_running_loop().time
    for _ in range(3):
        asker = Listener(server)
        began_at = clock()
        await asker.greet(Resume(session=session, token="0" * 32))
        await asker.hear(lambda asker=asker: isinstance(asker.messages[-1], Ready))  # type: ignore[misc]
        if clock() - began_at < 0.9 * ANSWER_S:
            return asker
    raise AssertionError("expected no wait for an owner that there is not")


@pytest.mark.parametrize("session", ["0-0123456789abcdef", "1-0123456789abcdef", "63-0123456789abcdef", "nobody"])
async def test_a_forged_name_is_told_so_at_once(tmp_path: Path, session: str) -> None:
    async with machine(tmp_path) as both:
        thief = await told_at_once(both.servers[1], session)
        assert [message.code for message in thief.messages if isinstance(message, Error)] == ["resume_failed"]
        assert owner_of(thief.ready.session) == 1
        await thief.say(Start(utterance="u", seed=7, text=TEXT, end=True))
        await thief.hear_out("u")


async def test_a_flood_of_forged_names_disturbs_nobody(tmp_path: Path) -> None:
    me = psutil.Process()
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0], lead_ms=1000).open()
        num_fds = me.num_fds()
        await listener.say(Start(utterance="u", seed=7, text=TEXT, end=True))

        async def forge(server: Server, owner: int) -> None:
            thief = Listener(server)
            await thief.greet(Resume(session=name_session(owner), token="0" * 32))
            await thief.hear(lambda: isinstance(thief.messages[-1], Ready))
            assert not thief.ready.resumed
            await thief.say(Close())
            assert await thief.close_code() == 1000

        forgeries = [forge(server, owner) for server in both.servers for owner in 20 * [0, 1, 2, 63]]
        await asyncio.gather(listener.hear_out("u"), *forgeries)
        assert listener.done["u"].samples == listener.num_heard["u"]
        assert await both.metric(0, "voxwire_resumes_failed_total") == 80
        await until(lambda: both.num_connections == [1, 0] and me.num_fds() == num_fds)


async def test_a_wrong_token_leaves_the_session_to_whom_it_belongs(tmp_path: Path) -> None:
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0], lead_ms=1000).open()
        await listener.say(Start(utterance="u", seed=7, text=TEXT))
        await listener.hear_some("u")
        thief = Listener(both.servers[1])
        await thief.greet(Resume(session=listener.ready.session, token="0" * 32))
        await thief.hear(lambda: isinstance(thief.messages[-1], Ready))
        assert not thief.ready.resumed
        await listener.say(End(utterance="u"))
        await listener.hear_out("u")
        assert listener.done["u"].samples == listener.num_heard["u"]


async def test_a_wrong_key_is_not_even_asked_about(tmp_path: Path) -> None:
    async with machine(tmp_path, api_key="right") as both:
        listener = await Listener(both.servers[0], token="right").open()
        listener.cut()
        thief = Listener(both.servers[1], token="wrong")
        await thief.greet(listener.pass_)
        assert await thief.close_code() == 1008
        await land(listener, both.servers[1]).open()
        assert listener.ready.resumed


@pytest.mark.parametrize("num_listed", [0, 1000])
async def test_what_comes_right_behind_hello_is_heard(tmp_path: Path, num_listed: int) -> None:
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        listener.cut()
        long = {"Cookie": 6000 * "x"}
        async with await connected(both.servers[1], additional_headers=long if num_listed else None) as wire:
            received = {f"utterance {number}": 0 for number in range(num_listed)}
            resume = {"session": listener.ready.session, "token": listener.ready.resume_token, "received": received}
            pongs = [await wire.socket.ping() for _ in range(3)]  # before it
            await asyncio.gather(wire.send("hello", resume=resume), wire.send("close"), wire.socket.ping())
            assert (await wire.receive())["resumed"]
            assert await wire.close_code() == 1000
            await asyncio.gather(*pongs)
        await until(lambda: not sum(both.num_connections))


async def test_who_has_said_too_much_to_move_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_server.movable_socket.MAX_HEARD_BYTES", 2_000)
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        listener.cut()
        async with await connected(both.servers[1]) as wire:
            for number in range(20):
                await wire.socket.ping(bytes([number]) * 125)
            resume = {"session": listener.ready.session, "token": listener.ready.resume_token}
            await wire.send("hello", resume=resume)
            assert (await wire.receive())["code"] == "resume_failed"
            assert not (await wire.receive())["resumed"]


async def test_nonsense_at_the_side_door_hurts_nobody(tmp_path: Path) -> None:
    me = psutil.Process()
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        num_fds = me.num_fds()
        offer = pack_offer(Offer(session=listener.ready.session, heard=Heard(request=b"", frames=b"")))
        for words in ([], [b"\0"], [b"\xff\xff\xff\xff"], [b"\0\0\0\1\xc1"], [b"\0\0\0\1\xc0"], [offer], [offer, b"h"]):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "worker0")
            for word in words:
                writer.write(word)
                await asyncio.sleep(0.05)
            writer.close()
            await writer.wait_closed()
            await reader.read()
        listener.cut()
        await land(listener, both.servers[1]).open()
        assert listener.ready.resumed
        await until(lambda: me.num_fds() == num_fds)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_connection_that_is_lost_on_its_way_takes_nobodys_place(tmp_path: Path, is_lost: bool) -> None:
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        resume = {"session": listener.ready.session, "token": listener.ready.resume_token}
        hello = frame(BINARY, msgpack.packb({"type": "hello", "resume": resume}))
        ours, peer = socket.socketpair()
        with socket.socket(socket.AF_UNIX) as link, peer:
            link.setblocking(False)
            link.connect(str(tmp_path / "worker0"))
            heard = Heard(request=REQUEST, frames=hello)
            assert await is_wanted(link, Offer(session=listener.ready.session, heard=heard))
            if is_lost:
                peer.close()
            with ours:
                give(link, ours.fileno())
            if is_lost:
                assert not await asyncio.get_running_loop().sock_recv(link, 1)  # the other end has done with it
                await asyncio.sleep(0.1)
                await listener.say(Ping(nonce=1))
                await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
            else:
                assert await listener.close_code() == 4409
        await until(lambda: both.num_connections == [int(is_lost), 0])


async def test_of_two_that_ask_at_once_the_last_has_it(tmp_path: Path) -> None:
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0], lead_ms=1000).open()
        await listener.say(Start(utterance="u", seed=7, text=TEXT))
        await listener.hear_some("u")
        pass_ = listener.pass_
        listener.cut()
        others = [Listener(server) for server in 3 * both.servers]
        await asyncio.gather(*(other.greet(pass_) for other in others))
        await until(lambda: sum(both.num_connections) == 1)
        await until(lambda: sum(other.socket.close_code is not None for other in others) == 5)
        await asyncio.sleep(0.2)
        assert sorted(other.socket.close_code or 0 for other in others) == [0, *5 * [4409]]


async def test_an_owner_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async with machine(tmp_path) as both:
        door = tmp_path / "worker0"
        door.unlink()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(door))
            deaf.listen()
            clients = [Listener(both.servers[1]) for _ in range(40)]  # more than may be on their way
            began_at = asyncio.get_running_loop().time()
            await asyncio.gather(*(each.greet(Resume(session=name_session(0), token="0" * 32)) for each in clients))
            for each in clients:
                await each.hear(lambda each=each: isinstance(each.messages[-1], Ready))  # type: ignore[misc]
            assert 0.9 < asyncio.get_running_loop().time() - began_at < 15
            await clients[0].say(Ping(nonce=1))
            await clients[0].hear(lambda: isinstance(clients[0].messages[-1], Pong))
        door.unlink()
        await told_at_once(both.servers[1], name_session(0))


async def test_an_address_at_its_limit_is_closed_with_busy_not_with_http(tmp_path: Path) -> None:
    async with machine(tmp_path, limit_loopback=True, connections_per_ip=1) as both:
        listener = await Listener(both.servers[0]).open()
        first = listener.socket
        pass_ = listener.pass_
        second = await Listener(both.servers[1]).open()
        second.cut()
        await until(lambda: not both.num_connections[1])
        await land(second, both.servers[1]).greet(pass_)
        assert await second.close_code() == 1013
        await first.ping()


async def test_who_goes_on_elsewhere_leaves_nothing_behind(tmp_path: Path) -> None:
    me = psutil.Process()
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        num_fds, num_tasks = me.num_fds(), len(asyncio.all_tasks())
        for _ in range(20):
            listener.cut()
            await land(listener, both.servers[1]).open()
            assert listener.ready.resumed
        await until(lambda: both.num_connections == [1, 0])
        await until(lambda: (me.num_fds(), len(asyncio.all_tasks())) == (num_fds, num_tasks))
        assert oct(os.stat(tmp_path / "worker0").st_mode) == "0o140600"


async def test_a_connection_that_is_over_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """Lost, handed over, or said goodbye on."""
    async with machine(tmp_path) as both:
        listener = await Listener(both.servers[0]).open()
        seen = weakref.WeakSet(both.webs[0].server_state.connections)
        gc.disable()
        try:
            for number in (0, 1, 1, 0):
                listener.cut()
                await land(listener, both.servers[number]).open()
                for web in both.webs:
                    seen |= weakref.WeakSet(web.server_state.connections)
            await listener.say(Close())
            await listener.close_code()
            await until(lambda: not sum(both.num_connections) and not seen)
        finally:
            gc.enable()


async def test_who_was_handed_over_and_does_not_read_is_cut_and_may_come_back(tmp_path: Path) -> None:
    async with machine(tmp_path, write_stall_ms=500, tcp_user_timeout_ms=60_000) as both:
        listener = await Listener(both.servers[0], lead_ms=None).open()
        await listener.say(Start(utterance="u", seed=7, text=TEXT * 30, end=True))
        listener.cut()
        await land(listener, both.servers[1]).open()
        assert listener.ready.resumed
        listener.socket.transport.pause_reading()
        await until(lambda: not sum(both.num_connections))
        listener.cut()
        await land(listener, both.servers[1]).open()
        assert listener.ready.resumed
        await listener.hear_out("u")
        assert isinstance(listener.messages[-1], Done)
        assert listener.done["u"].samples == listener.num_heard["u"]


async def test_pings_go_on_where_it_is_handed_to(tmp_path: Path) -> None:
    async with machine(tmp_path, ping_interval_ms=200, ping_timeout_ms=700) as both:
        listener = await Listener(both.servers[0]).open()
        listener.cut()
        await land(listener, both.servers[1]).open()
        await asyncio.sleep(1)
        await listener.say(Ping(nonce=1))
        await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
        listener.socket.transport.pause_reading()
        await until(lambda: not sum(both.num_connections))
        listener.cut()
