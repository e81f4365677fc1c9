"""Connections that move between web processes: what these say to each other, and whole processes that do it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import msgpack
import psutil
import pytest

from bench.metrics import metrics
from protocol.messages import Audio, AudioFormat, Close, End, Error, Ready, Resume, Start, Text
from protocol.wire import Encoding
from streaming_server.handover import (
    MAX_OFFER_BYTES,
    Heard,
    Offer,
    give,
    is_wanted,
    pack_offer,
    read_offer,
    take,
    unpack_offer,
)
from streaming_server.neighbours import ANSWER_S, name_session, owner_of
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import until
from tests.streaming_server.test_drain import until_all_serve
from tests.streaming_server.test_serve import voxwire_serve, workers_of

TEXT = "Hello there. And a second one."
OFFER = Offer(session="1-0123456789abcdef", heard=Heard(request=b"GET / HTTP/1.1\r\n\r\n", frames=b"\x82\x80abcd"))


# ---- the three words


@contextmanager
def link() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of what two web processes talk over."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


def test_an_offer_is_read_as_it_was_written() -> None:
    data = pack_offer(OFFER)
    assert int.from_bytes(data[:4]) == len(data) - 4
    assert unpack_offer(data[4:]) == OFFER


@pytest.mark.parametrize(
    "wrong", [[], ["s"], ["s", b"", ""], [b"s", b"", b""], {"session": "s"}, 7, ["s", b"", b"", b""]], ids=str
)
def test_an_offer_of_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        unpack_offer(msgpack.packb(wrong))


@pytest.mark.parametrize("num_frame_bytes", [0, 1, 70_000, 500_000])
async def test_a_connection_changes_hands(num_frame_bytes: int) -> None:
    offer = Offer(session="1-0", heard=Heard(request=b"GET", frames=bytes(num_frame_bytes)))
    ours, peer = socket.socketpair()
    with link() as (here, there), peer:
        wanted = asyncio.create_task(is_wanted(here, offer))
        assert await read_offer(there) == offer
        taken = asyncio.create_task(take(there))
        assert await wanted
        with ours:
            give(here, ours.fileno())
        with await taken as moved:
            assert not moved.get_inheritable()
            peer.sendall(b"to whom?")
            assert moved.recv(8) == b"to whom?"


async def test_who_hangs_up_does_not_want_it() -> None:
    with link() as (here, there):
        wanted = asyncio.create_task(is_wanted(here, OFFER))
        await read_offer(there)
        there.close()
        assert not await wanted
        with pytest.raises(OSError, match="pipe"):
            give(here, 0)


async def test_a_word_instead_of_a_descriptor_gives_nothing() -> None:
    with link() as (here, there):
        taken = asyncio.create_task(take(there))
        await asyncio.sleep(0)
        here.send(b"h")
        with pytest.raises(ConnectionError, match="descriptor"):
            await taken


@pytest.mark.parametrize("data", [b"", b"\0\0", pack_offer(OFFER)[:-1]], ids=["nothing", "no length", "no end"])
async def test_an_offer_that_is_cut_short_is_none(data: bytes) -> None:
    with link() as (here, there):
        here.sendall(data)
        here.close()
        with pytest.raises(ConnectionError, match="cut short"):
            await read_offer(there)


async def test_an_offer_without_bound_is_not_waited_for() -> None:
    with link() as (here, there):
        here.sendall((MAX_OFFER_BYTES + 1).to_bytes(4))
        with pytest.raises(ValueError, match="at most"):
            await read_offer(there)


# ---- whole processes


@dataclass(frozen=True, slots=True)
class Port:
    """Behind which several web processes wait."""

    number: int

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.number}/v1/stream"


def web_processes(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [psutil.Process(process.pid), *workers_of(process)]


async def session_of(port: Port, number: int, **hello: object) -> Listener:
    """One whose owner is that web process."""
    while True:
        listener = await Listener(port, **hello).open()
        if owner_of(listener.ready.session) == number:
            return listener
        await listener.say(Close())
        await listener.close_code()


async def test_a_client_resumes_wherever_it_lands() -> None:
    """As PCM and as Opus, in either encoding, with text that is still being written; and nobody keeps a descriptor."""
    with voxwire_serve("--workers", "3", "--slots", "16") as (process, number):
        port = Port(number)
        await until_all_serve(process, number, 3)
        webs = web_processes(process)
        await asyncio.sleep(0.3)
        num_fds = [web.num_fds() for web in webs]
        await asyncio.gather(
            *(write_and_cut(port, seed, encoding) for seed, encoding in enumerate(Encoding)),
            hear_opus_and_cut(port, seed=7),
        )
        names = ("resumes_handed_over_total", "resumes_failed_total", "sessions", "internal_errors_total")
        told = await metrics(f"http://127.0.0.1:{number}")
        num_moved, *others = (told[f"voxwire_{name}"] for name in names)
        assert num_moved > 0
        assert others == [0, 0, 0]
        await until(lambda: all(web.num_fds() <= before for web, before in zip(webs, num_fds, strict=True)))


async def write_and_cut(port: Port, seed: int, encoding: Encoding) -> None:
    dice = Random(seed)
    listener = await Listener(port, encoding=encoding, lead_ms=1000).open()
    session = listener.ready.session
    await listener.say(Start(utterance="u", seed=seed, text=TEXT))
    for _ in range(10):
        await listener.hear_some("u")
        if dice.random() < 0.7:  # else the older connection lives on
            listener.cut()
        await listener.open()
        assert (listener.ready.resumed, listener.ready.session) == (True, session)
        await listener.say(Text(utterance="u", text=" More."))
    await listener.say(End(utterance="u"))
    await listener.hear_out("u")
    done = listener.done["u"]
    assert (done.reason, done.text_chars) == ("end", len(TEXT) + 10 * len(" More."))
    assert done.samples == listener.num_heard["u"]
    await listener.say(Close())
    assert await listener.close_code() == 1000


async def hear_opus_and_cut(port: Port, seed: int) -> None:
    """Packet for packet what a listener gets who is never cut."""
    sound: list[list[bytes]] = []
    for num_cuts in (0, 4):
        listener = await Listener(port, lead_ms=1000, audio=AudioFormat(codec="opus")).open()
        await listener.say(Start(utterance="u", seed=seed, text=TEXT, end=True))
        for _ in range(num_cuts):
            await listener.hear(lambda: len(listener.messages) > 3)  # noqa: B023
            listener.cut()
            await listener.open()
            assert listener.ready.resumed
        await listener.hear_out("u")
        audio = {message.seq: message for message in listener.news if isinstance(message, Audio)}
        assert sorted(audio) == list(range(len(audio)))
        sound.append([packet for seq in sorted(audio) for packet in audio[seq].packets or ()])
        await listener.say(Close())
        assert await listener.close_code() == 1000
    assert sound[0] == sound[1]


async def test_who_lost_a_session_with_its_process_is_told_quickly() -> None:
    with voxwire_serve("--workers", "2") as (process, number):
        port = Port(number)
        await until_all_serve(process, number, 2)
        listener = await session_of(port, 1)
        await listener.say(Start(utterance="u", seed=7, text=TEXT * 5, end=True))
        await listener.hear_some("u")
        (worker,) = workers_of(process)
        worker.kill()
        waits_s = []
        for asker in (Listener(port), Listener(port), listener):  # the machine may be busy: the best counts
            began_at = time.monotonic()
            await asker.greet(listener.pass_)
            await asker.hear(lambda asker=asker: isinstance(asker.messages[-1], Ready))  # type: ignore[misc]
            waits_s.append(time.monotonic() - began_at)
        assert min(waits_s) < 0.9 * ANSWER_S
        assert not listener.ready.resumed
        assert [message.code for message in listener.messages if isinstance(message, Error)] == ["resume_failed"]
        await listener.say(Start(utterance="again", seed=8, text=TEXT, end=True))
        await listener.hear_out("again")
        # Another one takes its number, and its place at the side door.
        await until(lambda: [other.pid for other in workers_of(process)] not in ([], [worker.pid]))
        await until_all_serve(process, number, 2)
        listener = await session_of(port, 1)
        for _ in range(4):
            listener.cut()
            await listener.open()
            assert listener.ready.resumed


@pytest.mark.full
async def test_a_process_that_wakes_up_takes_nobody_from_where_they_have_gone() -> None:
    with voxwire_serve("--workers", "2", "--ping-timeout-ms", "60000") as (process, number):
        port = Port(number)
        await until_all_serve(process, number, 2)
        listener = await session_of(port, 1)
        first = listener.ready.session
        (worker,) = workers_of(process)
        worker.suspend()
        try:
            began_at = time.monotonic()
            await listener.open()
            assert time.monotonic() - began_at < 10
            assert not listener.ready.resumed
        finally:
            worker.resume()
        await listener.say(Start(utterance="u", seed=7, text=TEXT, end=True))
        await listener.hear_out("u")
        assert listener.done["u"].samples == listener.num_heard["u"]
        assert listener.ready.session != first
        await listener.say(Close())
        assert await listener.close_code() == 1000


@pytest.mark.full
async def test_a_flood_of_forged_names_disturbs_nobody() -> None:
    with voxwire_serve("--workers", "2") as (process, number):
        port = Port(number)
        await until_all_serve(process, number, 2)
        webs = web_processes(process)
        await asyncio.sleep(0.3)
        num_fds = [web.num_fds() for web in webs]
        listener = await Listener(port, lead_ms=1000).open()
        await listener.say(Start(utterance="u", seed=7, text=TEXT * 3, end=True))

        async def forge(owner: int) -> None:
            thief = Listener(port)
            await thief.greet(Resume(session=name_session(owner), token="0" * 32))
            await thief.hear(lambda: isinstance(thief.messages[-1], Ready))
            assert not thief.ready.resumed
            await thief.say(Close())
            assert await thief.close_code() == 1000

        for _ in range(4):
            await asyncio.gather(listener.hear_some("u"), *(forge(owner) for owner in 20 * [0, 1]))
            listener.cut()
            await listener.open()
            assert listener.ready.resumed
        await listener.hear_out("u")
        assert listener.done["u"].samples == listener.num_heard["u"]
        await listener.say(Close())
        assert await listener.close_code() == 1000
        await until(lambda: all(web.num_fds() <= before for web, before in zip(webs, num_fds, strict=True)))


async def test_while_all_drain_a_client_reaches_the_process_of_its_session() -> None:
    """Also through one that has nothing left to say."""
    with voxwire_serve("--workers", "2", "--drain-ms", "20000") as (process, number):
        port = Port(number)
        await until_all_serve(process, number, 2)
        listener, neighbour = [await session_of(port, 1, lead_ms=500) for _ in range(2)]
        for seed, each in enumerate((listener, neighbour)):
            await each.say(Start(utterance="u", seed=seed, text=TEXT * 2, end=True))
            await each.hear_some("u")
        listener.cut()
        await asyncio.sleep(0.1)
        process.terminate()
        await asyncio.sleep(0.2)
        for _ in range(4):
            await listener.open()
            assert listener.ready.resumed
            await listener.hear_some("u")
            listener.cut()
            await asyncio.sleep(0.1)
        await listener.open()
        for each in (listener, neighbour):
            await each.hear_out("u")
            assert each.done["u"].samples == each.num_heard["u"]
        assert await asyncio.to_thread(process.wait, 30) == 0
