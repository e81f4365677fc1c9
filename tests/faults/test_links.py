"""Links that are lost, cut, held, thin or bad: not a sample is lost or comes twice, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websockets

from bench.fault_proxy import Conditions, FaultProxy
from bench.proof import Proof
from models.tone import CODE_POINT_SAMPLES
from protocol.messages import Close, End, Error, Ping, Pong, Ready, Resume, Start, Text
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import Wire, connected

from .aftermath import Witness, metric, until_metric
from .victim import KEY, Victim, Way

TEXT = "Hello there. And a second."
LOST, RESUMED = "voxwire_sessions_lost_total", "voxwire_sessions_resumed_total"
RESET, SILENT = (f'voxwire_sockets_lost_total{{cause="{cause}"}}' for cause in ("reset", "silent"))
EXPIRED, REFUSED = "voxwire_sessions_expired_total", "voxwire_resumes_failed_total"


@asynccontextmanager
async def linked(server: Victim, **hello: Any) -> AsyncIterator[tuple[FaultProxy, Listener]]:
    """A bad link, good as yet, and a listener at its end who will say goodbye."""
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        listener = Listener(Way(proxy.port), token=KEY, **{"lead_ms": 1500, **hello})
        try:
            yield proxy, listener
            await listener.say(Close())
            assert await listener.close_code() == 1000
        finally:
            listener.cut()


async def begin(listener: Listener, text: str = TEXT, **fields: Any) -> None:
    """To be spoken to, and hear the first of it."""
    await listener.open()
    await listener.say(Start(utterance="u", seed=0xFA17, text=text, **fields))
    await listener.hear_some("u")


async def hear_the_rest(listener: Listener, *, num_chars: int = len(TEXT)) -> None:
    await listener.hear_out("u")
    done = listener.done["u"]
    assert (done.reason, done.text_chars, done.samples) == ("end", num_chars, listener.num_heard["u"])


async def come_back(listener: Listener) -> None:
    """A moment later, and to the same session."""
    await asyncio.sleep(0.05)
    await listener.open()
    assert listener.ready.resumed


async def silence(listener: Listener, for_s: float = 0.15) -> None:
    """Nothing comes that is not there yet."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(for_s):
            await listener.hear(lambda: False)


async def test_a_reset_during_speech(hasty: Witness) -> None:
    """The client hears the rest on a new connection; the server kept it, and went on speaking."""
    async with hasty.aftermath(RESET, LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.reset_all()
        await come_back(listener)
        await hear_the_rest(listener)


async def test_a_reset_between_the_upgrade_and_hello(hasty: Witness) -> None:
    """There is nothing to come back to; the server forgets the connection."""
    async with hasty.aftermath(RESET), linked(hasty.server) as (proxy, listener):
        async with await connected(Way(proxy.port)):
            proxy.reset_all()
        await begin(listener, end=True)
        await hear_the_rest(listener)


async def test_a_reset_after_hello_before_ready_arrives(hasty: Witness) -> None:
    """The client cannot know its session and asks for another; the server lets go of the first after the window."""
    async with hasty.aftermath(EXPIRED), linked(hasty.server) as (proxy, listener):
        lost = Listener(Way(proxy.port), token=KEY)
        opened = await metric(hasty, "voxwire_sessions")
        proxy.down = Conditions(delay_ms=200)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.gather(lost.open(), reset_when(hasty, proxy, opened))
        proxy.down = Conditions()
        await begin(listener, end=True)
        await hear_the_rest(listener)


async def reset_when(witness: Witness, proxy: FaultProxy, num_opened: float) -> None:
    await until_metric(witness, "voxwire_sessions", lambda value: value > num_opened)
    proxy.reset_all()


async def test_a_ready_that_is_lost_three_times_on_the_way_back(hasty: Witness) -> None:
    """The token that the client has stays good until a ready has arrived."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener)
        for _ in range(3):
            listener.cut()
            resumed = await metric(hasty, RESUMED)
            await listener.greet()
            await until_metric(hasty, RESUMED, lambda value, resumed=resumed: value > resumed)  # type: ignore[misc]
        proxy.reset_all()
        await come_back(listener)
        await listener.say(End(utterance="u"))
        await hear_the_rest(listener)


@pytest.mark.parametrize("num_bytes", [2_500, 20_000], ids=["in the first sound", "in the second"])
async def test_a_cut_in_the_middle_of_a_message_to_the_client(hasty: Witness, num_bytes: int) -> None:
    """Half a message is none: it comes again, whole."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        proxy.down = Conditions(cut_after_bytes=num_bytes)
        await listener.open()
        await listener.say(Start(utterance="u", seed=0xFA17, text=TEXT, end=True))
        with pytest.raises(websockets.ConnectionClosed):
            await listener.hear_out("u")
        proxy.down = Conditions()
        await come_back(listener)
        await hear_the_rest(listener)


async def test_a_cut_in_the_middle_of_a_message_to_the_server(hasty: Witness) -> None:
    """Half a text is none: the client sends it again, and it is spoken once."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener)
        proxy.up = Conditions(bits_per_s=40_000, slice_bytes=100)
        await listener.say(Text(utterance="u", text=" " + 1_000 * "A"))
        await asyncio.sleep(0.1)
        proxy.reset_all()
        proxy.up = Conditions()
        await come_back(listener)
        assert listener.ready.client_messages == 1
        await listener.say(Text(utterance="u", text=" B."))
        await listener.say(Ping(nonce=1))
        await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
        proxy.reset_all()
        await come_back(listener)
        assert listener.ready.client_messages == 2


async def test_a_cut_while_what_was_lost_is_sent_again(hasty: Witness) -> None:
    """However often: the next connection has the rest of it."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server, lead_ms=2000) as (proxy, listener):
        await begin(listener, end=True)
        proxy.hold()
        await asyncio.sleep(0.2)
        proxy.reset_all()
        proxy.release()
        for num_bytes in (3_000, 25_000, 60_000):
            proxy.down = Conditions(cut_after_bytes=num_bytes)
            await come_back(listener)
            with suppress(websockets.ConnectionClosed):
                await listener.hear_out("u")
        proxy.down = Conditions()
        if "u" not in listener.done:
            await come_back(listener)
        await hear_the_rest(listener)


async def test_a_done_that_is_lost(hasty: Witness) -> None:
    """It comes again, once."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server, lead_ms=None) as (proxy, listener):
        await begin(listener, text="So.")
        await listener.hear(lambda: listener.num_heard["u"] == 3 * CODE_POINT_SAMPLES)
        proxy.down = Conditions(is_black_hole=True)
        await listener.say(End(utterance="u"))
        await asyncio.sleep(0.1)
        proxy.down = Conditions()
        proxy.reset_all()
        await come_back(listener)
        await hear_the_rest(listener, num_chars=3)


async def test_a_reset_while_sixteen_utterances_are_spoken(hasty: Witness) -> None:
    """Each goes on where it was: some ended, some waiting for another, some still being written."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server, lead_ms=600) as (proxy, listener):
        await listener.open()
        names = [f"u{number}" for number in range(16)]
        for number, name in enumerate(names):
            after = names[number - 1] if number % 4 == 3 else None
            await listener.say(
                Start(utterance=name, seed=number, text=TEXT[: 2 + number], end=number % 2 == 0, after=after)
            )
        await listener.hear_some("u15")
        for _ in range(2):
            proxy.reset_all()
            await come_back(listener)
        for number in range(1, 16, 2):
            await listener.say(End(utterance=names[number]))
        await listener.hear_out(*names)
        for number, name in enumerate(names):
            done = listener.done[name]
            assert (done.reason, done.text_chars, done.samples) == ("end", 2 + number, listener.num_heard[name])


async def test_thirty_connections_that_want_one_session(hasty: Witness) -> None:
    """Each in its turn, until none wants it any more; the last one has it, and hears all of it."""
    async with hasty.aftermath(RESUMED), linked(hasty.server) as (_, listener):
        await begin(listener)
        older = []
        for _ in range(30):
            older.append(listener.socket)
            await listener.greet()
        await listener.hear(lambda: isinstance(listener.messages[-1], Ready))
        assert listener.ready.resumed
        async with asyncio.timeout(20):
            await asyncio.gather(*(each.wait_closed() for each in older))
        assert {each.close_code for each in older} == {4409}
        await listener.say(End(utterance="u"))
        await hear_the_rest(listener)


async def test_an_end_of_the_stream_without_a_goodbye(hasty: Witness) -> None:
    """As when a client's process is killed: it may come back."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (_, listener):
        await begin(listener, end=True)
        listener.socket.transport.write_eof()
        with pytest.raises(websockets.ConnectionClosed):
            await listener.hear_out("u")
        await come_back(listener)
        await hear_the_rest(listener)


async def test_many_quick_cuts(hasty: Witness) -> None:
    """Ten in a second, wherever they fall: in handshakes, in ready, in what is sent again."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server, lead_ms=400) as (proxy, listener):
        await begin(listener, end=True)
        proxy.reset_all()
        for number in range(10):
            proxy.down = Conditions(cut_after_s=0.01 * (number + 1))
            with suppress(websockets.WebSocketException, OSError, EOFError):
                await listener.open()
                await listener.hear_out("u")
        proxy.down = Conditions()
        if "u" not in listener.done:
            await come_back(listener)
        await hear_the_rest(listener)


async def test_a_link_that_falls_silent_towards_the_client(hasty: Witness) -> None:
    """The client comes back on another; the older one, which the server takes for alive, gets 4409 and is gone."""
    async with hasty.aftermath(RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.down = Conditions(is_black_hole=True)
        await silence(listener)
        older = listener.socket
        proxy.down = Conditions()
        await come_back(listener)
        older.transport.abort()
        await hear_the_rest(listener)


async def test_a_link_that_falls_silent_towards_the_server(hasty: Witness) -> None:
    """What the client says is lost; the server misses its pongs, ends the connection and keeps the session."""
    async with hasty.aftermath(SILENT, LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener)
        proxy.up = Conditions(is_black_hole=True)
        await listener.say(Text(utterance="u", text=" More."))
        with pytest.raises(websockets.ConnectionClosed):
            await listener.hear_out("u")
        proxy.reset_all()
        proxy.up = Conditions()
        await come_back(listener)
        assert listener.ready.client_messages == 1
        await listener.say(End(utterance="u"))
        await hear_the_rest(listener, num_chars=len(TEXT + " More."))


async def test_a_half_open_link_and_a_new_one(hasty: Witness) -> None:
    """Both ends think the old one lives. The new one has the session; the old one hears 4409 when it can."""
    async with hasty.aftermath(RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.hold()
        older = listener.socket
        async with FaultProxy("127.0.0.1", hasty.server.port) as other:
            listener.move_to(Way(other.port))
            await come_back(listener)
            proxy.release()
            async with asyncio.timeout(20):
                await older.wait_closed()
            assert older.close_code == 4409
            await hear_the_rest(listener)
            await listener.say(Close())
            assert await listener.close_code() == 1000
        listener.move_to(Way(proxy.port))
        await listener.open()


async def test_a_link_that_stands_still_for_a_moment(hasty: Witness) -> None:
    """Shorter than anybody's patience: nothing is lost, and nobody needs another connection."""
    async with hasty.aftermath("voxwire_utterances_total"), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.hold()
        await silence(listener, 0.2)
        proxy.release()
        await hear_the_rest(listener)
        assert proxy.num_accepted == 1


async def test_jitter_and_slices_in_both_directions(hasty: Witness) -> None:
    """Nothing but time is lost."""
    async with hasty.aftermath("voxwire_utterances_total"), linked(hasty.server) as (proxy, listener):
        proxy.up = Conditions(delay_ms=10, jitter_ms=60, slice_bytes=3)
        proxy.down = Conditions(delay_ms=10, jitter_ms=60, slice_bytes=300)
        await begin(listener, end=True)
        await hear_the_rest(listener)
        assert proxy.num_accepted == 1


async def test_a_link_of_64_kbit_a_second_and_300_ms_there_and_back(patient: Witness) -> None:
    """Opus begins within a second, never runs dry, and is complete."""
    thin = Conditions(delay_ms=150, bits_per_s=64_000, slice_bytes=500)
    async with (
        patient.aftermath("voxwire_utterances_total"),
        FaultProxy("127.0.0.1", patient.server.port, up=thin, down=thin) as proxy,
        await connected(Way(proxy.port)) as wire,
    ):
        await wire.send("hello", token=KEY, audio={"codec": "opus"}, lead_ms=1000)
        await wire.until("ready")
        is_in_time = False
        for number in range(3):  # the machine may be busy with something else: the best counts
            is_in_time = is_in_time or await sounds_in_time(wire, f"u{number}")
        assert is_in_time
        await wire.send("close")


async def sounds_in_time(wire: Wire, utterance: str) -> bool:
    """The first of it within a second, and nothing later than it is needed. All of it is heard."""
    await wire.send("start", utterance=utterance, text=TEXT, end=True)
    proof = Proof(rate_hz=44_100, frame_ms=20)
    due_at = time.monotonic() + 1
    num_late = num_heard = 0
    while not proof.is_done:
        message = await wire.receive()
        now = time.monotonic()
        proof.take(message)
        if message["type"] == "audio":
            num_late += now > due_at
            due_at = (due_at if num_heard else now) + message["samples"] / 44_100
            num_heard += 1
    assert not proof.faults
    return num_heard > 0 and not num_late


async def test_a_client_that_comes_back_from_another_address(hasty: Witness) -> None:
    """A session belongs to its token, not to where it came from."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.source = "127.0.0.99"
        proxy.reset_all()
        await come_back(listener)
        await hear_the_rest(listener)


async def test_a_server_that_cannot_be_reached_for_a_while(hasty: Witness) -> None:
    """Every try is refused until it can; then all is there."""
    async with hasty.aftermath(LOST, RESUMED), linked(hasty.server) as (proxy, listener):
        await begin(listener, end=True)
        proxy.refuse()
        proxy.reset_all()
        for _ in range(5):
            with pytest.raises(ConnectionRefusedError):
                await listener.open()
            await asyncio.sleep(0.05)
        await proxy.admit()
        await come_back(listener)
        await hear_the_rest(listener)


async def test_two_that_race_for_a_session_with_the_same_token(hasty: Witness) -> None:
    """One of them has it in the end, whole; the other is told 4409 or that it is too late."""
    async with hasty.aftermath(RESUMED), linked(hasty.server) as (_, listener):
        await begin(listener)
        listener.cut()
        given = {"session": listener.ready.session, "token": listener.ready.resume_token, "received": {"u": 0}}
        racers = [await connected(hasty.server) for _ in range(2)]
        await asyncio.gather(*(racer.send("hello", token=KEY, resume=given) for racer in racers))
        heard = await asyncio.gather(*(race(racer) for racer in racers))
        assert sorted(heard) == ["4409", "whole"]
        await listener.open()
        assert not listener.ready.resumed, "it is over"


async def race(racer: Wire) -> str:
    """What became of it."""
    async with racer:
        try:
            assert (await racer.until("ready"))["resumed"]
            await asyncio.sleep(0.3)
            await racer.send("end", utterance="u")
            done = await racer.until("done", "u")
            await racer.send("close")
            assert await racer.close_code() == 1000
        except websockets.ConnectionClosed:
            return str(racer.socket.close_code)
        assert done["reason"] == "end"
        return "whole"


async def test_tokens_that_are_used_forged_or_of_nobody(hasty: Witness) -> None:
    """Each is told resume_failed and gets a session of its own; the listener hears on."""
    async with hasty.aftermath(REFUSED), linked(hasty.server) as (_, listener):
        await begin(listener)
        used = listener.pass_
        listener.cut()
        await come_back(listener)
        await listener.say(Text(utterance="u", text=" A."))
        await listener.say(Ping(nonce=1))
        await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
        mine = listener.ready
        for wrong in (
            used,
            Resume(session=mine.session, token="0" * 32),
            Resume(session="nobody", token=mine.resume_token),
        ):
            thief = Listener(hasty.server, token=KEY)
            await thief.greet(wrong)
            await thief.hear(lambda thief=thief: isinstance(thief.messages[-1], Ready))  # type: ignore[misc]
            assert [each.code for each in thief.messages if isinstance(each, Error)] == ["resume_failed"]
            assert not thief.ready.resumed
            await thief.say(Close())
            await thief.close_code()
        await listener.say(End(utterance="u"))
        await hear_the_rest(listener, num_chars=len(TEXT + " A."))


async def test_a_client_that_vanishes_for_good(hasty: Witness) -> None:
    """The server speaks up to the lead and waits; after the window nothing of it is left."""
    async with hasty.aftermath(LOST, EXPIRED, "voxwire_utterances_abandoned_total"):
        listener = Listener(hasty.server, token=KEY, lead_ms=500)
        await begin(listener, text=TEXT * 5)
        listener.cut()


async def test_a_client_that_comes_back_too_late(hasty: Witness) -> None:
    """It is told so, and starts anew on the same connection."""
    async with hasty.aftermath(EXPIRED, REFUSED), linked(hasty.server) as (_, listener):
        await begin(listener)
        listener.cut()
        await until_metric(hasty, "voxwire_sessions", lambda value: value == 0)
        await listener.open()
        assert [type(each) for each in listener.messages[:2]] == [Error, Ready]
        assert not listener.ready.resumed
        await listener.say(Start(utterance="again", seed=7, text=TEXT, end=True))
        await listener.hear_out("again")
        assert listener.done["again"].reason == "end"
