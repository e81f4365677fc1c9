"""One connection after another: what is lost, when it is tried again, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from protocol.client import SpeechClient
from protocol.errors import CloseCode, ConnectionLost, ErrorCode, LocalProtocolError, SpeechError
from protocol.messages import Cancel, End, Error, Hello, Limits, Ping, Playhead, Pong, Start, Text
from protocol.reconnect import Backoff, LinkReport
from protocol.speech import Speech
from tests.protocol.test_client import heard_from, until
from tests.protocol.test_reconnect import Highest
from tests.protocol.tiny_server import TinyServer


def http(status: int, **headers: str) -> Response:
    return Response(status, "No", Headers(headers | {"Content-Length": "0"}))


class Pauses:
    """Sleeps that are noted and last no time, unless they are the watch's."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        if seconds == 100 / 8:  # a look of a link that bears 100 s of silence
            await asyncio.Event().wait()
        self.waits.append(seconds)
        await asyncio.sleep(0)


def patient(server: TinyServer, pauses: Pauses, **options: Any) -> SpeechClient:
    return SpeechClient(server.url, silence_s=100, backoff=Backoff(Highest()), sleep=pauses, **options)


# Resuming.


async def test_what_is_said_while_away_arrives_once_and_in_order() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(utterance="mine")
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        server.cut()
        await until(lambda: not client._link._is_up)
        await speech.write("cd")
        other = client.speak("xyz", after="mine")
        speech.heard(3, paused=True)
        asking = asyncio.ensure_future(client.ping())
        speech.flush()
        speech.end()
        server.is_shut = False
        assert await heard_from(speech) == "abcd"
        assert await heard_from(other) == "xyz"
        assert await asking > 0
        assert client.num_resumes == 1
        assert [text.text for text in server.heard_of(Text)] == ["ab", "cd"]
        assert len(server.heard_of(End)) == 1
        assert Playhead(utterance="mine", played=3, received=2, paused=True) in server.heard_of(Playhead)


async def test_a_message_that_is_too_large_is_refused_while_away_too() -> None:
    async with TinyServer(limits=Limits(message_bytes=2048)).serving() as server, SpeechClient(server.url) as client:
        speech = client.speak()
        server.cut()
        await until(lambda: not client._link._is_up)
        with pytest.raises(LocalProtocolError) as caught:
            client.speak(params={"x" * 3000: 1.0})
        assert caught.value.code is ErrorCode.TOO_LARGE
        speech.cancel()
        server.is_shut = False
        assert (await speech.finished()).reason == "cancelled"
        assert len(server.heard_of(Cancel)) == 1


async def test_a_session_that_no_hello_can_ask_for_is_lost_without_a_crash() -> None:
    async with TinyServer(limits=Limits(message_bytes=1024)).serving() as server, SpeechClient(server.url) as client:
        speeches = [client.speak(utterance=60 * "\U0001f600" + str(number), voice="endless") for number in range(5)]
        await until(lambda: speeches[-1].started)
        server.drop()
        with pytest.raises(ConnectionLost, match="at most 1024 bytes"):
            await speeches[0].finished()


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4408])
async def test_a_server_that_may_be_back_is_asked_again(code: int) -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice=f"close {code}")
        await speech.write("ab")
        await until(lambda: client.num_resumes == 1)
        await speech.write("c")
        speech.end()
        assert await heard_from(speech) == "abc"


@pytest.mark.parametrize("code", [1000, 1008, 1009, 4400, 4409])
async def test_some_goodbyes_are_for_good(code: int) -> None:
    reports: list[LinkReport] = []
    async with TinyServer().serving() as server, SpeechClient(server.url, on_link=reports.append) as client:
        speech = client.speak(voice=f"close {code}")
        await speech.write("ab")
        with pytest.raises(ConnectionLost):
            await speech.finished()
        assert len(server.ledgers) == 1
        assert [report.state for report in reports] == ["connecting", "ready", "lost", "gone"]


async def test_a_ghost_of_our_own_does_not_take_the_session_away() -> None:
    now = 0.0
    async with TinyServer().serving() as server, SpeechClient(server.url, clock=lambda: now) as client:
        speech = client.speak(voice="endless")
        await until(lambda: speech.started)
        server.drop()
        for number in (1, 2):
            await until(lambda number=number: client.num_resumes == number)  # type: ignore[misc]
            await client.ping()
            for socket in list(server.sockets):
                await socket.close(CloseCode.REPLACED)
        await until(lambda: client.num_resumes == 3)
        now += 11.0
        for socket in list(server.sockets):
            await socket.close(CloseCode.REPLACED)
        with pytest.raises(ConnectionLost):
            await speech.finished()


async def test_who_listens_to_the_link_is_told_all() -> None:
    reports: list[LinkReport] = []
    pauses = Pauses()
    async with TinyServer().serving() as server, patient(server, pauses, on_link=reports.append) as client:
        server.answers = [http(503), http(429, **{"Retry-After": "7"}), CloseCode.INTERNAL, http(503, nonsense="x")]
        server.answers.append(Error(code=ErrorCode.BUSY, message="expected patience", fatal=True, retry_after_ms=90))
        server.drop()
        await until(lambda: client.num_resumes)
        assert await client.ping() > 0
    assert pauses.waits == pytest.approx([0.0, 0.1, 7.2, 0.4, 0.8, 1.69])
    tries = [LinkReport(state="connecting", attempt=tried, wait_s=wait) for tried, wait in enumerate(pauses.waits, 1)]
    first = [LinkReport(state="connecting", attempt=1), LinkReport(state="ready"), LinkReport(state="lost")]
    assert reports == [*first, *tries, LinkReport(state="resumed")]


async def time_out(server: TinyServer) -> None:
    """As a server does with who says nothing."""
    for socket in list(server.sockets):
        await socket.close(CloseCode.TIMEOUT)


async def test_an_idle_client_that_is_timed_out_comes_back_when_it_has_something_to_say() -> None:
    reports: list[LinkReport] = []
    async with TinyServer().serving() as server, SpeechClient(server.url, on_link=reports.append) as client:
        spoken = client.speak("abc")
        assert await heard_from(spoken) == "abc"
        for number, say in enumerate([lambda: client.speak("xyz"), lambda: client.speak(utterance="by hand")], 2):
            server.forget()
            await time_out(server)
            await until(lambda: reports[-1].state == "resting")
            spoken.heard(8)  # of what is over nobody need be told at once
            await asyncio.sleep(0.05)
            assert not server.sockets
            speech = say()
            if speech.num_chars == 0:
                await speech.write("uv")
                speech.end()
            assert await heard_from(speech) == ("xyz" if number == 2 else "uv")
            assert (server.num_sessions, client.num_resumes, speech.restarts) == (number, 0, ())
    assert not [hello for hello in server.heard_of(Hello) if hello.resume is not None]
    rested = ["resting", "connecting", "restarted"]
    assert [report.state for report in reports] == ["connecting", "ready", *rested, *rested]


async def test_a_resting_client_asks_a_server_of_which_it_wants_to_know_how_far_it_is() -> None:
    reports: list[LinkReport] = []
    async with TinyServer().serving() as server, SpeechClient(server.url, on_link=reports.append) as client:
        await time_out(server)
        await until(lambda: reports[-1].state == "resting")
        assert await client.ping() > 0


async def test_who_speaks_when_told_of_the_rest_is_heard() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speeches: list[Speech] = []

        def answer(report: LinkReport) -> None:
            if report.state == "resting":
                speeches.append(client.speak("abc"))

        client.on_link = answer
        await time_out(server)
        await until(lambda: speeches)
        assert await asyncio.wait_for(heard_from(speeches[0]), 20) == "abc"


async def test_what_is_cancelled_before_a_resting_client_is_back_is_not_said() -> None:
    reports: list[LinkReport] = []
    async with TinyServer().serving() as server, SpeechClient(server.url, on_link=reports.append) as client:
        await time_out(server)
        await until(lambda: reports[-1].state == "resting")
        speech = client.speak("abc")
        speech.cancel()
        assert (await speech.finished()).reason == "cancelled"
        assert not server.heard_of(Start)


async def test_waits_begin_anew_only_after_the_server_has_said_something() -> None:
    pauses = Pauses()
    async with TinyServer().serving() as server, patient(server, pauses) as client:
        for number in range(1, 4):
            server.drop()
            await until(lambda number=number: client.num_resumes == number)  # type: ignore[misc]
        await client.ping()
        server.drop()
        await until(lambda: client.num_resumes == 4)
    assert pauses.waits == pytest.approx([0.0, 0.1, 0.2, 0.0])


async def test_a_pong_that_comes_as_its_ping_is_given_up_does_no_harm() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        asking = asyncio.ensure_future(client.ping())
        await asyncio.sleep(0)
        (nonce,) = client._pings
        asking.cancel()
        client.hear(Pong(nonce=nonce, server_ms=1.0))
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_an_idle_link_may_be_lost_as_often_as_it_lasts_a_while() -> None:
    now = 0.0
    pauses = Pauses()
    async with TinyServer().serving() as server, patient(server, pauses, clock=lambda: now) as client:
        for number in range(1, 12):
            now += 40
            server.drop()
            await until(lambda number=number: client.num_resumes == number)  # type: ignore[misc]
        assert await client.ping() >= 0
    assert set(pauses.waits) == {0.0}


async def test_what_is_said_after_a_fatal_error_and_before_the_close_is_kept() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, silence_s=0.4) as client:
        speech = client.speak()
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        await server.say(Error(code=ErrorCode.TIMEOUT, message="expected more", fatal=True))
        await until(lambda: not client._link._is_up)
        await speech.write("cd")  # the server, too, leaves the connection open: it is the client that gives it up
        speech.end()
        assert await heard_from(speech) == "abcd"


async def test_a_server_that_does_not_come_back_is_given_up() -> None:
    now = 0.0

    class Passing(Pauses):
        async def __call__(self, seconds: float) -> None:
            nonlocal now
            await super().__call__(seconds)
            now += seconds

    pauses = Passing()
    limits = Limits(resume_ms=3000)
    async with TinyServer(limits=limits).serving() as server:
        client = patient(server, pauses, give_up_s=4.0, clock=lambda: now)
        await client.__aenter__()
        speech = client.speak(voice="endless")
        await until(lambda: speech.started)
        server.cut()
        await until(lambda: not client._link._is_up)
        asking = asyncio.ensure_future(client.ping())
        for lost in (speech.finished(), asking):
            with pytest.raises(ConnectionLost, match="HTTP 500"):
                await lost
        assert pauses.waits == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
        with pytest.raises(ConnectionLost):
            client.speak("c")
        speech.heard(1)
        await client.__aexit__(None, None, None)


async def test_a_key_that_no_longer_opens_ends_it_at_once() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        server.answers = [http(401)]
        server.drop()
        with pytest.raises(ConnectionLost) as caught:
            await client.speak(voice="endless").finished()
        assert caught.value.code is ErrorCode.UNAUTHORIZED


async def test_leaving_while_away_takes_no_time() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="endless")
        server.cut()
        await until(lambda: not client._link._is_up)
    with pytest.raises(ConnectionLost, match="one that was left"):
        await speech.finished()


# The first connection.


@pytest.mark.parametrize(
    ("answer", "code", "retry_after_ms"),
    [
        (http(503, **{"Retry-After": "5"}), ErrorCode.BUSY, 5000),
        (http(429), ErrorCode.BUSY, None),
        (http(429, **{"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), ErrorCode.BUSY, None),
        (http(401), ErrorCode.UNAUTHORIZED, None),
        (http(403), ErrorCode.FORBIDDEN_ORIGIN, None),
    ],
)
async def test_a_refusal_in_http_is_an_exception(answer: Response, code: ErrorCode, retry_after_ms: int | None) -> None:
    async with TinyServer(answers=[answer]).serving() as server:
        with pytest.raises(SpeechError) as caught:
            await SpeechClient(server.url).__aenter__()
    assert (caught.value.code, caught.value.retry_after_ms) == (code, retry_after_ms)
    assert not isinstance(caught.value, ConnectionLost)


async def test_another_answer_in_http_is_no_server_of_ours() -> None:
    async with TinyServer(answers=[http(404)]).serving() as server:
        with pytest.raises(ConnectionLost, match="HTTP 404"):
            await SpeechClient(server.url).__aenter__()


# Silence.


async def test_a_silent_link_is_replaced() -> None:
    """The server has a deaf ear for pings, so that the client does not hear that it is there."""
    async with TinyServer().serving() as server, SpeechClient(server.url, silence_s=0.2) as client:
        speech = client.speak(voice="endless")
        await speech.write("ab")
        server.is_deaf = True
        await until(lambda: not client._link._is_up)
        server.is_deaf = False
        await until(lambda: client.num_resumes)
        assert await client.ping() > 0
        speech.cancel()
        assert await heard_from(speech) == "ab"


async def test_a_server_that_answers_is_not_silent() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, silence_s=0.2) as client:
        speech = client.speak(voice="endless")
        await until(lambda: len(server.heard_of(Ping)) > 3)
        assert client.num_resumes == 0
        speech.cancel()


async def test_a_ping_on_a_dead_link_is_answered_on_another() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, silence_s=0.2) as client:
        server.is_deaf = True
        asking = asyncio.ensure_future(client.ping())
        await until(lambda: server.heard_of(Ping))
        server.is_shut = True
        await until(lambda: not client._link._is_up)
        server.is_deaf = server.is_shut = False
        assert await asking > 0
        assert client.num_resumes == 1


async def test_an_idle_link_is_looked_after_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, silence_s=0.1) as client:
        await asyncio.sleep(0.3)
        assert not server.heard_of(Ping)
        monkeypatch.setattr("protocol.vigil.IDLE_PING_S", 0.3)
        await until(lambda: server.heard_of(Ping))
        assert client.num_resumes == 0


async def test_a_try_that_hangs_is_followed_by_another() -> None:
    num_hung = 0

    async def hang(socket: Any) -> None:
        nonlocal num_hung
        num_hung += 1
        await socket.wait_closed()

    server = TinyServer()
    async with server.serving():
        client = SpeechClient(server.url, silence_s=0.2)
        await client.__aenter__()
        speech = client.speak(voice="endless")
        await until(lambda: speech.started)
    async with serve(hang, "127.0.0.1", server.port):
        await until(lambda: num_hung > 1)
    async with server.serving():
        await until(lambda: client.num_resumes)
        speech.cancel()
        await client.__aexit__(None, None, None)
