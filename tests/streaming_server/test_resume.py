"""A session that outlives its connection: nothing is lost, nothing comes twice, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from protocol.messages import (
    Audio,
    Cancel,
    ClientMessage,
    Close,
    Done,
    End,
    Error,
    Ping,
    Playhead,
    Pong,
    Ready,
    Resume,
    Start,
    Started,
    Text,
)
from protocol.wire import Encoding
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import WAIT_S, Server, connected, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "Hello there. And a second one."
PATCH_SAMPLES = 7_056


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tone") as server:
        yield server


async def metric(server: Server, name: str) -> float:
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        page = (await http.get("/metrics")).text
    return sum(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


async def until_told(server: Server, name: str, at_least: float) -> None:
    async with asyncio.timeout(WAIT_S):
        while await metric(server, name) < at_least:
            pass


def assert_whole(listener: Listener, utterance: str, num_chars: int) -> None:
    done = listener.done[utterance]
    assert (done.reason, done.text_chars) == ("end", num_chars)
    assert done.samples == listener.num_heard[utterance]


async def goodbye(*listeners: Listener) -> None:
    for listener in listeners:
        await listener.say(Close())
        assert await listener.close_code() == 1000


@pytest.mark.parametrize("again", list(Encoding))
async def test_a_reset_during_speech_loses_and_repeats_nothing(server: Server, again: Encoding) -> None:
    listener = await Listener(server, lead_ms=2000).open()
    first = listener.ready
    await listener.say(Start(utterance="u", seed=7, text=TEXT, end=True))
    await listener.hear_some("u")
    listener.cut()
    await asyncio.sleep(0.3)
    listener.encoding = again
    await listener.open()
    assert (listener.ready.resumed, listener.ready.session) == (True, first.session)
    assert listener.ready.resume_token != first.resume_token
    assert listener.ready.client_messages == 1
    await listener.hear_out("u")
    assert_whole(listener, "u", len(TEXT))
    await goodbye(listener)


async def test_a_connection_may_be_lost_again_before_ready_arrives(server: Server) -> None:
    listener = await Listener(server, lead_ms=2000).open()
    await listener.say(Start(utterance="u", seed=8, text=TEXT))
    await listener.hear_some("u")
    for _ in range(3):
        resumed = await metric(server, "voxwire_sessions_resumed_total")
        listener.cut()
        await listener.greet()
        await until_resumed(server, resumed)
    listener.cut()
    await listener.open()
    assert listener.ready.resumed
    assert listener.ready.client_messages == 1
    await listener.say(End(utterance="u"))
    await listener.hear_out("u")
    assert_whole(listener, "u", len(TEXT))
    await goodbye(listener)


async def until_resumed(server: Server, before: float) -> None:
    async with asyncio.timeout(20):
        while await metric(server, "voxwire_sessions_resumed_total") == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "taken"])
@pytest.mark.parametrize("kind", [Text, End, Cancel])
async def test_what_was_just_sent_counts_once(server: Server, kind: type[ClientMessage], is_lost: bool) -> None:
    """Whether it arrived or not: its sender cannot know."""
    listener = await Listener(server, lead_ms=1000).open()
    await listener.say(Start(utterance="u", seed=9, text=TEXT))
    await listener.hear_some("u")
    message: ClientMessage = {Text: Text(utterance="u", text=" More."), End: End(utterance="u")}.get(
        kind, Cancel(utterance="u")
    )
    await listener.say(message, lost=is_lost)
    if not is_lost:
        await listener.say(Ping(nonce=1))  # answered after it was taken
        await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
    listener.cut()
    await listener.open()
    assert listener.ready.client_messages == 1 + (not is_lost)
    num_chars = len(TEXT)
    if kind is Text:
        num_chars += len(" More.")
        await listener.say(End(utterance="u"))
    await listener.hear_out("u")
    if kind is Cancel:
        assert listener.done["u"].reason == "cancelled"
    else:
        assert_whole(listener, "u", num_chars)
    await goodbye(listener)


@pytest.mark.parametrize("wrong", [{"voice": "nobody"}, {"volume": 9.0}], ids=["by the session", "by the reader"])
async def test_a_refusal_that_was_lost_is_told_once(server: Server, wrong: dict[str, Any]) -> None:
    async with await connected(server) as wire:
        await wire.send("hello")
        ready = await wire.receive()
        await wire.send("start", utterance="u", **wrong)
        await wire.send("ping", nonce=1)
        await wire.until("pong")
        wire.socket.transport.abort()
    async with await connected(server) as wire:
        resume = {"session": ready["session"], "token": ready["resume_token"], "received": {"u": 0}}
        await wire.send("hello", resume=resume)
        assert (await wire.until("ready"))["client_messages"] == 1
        await wire.send("ping", nonce=2)
        await wire.until("pong")
        assert [message["utterance"] for message in wire.received if message["type"] == "error"] == ["u"]


async def test_an_id_is_free_again_before_its_refusal_is_read(server: Server) -> None:
    async with await connected(server) as wire:
        await wire.send("hello")
        await asyncio.gather(
            wire.send("start", utterance="u", volume=9.0), wire.send("start", utterance="u", text="Hi.", end=True)
        )
        assert (await wire.until("error"))["code"] == "bad_value"
        assert (await wire.until("done"))["reason"] == "end"


async def test_it_resumes_as_often_as_it_is_lost(server: Server) -> None:
    listener = await Listener(server, lead_ms=1000).open()
    await listener.say(Start(utterance="u", seed=10, text=TEXT, end=True))
    await listener.hear_some("u")
    for taken in (1, 0, 0):  # counted anew from the ready that arrived
        listener.cut()
        await listener.open()
        assert listener.ready.resumed
        assert listener.ready.client_messages == taken
    await listener.hear_some("u")
    listener.cut()
    await listener.open()
    await listener.hear_out("u")
    assert_whole(listener, "u", len(TEXT))
    await goodbye(listener)


async def test_a_token_opens_once_and_a_forged_one_never(server: Server) -> None:
    listener = await Listener(server, lead_ms=1000).open()
    await listener.say(Start(utterance="u", seed=11, text=TEXT))
    await listener.hear_some("u")
    used = listener.pass_
    listener.cut()
    await listener.open()
    await listener.say(Playhead(utterance="u", played=0))  # the ready has arrived
    await listener.say(Ping(nonce=1))
    await listener.hear(lambda: isinstance(listener.messages[-1], Pong))
    forged = Resume(session=used.session, token="0" * 32)
    for wrong in (used, forged, Resume(session="nobody", token=listener.ready.resume_token)):
        thief = Listener(server)
        await thief.greet(wrong)
        await thief.hear(lambda thief=thief: isinstance(thief.messages[-1], Ready))  # type: ignore[misc]
        assert [message.code for message in thief.messages if isinstance(message, Error)] == ["resume_failed"]
        assert not thief.ready.resumed
        assert thief.ready.session != listener.ready.session
        await goodbye(thief)
    await listener.say(End(utterance="u"))
    await listener.hear_out("u")
    assert_whole(listener, "u", len(TEXT))
    await goodbye(listener)


async def test_who_comes_last_has_the_session_though_the_older_socket_lives(server: Server) -> None:
    listener = await Listener(server, lead_ms=1000).open()
    await listener.say(Start(utterance="u", seed=12, text=TEXT))
    await listener.hear_some("u")
    older = listener.socket
    await listener.open()
    assert listener.ready.resumed
    async with asyncio.timeout(20):
        await older.wait_closed()
    assert older.close_code == 4409
    await listener.say(End(utterance="u"))
    await listener.hear_out("u")
    assert_whole(listener, "u", len(TEXT))
    await goodbye(listener)


async def test_a_server_that_ends_while_it_says_goodbye_to_a_replaced_socket_logs_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving("tone", tcp_user_timeout_ms=60_000) as server:
        listener = await Listener(server, lead_ms=None).open()
        older = listener.socket
        older.transport.pause_reading()
        await listener.say(Start(utterance="u", seed=7, text=TEXT * 30, end=True))
        await asyncio.sleep(0.5)  # until it takes nothing any more, a goodbye neither
        await listener.open()
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.5, older.transport.abort)
    assert await listener.close_code() == 1001
    assert not [record for record in caplog.records if record.exc_info]


async def test_after_the_window_nothing_is_left(server: Server) -> None:
    async with serving("tone", resume_ms=1000) as server:
        listener = await Listener(server).open()
        await listener.say(Start(utterance="u", seed=13, text=TEXT * 5))
        await listener.hear_some("u")
        num_tasks = len(asyncio.all_tasks())
        listener.cut()
        await until_told(server, "voxwire_sessions_parked", 1)
        assert server.engine.num_streams == 1
        await until(lambda: not server.engine.num_streams)
        assert await metric(server, "voxwire_sessions") == await metric(server, "voxwire_sessions_parked") == 0
        assert await metric(server, "voxwire_sessions_expired_total") == 1
        assert len(asyncio.all_tasks()) < num_tasks
        await listener.open()
        assert [type(message) for message in listener.messages] == [Error, Ready]
        assert (listener.ready.resumed, listener.ready.client_messages) == (False, 0)
        await listener.say(Start(utterance="again", seed=14, text=TEXT, end=True))
        await listener.hear_out("again")


async def test_what_was_cancelled_before_the_loss_is_not_said_again(server: Server) -> None:
    ended = 'voxwire_utterances_ended_total{reason="cancelled"}'
    num_ended = await metric(server, ended)
    listener = await Listener(server, lead_ms=4000).open()
    await listener.say(Start(utterance="u", seed=15, text=TEXT * 5, end=True))
    await listener.hear_some("u")
    await listener.say(Cancel(utterance="u"))
    async with asyncio.timeout(WAIT_S):
        while await metric(server, ended) == num_ended:
            pass
    listener.cut()
    await listener.open()
    await listener.hear_out("u")
    assert listener.done["u"].reason == "cancelled"
    assert not [message for message in listener.messages if isinstance(message, Audio)]
    assert isinstance(listener.messages[-1], Done)
    await goodbye(listener)


async def test_speech_that_is_not_asked_for_again_ends(server: Server) -> None:
    listener = await Listener(server, lead_ms=1000).open()
    await listener.say(Start(utterance="u", seed=16, text=TEXT * 5))
    await listener.say(Start(utterance="next", seed=17, text=TEXT, end=True, after="u"))
    await listener.hear_some("u")
    listener.cut()
    asked = listener.pass_
    await listener.greet(Resume(session=asked.session, token=asked.token, received={"next": 0}))
    await listener.hear_out("next")
    assert listener.ready.resumed
    assert_whole(listener, "next", len(TEXT))
    assert not server.engine.num_streams
    assert not [one for one in listener.messages if isinstance(one, Started) and one.utterance == "u"]
    await goodbye(listener)


async def test_what_is_no_longer_held_is_told_and_ends() -> None:
    """A listener that never says where it is, and lost the beginning of more than is held."""
    async with serving("tone", replay_bytes=65_536) as server:
        listener = await Listener(server, lead_ms=4000).open()
        await listener.say(Start(utterance="u", seed=18, text=TEXT * 5))
        await until(lambda: server.engine.num_patches > 10)
        listener.cut()
        await listener.open()
        await listener.hear_out("u")
        assert [message.code for message in listener.messages if isinstance(message, Error)] == ["replay_gap"]
        assert listener.done["u"].reason == "error"
        assert not server.engine.num_streams


async def test_speech_goes_on_up_to_the_lead_while_nobody_is_there() -> None:
    async with serving("tone") as server:
        listener = await Listener(server, lead_ms=800).open()
        await listener.say(Start(utterance="u", seed=19, text=TEXT * 5))
        await listener.hear_some("u")
        listener.cut()
        await asyncio.sleep(2.5)
        made = server.engine.num_patches
        assert 5 <= made <= 14, "what it had, and the lead: 1.6 s"
        await listener.open()
        began_at = asyncio.get_running_loop().time()
        await listener.hear_some("u", (made - 2) * PATCH_SAMPLES)
        assert asyncio.get_running_loop().time() - began_at < (made - 2) * 0.16 * 0.9, "faster than it is heard"
        await listener.hear_some("u", 10 * PATCH_SAMPLES)
        await goodbye(listener)
        await until(lambda: not server.engine.num_streams)


async def test_who_is_away_keeps_a_place_and_needs_no_other() -> None:
    async with serving("tone", max_sessions=1) as server:
        listener = await Listener(server).open()
        listener.cut()
        async with await connected(server) as wire:
            await wire.send("hello")
            assert await wire.close_code() == 1013
        await listener.open()
        assert listener.ready.resumed
        await goodbye(listener)
        await goodbye(await Listener(server).open())


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_goodbye_forgets_the_session(server: Server, code: int) -> None:
    listener = await Listener(server).open()
    await listener.say(Start(utterance="u", seed=20, text=TEXT * 5))
    await listener.hear_some("u")
    await listener.socket.close(code)
    await until(lambda: not server.engine.num_streams)
    await listener.open()
    assert not listener.ready.resumed
    await goodbye(listener)


async def test_without_a_window_nobody_comes_back() -> None:
    async with serving("tone", resume_ms=0) as server:
        listener = await Listener(server).open()
        assert listener.ready.limits.resume_ms == 0
        await listener.say(Start(utterance="u", seed=21, text=TEXT * 5))
        await listener.hear_some("u")
        listener.cut()
        await until(lambda: not server.engine.num_streams)
        await listener.open()
        assert not listener.ready.resumed


async def test_the_life_of_a_session_goes_on_while_it_is_away() -> None:
    async with serving("tone", session_ms=2000) as server:
        listener = await Listener(server).open()
        began_at = asyncio.get_running_loop().time()
        await asyncio.sleep(0.9)
        listener.cut()
        await asyncio.sleep(0.3)
        await listener.open()
        assert listener.ready.resumed
        assert await listener.close_code() == 4408
        assert asyncio.get_running_loop().time() - began_at < 3


async def test_a_wrong_key_takes_nobodys_session() -> None:
    async with serving("tone", api_key="right") as server:
        listener = await Listener(server, token="right").open()
        listener.cut()
        thief = Listener(server, token="wrong")
        await thief.greet(listener.pass_)
        assert await thief.close_code() == 1008
        await listener.open()
        assert listener.ready.resumed


async def test_those_that_wait_longest_go_when_too_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_server.lobby.MAX_PARKED_BYTES", 300_000)
    async with serving("tone") as server:
        listeners = [await Listener(server, lead_ms=None).open() for _ in range(3)]
        for number, listener in enumerate(listeners):
            await listener.say(Start(utterance="u", seed=number, text=TEXT, end=True))  # 190 kB
            await listener.hear_out("u")
            listener.cut()
            await until_told(server, "voxwire_sessions_expired_total", number)
            await until_told(server, "voxwire_sessions_parked", 1)
        assert await metric(server, "voxwire_sessions_parked") == 1
        assert await metric(server, "voxwire_sessions_expired_total") == 2
        for listener, is_there in zip(listeners, (False, False, True), strict=True):
            await listener.open()
            assert listener.ready.resumed is is_there


@pytest.mark.parametrize("seed", range(20))
async def test_cuts_anywhere_lose_and_repeat_nothing(server: Server, seed: int) -> None:
    """Text is written, cut into two utterances, while the connection is lost at any moment, as often as it likes."""
    dice = Random(seed)
    listener = await Listener(server, lead_ms=60_000).open()
    rest = {"a": TEXT, "b": TEXT}
    for number, name in enumerate(rest):
        await listener.say(Start(utterance=name, seed=100 + 2 * seed + number))
    while len(listener.done) < len(rest):
        for name in [name for name in rest if rest[name]]:
            cut = dice.randrange(1, 20)
            await listener.say(Text(utterance=name, text=rest[name][:cut]), lost=dice.random() < 0.2)
            rest[name] = rest[name][cut:]
            if not rest[name]:
                await listener.say(End(utterance=name), lost=dice.random() < 0.5)
        if dice.random() < 0.5:
            wanted = dice.randrange(1, 20)
            try:
                async with asyncio.timeout(0.2):
                    await listener.hear(lambda wanted=wanted: len(listener.messages) > wanted)  # type: ignore[misc]
            except TimeoutError:
                pass
        if len(listener.done) < len(rest):
            if dice.random() < 0.7:  # else the older socket lives on
                listener.cut()
            if dice.random() < 0.3:
                await listener.greet()
                listener.cut()
            await listener.open()
            assert listener.ready.resumed
            if not any(rest.values()) and dice.random() < 0.5:
                await listener.hear_out("a", "b")
    for name in rest:
        assert_whole(listener, name, len(TEXT))
    await goodbye(listener)
