"""The client, against a real socket and a tiny server."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import serve

from protocol.client import SpeechClient
from protocol.errors import ConnectionLost, ErrorCode, LocalProtocolError, SpeechError
from protocol.messages import (
    Cancel,
    Close,
    End,
    Flush,
    Hello,
    Limits,
    Playhead,
    Start,
    Text,
    WordTiming,
)
from protocol.speech import Speech
from protocol.wire import Encoding
from tests.protocol.tiny_server import OPUS, TinyServer
from tests.protocol.tiny_voice import said


async def deltas(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  what is waited for happens behind a socket
            await asyncio.sleep(0.005)


async def heard_from(speech: Speech) -> str:
    return said([chunk.pcm or b"" async for chunk in speech])


@asynccontextmanager
async def talking(**server: Any) -> AsyncIterator[tuple[TinyServer, SpeechClient]]:
    async with TinyServer(**server).serving() as tiny, SpeechClient(tiny.url, token=tiny.token) as client:
        yield tiny, client


@pytest.fixture
async def both() -> AsyncIterator[tuple[TinyServer, SpeechClient]]:
    async with talking() as pair:
        yield pair


@pytest.fixture
def server(both: tuple[TinyServer, SpeechClient]) -> TinyServer:
    return both[0]


@pytest.fixture
def client(both: tuple[TinyServer, SpeechClient]) -> SpeechClient:
    return both[1]


# Speaking.


@pytest.mark.parametrize("encoding", Encoding)
async def test_a_chatbot_speaks_its_deltas(encoding: Encoding) -> None:
    async with TinyServer().serving() as server:
        async with SpeechClient(server.url, encoding=encoding) as client:
            speech = client.speak(deltas("Hel", "lo ", "there"), voice="plain")
            assert await heard_from(speech) == "Hello there"
        assert [message.text for message in server.heard_of(Text)] == ["Hel", "lo ", "there"]
        assert len(server.heard_of(End)) == len(server.heard_of(Close)) == 1
        assert server.num_closed == 1


async def test_a_short_text_goes_with_its_start(server: TinyServer, client: SpeechClient) -> None:
    assert await heard_from(client.speak("Hi", speed=1.5, params={"x": 1.0})) == "Hi"
    (start,) = server.heard_of(Start)
    assert (start.text, start.end, start.speed, start.params) == ("Hi", True, 1.5, {"x": 1.0})
    assert not server.heard_of(Text)


async def test_an_empty_text_is_no_speech(client: SpeechClient) -> None:
    assert await heard_from(client.speak("")) == ""
    assert await heard_from(client.speak(deltas())) == ""


async def test_a_text_longer_than_a_message_goes_in_pieces() -> None:
    async with talking(limits=Limits(message_bytes=1024 + 6 * 4)) as (server, client):
        assert await heard_from(client.speak("0123456789")) == "0123456789"
        assert [message.text for message in server.heard_of(Text)] == ["0123", "4567", "89"]


async def test_text_waits_until_there_is_room_for_it() -> None:
    async with talking(limits=Limits(pending_chars=8)) as (server, client):
        lazy = client.speak(voice="lazy")
        await lazy.write("1234")
        writing = asyncio.ensure_future(lazy.write("5"))
        await asyncio.sleep(0.05)
        assert not writing.done()
        lazy.cancel()
        await writing
        assert [message.text for message in server.heard_of(Text)] == ["1234"]
        assert await heard_from(client.speak(deltas("abcd", "efgh"))) == "abcdefgh"


async def test_text_keeps_to_the_rate_of_the_server() -> None:
    now = 0.0
    async with (
        TinyServer(limits=Limits(chars_per_s=100)).serving() as server,
        SpeechClient(server.url, clock=lambda: now) as client,
    ):
        assert await heard_from(client.speak("x" * 40)) == "x" * 40
        assert await heard_from(client.speak(deltas("y" * 60))) == "y" * 60  # a second's worth may go at once
        speech = client.speak()
        started_at = asyncio.get_running_loop().time()
        await speech.write("z" * 10)
        assert asyncio.get_running_loop().time() - started_at > 0.08
        now = 10.0
        started_at = asyncio.get_running_loop().time()
        await speech.write("z" * 100)
        assert asyncio.get_running_loop().time() - started_at < 0.5


async def test_text_is_given_by_hand(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak(utterance="mine")
    await speech.write("ab")
    speech.flush()
    speech.flush()  # nothing was given since
    await speech.write("c")
    speech.end()
    assert await heard_from(speech) == "abc"
    assert (await speech.finished()).text_chars == 3
    await speech.write("too late")
    speech.flush()
    heard = [type(message) for message in server.heard]
    assert [kind for kind in heard if kind in (Text, Flush, End)] == [Text, Flush, Text, End]
    assert server.heard_of(Start)[0].utterance == "mine"


async def test_chunks_tell_words_segments_and_runs(client: SpeechClient) -> None:
    speech = client.speak(voice="plain", words=True)
    await speech.write("ab")
    await until(lambda: speech.buffered_bytes == 16)
    speech.change_format(OPUS)
    await speech.write("c")
    speech.end()
    chunks = [chunk async for chunk in speech]
    assert [(chunk.seq, chunk.pts, chunk.samples, chunk.new_run) for chunk in chunks] == [
        (0, 0, 4, True),
        (1, 4, 4, False),
        (2, 8, 4, True),
    ]
    assert [chunk.audio.codec for chunk in chunks] == ["pcm_s16le", "pcm_s16le", "opus"]
    assert [len(chunk.words) for chunk in chunks] == [2, 0, 1]
    assert [segment.text_end for chunk in chunks for segment in chunk.segments] == [2, 3]
    assert speech.words == [WordTiming(at, at + 1, 4 * at, 4 * at + 4) for at in range(3)]
    assert speech.started is not None
    assert speech.started.seed == 1
    assert speech.trace is not None
    assert speech.trace.patches == 3
    assert chunks[0].num_bytes == 8


async def test_utterances_share_a_client(client: SpeechClient) -> None:
    texts = ["abc", "defg", "hi"]
    speeches = [client.speak(deltas(*text)) for text in texts]
    assert await asyncio.gather(*map(heard_from, speeches)) == texts
    assert len({speech.utterance for speech in speeches}) == 3


async def test_the_server_introduces_itself(server: TinyServer) -> None:
    async with SpeechClient(server.url + "/v1/stream", audio=OPUS, lead_ms=None, name="me") as client:
        assert client.ready.model.name == "tone"
    hello = server.heard_of(Hello)[-1]
    assert (hello.audio, hello.lead_ms, hello.client) == (OPUS, None, "me")


async def test_ping_measures_the_way(client: SpeechClient) -> None:
    assert 0 <= await client.ping() < 3000


# Playheads.


async def test_what_is_taken_is_told(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak("abc")
    assert await heard_from(speech) == "abc"
    await client.ping()
    assert server.heard_of(Playhead)[-1].received == 4
    assert server.heard_of(Playhead)[0].received == 0
    assert server.connection.ledger.held_bytes == 0


async def test_playheads_come_no_faster_than_ten_a_second() -> None:
    now = 0.0
    async with TinyServer().serving() as server, SpeechClient(server.url, clock=lambda: now) as client:
        speech = client.speak("abcdef")
        await speech.finished()
        taken = []
        async for chunk in speech:
            taken.append(chunk)
            now += 0.04
        await client.ping()
        assert [playhead.received for playhead in server.heard_of(Playhead)] == [0, 4, 7]


async def test_what_is_heard_is_told_at_once(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak("abc")
    async for _ in speech:
        break
    speech.heard(2, paused=True)
    await client.ping()
    assert Playhead(utterance=speech.utterance, played=2, received=1, paused=True) in server.heard_of(Playhead)


async def test_a_speech_that_everyone_has_forgotten_can_still_be_taken() -> None:
    async with talking(limits=Limits(ids=1)) as (_, client):
        first = client.speak("abc")
        await first.finished()
        for _ in range(2):
            await client.speak("d").finished()
        assert await heard_from(first) == "abc"


# Stopping.


async def test_leaving_the_loop_cancels(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak(deltas("a", "b", "c"), voice="endless")
    async for _ in speech:
        break
    gc.collect()
    done = await speech.finished()
    assert done.reason == "cancelled"
    assert len(server.heard_of(Cancel)) == 1
    assert speech.buffered_bytes == 0


async def test_cancel_tells_where_the_listener_stopped(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak(deltas("abc"), voice="endless")
    async for _ in speech:
        speech.cancel(at="word", played=1)
    assert speech.done is not None
    assert speech.done.spoken is not None
    assert speech.done.spoken.text == "abc"
    assert [(message.at, message.played) for message in server.heard_of(Cancel)] == [("word", 1)]


async def test_a_text_that_nobody_hears_any_more_is_not_asked_for(client: SpeechClient) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async for _ in client.speak(endless()):
        break
    gc.collect()
    async with asyncio.timeout(3):
        await closed.wait()


async def test_sound_that_comes_after_leaving_is_passed_over(server: TinyServer, client: SpeechClient) -> None:
    speech = client.speak(voice="endless")
    await speech.write("a")
    await until(lambda: speech.buffered_bytes)
    speech._left = True  # as if the cancel were still under way
    await speech.write("b")
    await until(lambda: len(speech.segments) == 2)
    speech.cancel()
    await speech.finished()
    await client.ping()
    assert server.heard_of(Playhead)[-1].received == 3
    assert speech.buffered_bytes == 8


# Failing.


async def test_a_refused_start_is_an_exception(client: SpeechClient) -> None:
    speech = client.speak("abc", voice="nobody")
    with pytest.raises(SpeechError, match="unknown_voice: expected a voice that exists, got nobody") as caught:
        await heard_from(speech)
    assert caught.value.code is ErrorCode.UNKNOWN_VOICE
    with pytest.raises(SpeechError):
        await speech.finished()
    assert await heard_from(client.speak("abc", utterance=speech.utterance)) == "abc"


async def test_a_failed_engine_is_an_exception_after_the_sound_it_made(client: SpeechClient) -> None:
    speech = client.speak(deltas("ab"), voice="sick")
    taken = aiter(speech)
    assert said([(await anext(taken)).pcm or b"" for _ in range(2)]) == "ab"
    with pytest.raises(SpeechError) as caught:
        await anext(taken)
    assert caught.value.code is ErrorCode.ENGINE_FAILED
    assert caught.value.retry_after_ms == 9
    assert [error.seq for error in speech.errors] == [2]


async def test_a_failure_without_a_reason_is_still_one(client: SpeechClient) -> None:
    with pytest.raises(SpeechError, match="expected an error that says why"):
        await heard_from(client.speak(deltas("ab"), voice="silent failure"))


async def test_what_the_text_raises_comes_out_of_the_speech(server: TinyServer, client: SpeechClient) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "ab"
        raise ZeroDivisionError("the writer fell asleep")

    with pytest.raises(ZeroDivisionError, match="the writer fell asleep"):
        await heard_from(client.speak(broken(), voice="endless"))
    assert len(server.heard_of(Cancel)) == 1


async def test_a_malformed_text_is_refused_on_this_side(client: SpeechClient) -> None:
    with pytest.raises(LocalProtocolError, match="surrogate"):
        await heard_from(client.speak(deltas("a\ud800")))
    with pytest.raises(LocalProtocolError):
        client.speak("a\ud800")


async def test_an_iterator_that_is_no_generator_will_do(client: SpeechClient) -> None:
    class Deltas:
        def __init__(self) -> None:
            self._left = ["a", "b"]

        def __aiter__(self) -> Deltas:
            return self

        async def __anext__(self) -> str:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop(0)

    assert await heard_from(client.speak(Deltas())) == "ab"


async def test_a_speech_that_is_not_taken_fails_alone_when_the_server_does_not_wait() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, max_buffered_bytes=20_000) as client:
        flood = client.speak(deltas("abcd"), voice="flood")
        with pytest.raises(SpeechError) as caught:
            await flood.finished()
        assert caught.value.code is ErrorCode.SLOW_CONSUMER
        assert flood.buffered_bytes == 0
        assert await heard_from(client.speak("abc")) == "abc"


# Connecting and losing.


async def test_nobody_there_is_an_exception() -> None:
    async with TinyServer().serving() as server:
        url = server.url
    with pytest.raises(ConnectionLost, match="expected a server at ws://127"):
        await SpeechClient(url).__aenter__()


async def test_a_server_that_does_not_answer_is_an_exception() -> None:
    async def silent(socket: Any) -> None:
        await socket.wait_closed()

    async with serve(silent, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        with pytest.raises(ConnectionLost) as caught:
            await SpeechClient(f"ws://127.0.0.1:{port}", open_timeout_s=0.1).__aenter__()
    assert caught.value.code is ErrorCode.TIMEOUT


async def test_a_wrong_token_is_an_exception() -> None:
    async with TinyServer(token="right").serving() as server:
        with pytest.raises(SpeechError, match="expected the key") as caught:
            await SpeechClient(server.url, token="wrong").__aenter__()
    assert caught.value.code is ErrorCode.UNAUTHORIZED


async def test_a_stranger_is_an_exception() -> None:
    async with TinyServer(raw_after_hello=b"\xc1").serving() as server:
        with pytest.raises(ConnectionLost, match="expected one msgpack map"):
            await SpeechClient(server.url).__aenter__()


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        ("crash", ErrorCode.INTERNAL),
        ("fatal", ErrorCode.BUSY),
        ("disorder", ErrorCode.BAD_STATE),
    ],
)
async def test_a_lost_connection_ends_every_speech(server: TinyServer, voice: str, code: ErrorCode) -> None:
    async with SpeechClient(server.url, resume=False) as client:
        other, speech = client.speak(voice="endless"), client.speak(voice=voice)
        asking = asyncio.ensure_future(client.ping()) if voice == "crash" else None
        await speech.write("ab")
        for each in (speech, other):
            with pytest.raises(ConnectionLost) as caught:
                await heard_from(each)
            assert caught.value.code is code
        for late in (lambda: client.speak("c"), client.ping):
            with pytest.raises(ConnectionLost):
                await late()  # type: ignore[misc]
        if asking is not None:
            await asyncio.wait([asking])
        other.cancel()


async def test_a_message_of_a_later_version_does_no_harm(client: SpeechClient) -> None:
    assert await heard_from(client.speak(deltas("ab", "c"), voice="garbage")) == "abc"


async def test_a_ping_without_answer_ends_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.link.CLOSE_TIMEOUT_S", 0.05)
    async with talking(token="deaf") as (_, client):
        asking = [asyncio.ensure_future(client.ping()) for _ in range(2)]
        await asyncio.sleep(0)
        asking[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[0]
    with pytest.raises(ConnectionLost):
        await asking[1]


async def test_a_goodbye_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.link.CLOSE_TIMEOUT_S", 0.05)
    async with talking(token="deaf") as (_, client):
        speech = client.speak(voice="endless")
    with pytest.raises(ConnectionLost, match="one that was left"):
        await speech.finished()


async def test_leaving_the_client_by_an_exception_lets_it_out(server: TinyServer) -> None:
    async def leave() -> None:
        async with SpeechClient(server.url) as client:
            client.speak(deltas("a"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await leave()
    await until(lambda: server.num_closed == 1)
