"""Utterances that the server has forgotten, and what their user hears of it."""

from __future__ import annotations

import asyncio

import pytest

from protocol.client import SpeechClient
from protocol.errors import ConnectionLost, ErrorCode, LocalProtocolError, SpeechError
from protocol.messages import AudioFormat, Cancel, Drain, Error, Limits, Playhead, Start, Text
from protocol.reconnect import LinkReport
from protocol.told import Restart
from tests.protocol.test_client import heard_from, until
from tests.protocol.tiny_server import TinyServer
from tests.protocol.tiny_voice import said


async def lose_session(server: TinyServer, client: SpeechClient) -> None:
    """The server is another when the client comes back."""
    server.forget()
    server.drop()
    num_sessions = server.num_sessions
    await until(lambda: server.num_sessions > num_sessions and client._link._is_up)


async def test_a_forgotten_utterance_goes_on_at_the_first_word_that_was_not_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports: list[LinkReport] = []
    async with TinyServer().serving() as server, SpeechClient(server.url, on_link=reports.append) as client:
        speech = client.speak(utterance="mine", speed=1.5, params={"x": 1.0})
        await speech.write("abc")
        await until(lambda: speech.buffered_bytes == 24)
        await lose_session(server, client)
        await speech.write("de")
        speech.end()
        chunks = [chunk async for chunk in speech]
        assert said([chunk.pcm or b"" for chunk in chunks]) == "abcde"
        assert [(chunk.seq, chunk.pts) for chunk in chunks] == [(at, 4 * at) for at in range(5)]
        assert [chunk.new_run for chunk in chunks] == [True, False, False, True, False]
        assert speech.restarts == (Restart(text_start=3, pts=12, estimated=True),)
        assert [(one.index, one.text_start, one.text_end, one.pts) for one in speech.segments] == [
            (0, 0, 3, 0),
            (1, 3, 5, 12),
        ]
        assert [word.text_start for word in speech.words] == [0, 1, 2, 3, 4]
        done = await speech.finished()
        assert (done.utterance, done.samples, done.text_chars, done.seq) == ("mine", 20, 5, 5)
        again = server.heard_of(Start)[-1]
        assert (again.utterance, again.voice, again.seed, again.speed) == ("mine~1", "plain", 1, 1.5)
        assert reports[-1] == LinkReport(state="restarted")
        assert client.num_resumes == 0
    assert "utterance mine begun anew at code point 3" in caplog.text


async def test_an_utterance_is_forgotten_as_often_as_the_server_likes() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak()
        for at, part in enumerate(("ab", "cd", "ef")):
            await speech.write(part)
            await until(lambda at=at: speech.buffered_bytes == 16 * (at + 1))  # type: ignore[misc]
            await lose_session(server, client)
        speech.end()
        assert await heard_from(speech) == "abcdef"
        assert [restart.text_start for restart in speech.restarts] == [2, 4, 6]


async def test_what_was_never_begun_is_begun_and_nobody_need_know() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        server.forget()
        server.cut()
        await until(lambda: not client._link._is_up)
        first = client.speak("abc", utterance="first")
        second = client.speak("de", after="first")
        server.is_shut = False
        assert await heard_from(first) == "abc"
        assert await heard_from(second) == "de"
        assert first.restarts == second.restarts == ()
        start = server.heard_of(Start)[-1]
        assert start.after == "first~1"


async def test_an_utterance_of_which_all_was_heard_is_over() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="endless")
        await speech.write("ab.")
        speech.end()
        await until(lambda: speech.buffered_bytes == 24)
        await lose_session(server, client)
        assert await heard_from(speech) == "ab."
        assert speech.done is not None
        assert (speech.done.reason, speech.done.samples, speech.restarts) == ("end", 12, ())


async def test_a_cancelled_utterance_is_not_begun_anew() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        told, preempted = client.speak(voice="endless"), client.speak(voice="endless")
        await told.write("ab")
        await until(lambda: told.buffered_bytes == 16 and preempted.started)
        server.forget()
        server.cut()
        await until(lambda: not client._link._is_up)
        async for _ in told:
            told.cancel(played=3)
            break
        client._link.journal.cancel_all()  # as a `started` of one that preempts does
        server.is_shut = False
        done = await told.finished()
        assert done.reason == "cancelled"
        assert done.spoken is not None
        assert (done.spoken.text, done.spoken.remaining, done.spoken.mid_word) == ("a", "b", True)
        assert (await preempted.finished()).reason == "cancelled"
        assert len(server.heard_of(Start)) == 2


async def test_where_the_listener_is_counts_from_the_joint() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak()
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        taken = aiter(speech)
        await anext(taken)
        speech.heard(3)
        await lose_session(server, client)
        await speech.write("cd")
        await until(lambda: speech.buffered_bytes == 24)
        speech.heard(10)
        speech.cancel(played=11)
        heard = [chunk async for chunk in taken]
        assert len(heard) == 3
        (cancel,) = server.heard_of(Cancel)
        assert (cancel.utterance, cancel.played) == ("u1~1", 3)
        told = [
            (message.played, message.received)
            for message in server.heard_of(Playhead)
            if message.utterance == "u1~1" and message.played is not None
        ]
        assert told == [(0, 0), (2, 0)]
        assert speech.done is not None
        assert speech.done.spoken is not None
        assert speech.done.spoken.text == "abcd"


async def test_after_names_an_utterance_of_an_earlier_session() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        assert await heard_from(client.speak("ab", utterance="old")) == "ab"
        live = client.speak(utterance="live")
        await live.write("c")
        await lose_session(server, client)
        assert await heard_from(client.speak("d", after="old")) == "d"
        waiting = client.speak("e", after="live")
        await waiting.finished()
        assert [start.after for start in server.heard_of(Start)[-2:]] == [None, "live~1"]
        live.cancel()


async def test_a_server_with_tighter_limits_refuses_what_is_left() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="lazy")
        await speech.write("abcd")
        server.limits = Limits(text_chars=3)
        await lose_session(server, client)
        with pytest.raises(SpeechError) as caught:
            await speech.finished()
        assert caught.value.code is ErrorCode.TEXT_LIMIT
        server.limits = Limits(text_chars=300, utterances=0)
        other = client.speak(voice="lazy")
        await lose_session(server, client)
        with pytest.raises(SpeechError) as caught:
            await other.finished()
        assert caught.value.code is ErrorCode.TOO_MANY_UTTERANCES


async def test_a_start_that_the_other_server_refuses_is_an_exception() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="lazy")
        await until(lambda: speech.started)
        server.refused_voice = "lazy"
        await lose_session(server, client)
        with pytest.raises(SpeechError) as caught:
            await speech.finished()
        assert caught.value.code is ErrorCode.UNKNOWN_VOICE


async def test_what_a_server_breaks_off_as_it_leaves_goes_on_with_the_next() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech, quiet = client.speak(voice="drained"), client.speak(voice="lazy")
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        await server.say(Drain(deadline_ms=1000))
        speech.flush()
        await server.break_off(speech.wire_id)
        await server.break_off(quiet.wire_id)
        await client.ping()
        await speech.write("cd")
        speech.end()
        quiet.cancel()
        assert (await quiet.finished()).reason == "cancelled"
        server.forget()
        for socket in list(server.sockets):
            await socket.close(1001)
        assert await heard_from(speech) == "abcd"
        assert len(speech.restarts) == 1
        assert not speech.errors


@pytest.mark.parametrize("is_told", [False, True])
async def test_a_leaving_server_may_lose_the_connection_before_it_breaks_speech_off(is_told: bool) -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="drained")
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        await server.say(Drain(deadline_ms=1000))
        if is_told:
            await server.say(Error(code=ErrorCode.BUSY, message="expected more time", utterance=speech.wire_id))
        await client.ping()
        server.drop()
        await until(lambda: client.num_resumes == 1)
        await server.break_off(speech.wire_id, None if is_told else ErrorCode.BUSY)
        await client.ping()
        await speech.write("cd")
        speech.end()
        await lose_session(server, client)
        assert await heard_from(speech) == "abcd"
        assert len(speech.restarts) == 1


async def test_what_a_leaving_server_does_not_even_begin_is_begun_by_the_next() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        await client.ping()
        await server.say(Drain(deadline_ms=1000))
        server.refusal = ErrorCode.BUSY
        server.refused_voice = "plain"
        speech = client.speak("abc", voice="plain")
        await client.ping()
        server.refused_voice = ""
        server.forget()
        server.drop()
        assert await heard_from(speech) == "abc"


async def test_another_server_of_the_group_is_not_taken_for_one_that_leaves() -> None:
    async with TinyServer(reach="shared").serving() as server, SpeechClient(server.url) as client:
        await server.say(Drain(deadline_ms=1000))
        await client.ping()
        server.drop()
        await until(lambda: client.num_resumes == 1)
        server.refusal = ErrorCode.BUSY
        with pytest.raises(SpeechError, match="busy"):
            await client.speak("abc", voice="nobody").finished()


async def test_a_live_id_is_no_new_one_though_the_server_knows_another() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(utterance="mine")
        await until(lambda: speech.started)
        await lose_session(server, client)
        with pytest.raises(LocalProtocolError, match="expected a new utterance id, got mine again"):
            client.speak(utterance="mine")
        speech.cancel()


async def test_a_text_that_brings_one_server_down_after_the_other_is_given_up() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech, quiet = client.speak(voice="lazy"), client.speak(voice="lazy")
        await speech.write("abc")
        for number in range(1, 6):
            assert not speech.is_over
            await until(lambda number=number: len(server.heard_of(Start)) == 2 * number)  # type: ignore[misc]
            await client.ping()
            await lose_session(server, client)
        with pytest.raises(SpeechError, match="speaks on from 0, 5 were lost over it"):
            await speech.finished()
        assert len(quiet.restarts) == 5, "it has nothing to say yet"
        quiet.cancel()


async def test_what_may_still_be_in_a_coder_was_not_heard() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak()
        await speech.write("a")
        speech.change_format(AudioFormat(codec="opus"))
        await speech.write("b" * 1000)
        await until(lambda: speech.buffered_bytes == 8 * 1001)
        await lose_session(server, client)
        assert speech.restarts == (Restart(text_start=1001 - 441, pts=4 * (1001 - 441), estimated=True),)
        speech.cancel()


async def test_a_server_whose_time_runs_otherwise_is_no_help() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(utterance="mine")
        await until(lambda: speech.started)
        server.sample_rate = 24000
        await lose_session(server, client)
        with pytest.raises(SpeechError, match="speaks at 44100 Hz, got one at 24000 Hz"):
            await speech.finished()


async def test_a_writer_that_waits_for_room_is_let_go_when_all_is_lost() -> None:
    async with (
        TinyServer(limits=Limits(pending_chars=8)).serving() as server,
        SpeechClient(server.url, resume=False) as client,
    ):
        speech = client.speak(voice="lazy")
        await speech.write("1234")
        writing = asyncio.ensure_future(speech.write("5"))
        await asyncio.sleep(0.01)
        server.drop()
        async with asyncio.timeout(3):
            await writing


async def test_a_writer_that_waits_for_room_is_let_go_when_its_speech_is_cancelled_while_away() -> None:
    async with TinyServer(limits=Limits(pending_chars=8)).serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="lazy")
        await speech.write("1234")
        writing = asyncio.ensure_future(speech.write("5"))
        await asyncio.sleep(0.01)
        server.cut()
        await until(lambda: not client._link._is_up)
        speech.cancel()
        async with asyncio.timeout(3):
            await writing


async def test_what_was_cancelled_as_a_server_leaves_stays_so_though_no_other_comes() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="drained")
        await until(lambda: speech.started)
        await server.say(Drain(deadline_ms=1000))
        await server.break_off(speech.wire_id)
        await client.ping()
        speech.cancel()
        for socket in list(server.sockets):
            await socket.close(1008)
        with pytest.raises(ConnectionLost):
            await client.ping()
        assert (await speech.finished()).reason == "cancelled"


async def test_a_text_goes_on_in_smaller_pieces_where_messages_may_be_no_larger() -> None:
    async with TinyServer(limits=Limits(chars_per_s=400)).serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="lazy")
        await until(lambda: speech.started)
        writing = asyncio.ensure_future(speech.write(900 * "x"))
        await until(lambda: server.heard_of(Text))
        server.limits = Limits(message_bytes=1174, chars_per_s=10_000)
        await lose_session(server, client)
        async with asyncio.timeout(3):
            await writing
        assert speech.num_chars == 900
        assert {len(text.text) for text in server.heard_of(Text)} >= {400, 25}
        speech.cancel()


async def test_what_can_no_longer_be_replayed_is_begun_anew() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url) as client:
        speech = client.speak(voice="drained")
        await speech.write("ab")
        await until(lambda: speech.buffered_bytes == 16)
        await server.say(Error(code=ErrorCode.REPLAY_GAP, message="gone", utterance=speech.utterance))
        await server.break_off(speech.wire_id, code=None)
        await until(lambda: len(server.heard_of(Start)) == 2)
        await speech.write("cd")
        speech.end()
        assert await heard_from(speech) == "abcd"
        assert [restart.text_start for restart in speech.restarts] == [2]


async def test_without_resume_nothing_is_begun_anew() -> None:
    async with TinyServer().serving() as server, SpeechClient(server.url, resume=False) as client:
        speech = client.speak(voice="lazy")
        await until(lambda: speech.started)
        server.drop()
        with pytest.raises(ConnectionLost):
            await speech.finished()
        with pytest.raises(ConnectionLost):
            client.speak("x")
        assert not server.heard_of(Text)
