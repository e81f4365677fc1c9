"""The connection: what each side may send when, and what becomes of what it may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from protocol.connection import Connection, Received, Side
from protocol.errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.journal import Journal
from protocol.ledger import Ledger
from protocol.messages import (
    Audio,
    Cancel,
    Close,
    Done,
    Drain,
    End,
    Error,
    Hello,
    Limits,
    Ping,
    Playhead,
    Pong,
    Resume,
    Spoken,
    Start,
    Text,
)
from protocol.state import SessionState
from protocol.wire import Encoding
from tests.protocol.pair import (
    Pair,
    make_audio,
    make_done,
    make_ready,
    make_segment,
    make_started,
    refuses_to_send,
    refuses_to_take,
)

RESUME = Resume(session="session-1", token="token-1")


@pytest.fixture
def pair() -> Pair:
    return Pair().open()


def raw(**message: Any) -> bytes:
    return msgpack.packb(message)


# Opening.


@pytest.mark.parametrize("encoding", Encoding)
def test_server_answers_in_the_encoding_of_the_hello(encoding: Encoding) -> None:
    pair = Pair(encoding=encoding)
    pair.client_sends(Hello())
    assert isinstance(pair.server.send(make_ready()), str if encoding is Encoding.JSON else bytes)


def test_server_takes_the_other_encoding_at_any_time(pair: Pair) -> None:
    assert pair.server.receive('{"type":"ping"}') == Received(Ping(), ())
    assert isinstance(pair.server.send(Pong(server_ms=0.0)), bytes)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (raw(type="ping"), ErrorCode.BAD_STATE),
        (b"\xc1", ErrorCode.BAD_MESSAGE),
        (raw(type="hullo"), ErrorCode.UNKNOWN_TYPE),
        (raw(type="hello", version=2), ErrorCode.UNSUPPORTED_VERSION),
        (raw(type="hello", lead_ms=-1), ErrorCode.BAD_VALUE),
        (raw(type="hello", audio={"codec": "mp3"}), ErrorCode.UNSUPPORTED_FORMAT),
        (raw(type="text", utterance="u", text=5), ErrorCode.BAD_VALUE),
    ],
)
def test_every_fault_before_hello_is_fatal(data: bytes, code: ErrorCode) -> None:
    server = Connection(Side.SERVER)
    error = refuses_to_take(server.receive, data, code)
    assert error.fatal
    assert error.close_code is CloseCode.BAD_OPENING


def test_every_fault_before_ready_is_fatal() -> None:
    pair = Pair()
    pair.client_sends(Hello())
    assert refuses_to_take(pair.server.receive, raw(type="end", utterance="u"), ErrorCode.UNKNOWN_UTTERANCE).fatal
    error = refuses_to_take(pair.server.receive, b"x" * 65_537, ErrorCode.TOO_LARGE)
    assert error.close_code is CloseCode.TOO_LARGE


def test_a_client_may_send_on_before_ready() -> None:
    pair = Pair()
    for message in (Hello(), Start(utterance="u"), Text(utterance="u", text="a"), Playhead(utterance="u"), Ping()):
        assert pair.client_sends(message) == message
    pair.server_sends(make_ready())
    assert pair.server_sends(make_started()) == make_started()


def test_a_client_that_resumes_waits_for_ready() -> None:
    pair = Pair()
    pair.client_sends(Hello(resume=RESUME))
    refuses_to_send(pair.client.send, Ping(), ErrorCode.BAD_STATE)
    assert refuses_to_take(pair.server.receive, raw(type="ping"), ErrorCode.BAD_STATE).fatal


def test_a_second_hello_is_refused_and_the_session_lives(pair: Pair) -> None:
    refuses_to_send(pair.client.send, Hello(), ErrorCode.BAD_STATE)
    assert not refuses_to_take(pair.server.receive, raw(type="hello", version=1), ErrorCode.BAD_STATE).fatal
    assert pair.server.state is SessionState.READY


def test_server_says_nothing_but_ready_first() -> None:
    pair = Pair()
    pair.client_sends(Hello())
    for message in (Drain(deadline_ms=1), Pong(server_ms=0.0), Error(code=ErrorCode.BUSY, message="")):
        refuses_to_send(pair.server.send, message, ErrorCode.BAD_STATE)
    assert refuses_to_take(pair.client.receive, raw(type="drain", deadline_ms=1), ErrorCode.BAD_STATE).fatal
    pair.server_sends(make_ready())
    refuses_to_send(pair.server.send, make_ready(), ErrorCode.BAD_STATE)


def test_a_client_is_told_of_a_fatal_refusal() -> None:
    pair = Pair()
    pair.client_sends(Hello())
    refusal = Error(code=ErrorCode.UNAUTHORIZED, message="no", fatal=True)
    assert pair.server_sends(refusal) == refusal
    assert pair.client.state is pair.server.state is SessionState.CLOSED


def test_the_servers_limits_become_the_clients() -> None:
    pair = Pair(limits=Limits(message_bytes=100)).open()
    assert pair.client.limits == pair.server.limits == Limits(message_bytes=100)
    pair.start()
    refuses_to_send(pair.client.send, Text(utterance="u", text="x" * 100), ErrorCode.TOO_LARGE)
    assert pair.client_sends(Text(utterance="u", text="short"))
    assert refuses_to_take(pair.server.receive, b"x" * 101, ErrorCode.TOO_LARGE).fatal


# Sides.


def test_neither_side_speaks_for_the_other(pair: Pair) -> None:
    refuses_to_send(pair.client.send, Drain(deadline_ms=1), ErrorCode.BAD_STATE)
    refuses_to_send(pair.server.send, Ping(), ErrorCode.BAD_STATE)
    refuses_to_take(pair.server.receive, raw(type="drain", deadline_ms=1), ErrorCode.UNKNOWN_TYPE)
    refuses_to_take(pair.client.receive, raw(type="ping"), ErrorCode.UNKNOWN_TYPE)


def test_each_side_keeps_its_own_book() -> None:
    for side, book in ((Side.SERVER, Journal()), (Side.CLIENT, Ledger())):
        with pytest.raises(TypeError, match=side.value):
            Connection(side, ledger=book)
    with pytest.raises(AssertionError):
        _ = Connection(Side.CLIENT).ledger
    with pytest.raises(AssertionError):
        _ = Connection(Side.SERVER).journal


# Utterances.


def test_one_utterance_from_start_to_done(pair: Pair) -> None:
    pair.start(text="hi").speak(patches=2)
    assert pair.client_sends(End(utterance="u")) == End(utterance="u")
    assert pair.server_sends(make_done(samples=8)).seq == 2
    assert pair.client.journal.live == pair.server.ledger.live == ()


def test_server_rejects_text_after_end(pair: Pair) -> None:
    pair.start(text="hi", end=True)
    error = refuses_to_take(pair.server.receive, raw(type="text", utterance="u", text="more"), ErrorCode.BAD_STATE)
    assert error.utterance == "u"
    assert not error.fatal
    assert pair.server_sends(make_done()).reason == "end"


def test_messages_for_a_refused_start_are_ignored_and_counted(pair: Pair) -> None:
    up = [pair.client.send(m) for m in (Start(utterance="u", voice="x"), Text(utterance="u", text="a"))]
    assert pair.server.receive(up[0]) is not None
    pair.server_sends(Error(code=ErrorCode.UNKNOWN_VOICE, message="no", utterance="u"))
    assert pair.server.receive(up[1]) is None
    assert pair.server.ledger.num_ignored == 1
    assert pair.start("u").server.ledger.live == ("u",)


def test_messages_for_a_start_that_could_not_be_read_are_ignored(pair: Pair) -> None:
    assert not refuses_to_take(
        pair.server.receive, raw(type="start", utterance="u", speed=9), ErrorCode.BAD_VALUE
    ).fatal
    assert pair.server.receive(raw(type="text", utterance="u", text="a")) is None
    refuses_to_take(pair.server.receive, raw(type="text", utterance="v", text=1), ErrorCode.BAD_VALUE)
    refuses_to_take(pair.server.receive, raw(type="text", utterance="v", text="a"), ErrorCode.UNKNOWN_UTTERANCE)


def test_unknown_keys_are_told_apart() -> None:
    received = Connection(Side.SERVER).receive(raw(type="hello", version=1, x=1, audio={"y": 2}))
    assert received is not None
    assert received.unknown == ("x", "audio.y")


def test_server_refuses_to_send_audio_out_of_turn(pair: Pair) -> None:
    pair.start()
    refuses_to_send(pair.server.send, make_audio(), ErrorCode.BAD_STATE)
    pair.server_sends(make_segment())
    refuses_to_send(pair.server.send, make_audio(pts=1), ErrorCode.BAD_VALUE)
    assert pair.server_sends(make_audio(pts=0)).seq == 0


def test_too_many_utterances_are_refused_by_the_server() -> None:
    server = Pair(limits=Limits(utterances=1)).open().server
    server.receive(raw(type="start", utterance="a"))
    refuses_to_take(server.receive, raw(type="start", utterance="b"), ErrorCode.TOO_MANY_UTTERANCES)


def test_cancelled_utterance_ignores_its_slow_writer(pair: Pair) -> None:
    pair.start()
    late = pair.client.send(Text(utterance="u", text="a"))
    pair.client_sends(Cancel(utterance="u"))
    assert pair.server.receive(late) is None


def test_a_failed_send_changes_nothing(pair: Pair) -> None:
    pair.start()
    for _ in range(2):
        refuses_to_send(pair.client.send, Text(utterance="u", text="\ud800"), ErrorCode.BAD_VALUE)
    assert pair.client.journal.pages["u"].text_chars == 0
    assert pair.client_sends(End(utterance="u"))


def test_a_disordered_server_is_a_fatal_fault(pair: Pair) -> None:
    pair.start()
    (data,) = pair.server.resend([Audio(utterance="u", seq=7, pts=0, samples=0, data=b"")])
    assert refuses_to_take(pair.client.receive, data, ErrorCode.BAD_STATE).fatal


# Faults.


def test_undecodable_messages_are_forgiven_up_to_a_number() -> None:
    server = Pair(limits=Limits(errors=2)).open().server
    for _ in range(2):
        assert not refuses_to_take(server.receive, b"\xc1", ErrorCode.BAD_MESSAGE).fatal
        assert not refuses_to_take(server.receive, raw(type="sing"), ErrorCode.UNKNOWN_TYPE).fatal
    error = refuses_to_take(server.receive, b"\xc1", ErrorCode.BAD_MESSAGE)
    assert error.fatal
    assert error.close_code is CloseCode.POLICY
    assert server.num_errors == 3


# Closing.


def test_nothing_is_said_or_heard_after_close(pair: Pair) -> None:
    pair.start()
    pair.client_sends(Close())
    refuses_to_send(pair.client.send, Ping(), ErrorCode.BAD_STATE)
    refuses_to_send(pair.server.send, make_done(), ErrorCode.BAD_STATE)
    assert pair.server.receive(b"\xc1") is None
    assert pair.client.receive(b"whatever crossed") is None


# Resuming.


def test_a_session_is_resumed_without_loss_or_repetition() -> None:
    pair = Pair().open().start(text="ab").speak(patches=2)
    lost_up = pair.client.send(Text(utterance="u", text="cd"))
    lost_down = [pair.server.send(make_audio(pts=4 * index)) for index in (2, 3)]
    assert lost_up
    assert lost_down

    again = pair.cut()
    ledger = again.server.ledger
    again.server_sends(make_ready(resumed=True, client_messages=ledger.client_messages, resume_token="token-2"))
    assert again.client.unsettled == (Text(utterance="u", text="cd"),)
    replay = ledger.replay({"u": 2})
    heard = [again.client.receive(data) for data in again.server.resend(replay.messages)]
    assert [received and received.message.seq for received in heard] == [2, 3]
    for data in again.client.resend(again.client.unsettled):
        assert again.server.receive(data) == Received(Text(utterance="u", text="cd"), ())
    assert ledger.client_messages == 1
    again.client_sends(End(utterance="u"))
    again.speak(from_patch=4, patches=1)
    assert again.server_sends(make_done(samples=20)).seq == 5


def test_held_messages_come_again_in_the_new_connections_encoding() -> None:
    pair = Pair().open().start().speak(patches=1)
    original = pair.server.ledger.replay({"u": 0}).messages
    again = Connection(Side.SERVER)
    again.receive('{"type":"hello","version":1,"resume":{"session":"s","token":"t","received":{"u":0}}}')
    again.resume(pair.server.ledger)
    assert all(isinstance(data, str) for data in again.resend(original))
    binary = Connection(Side.SERVER)
    assert [*binary.resend(original)] == [*pair.server.resend(original)]


def test_only_a_session_that_resumes_can_be_given_a_ledger(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError, match="expected a session that is resuming, got one that is ready"):
        pair.server.resume(Ledger())


def test_a_failed_resume_is_not_fatal_and_a_fresh_session_follows() -> None:
    first = Pair().open().start()
    pair = Pair(journal=first.client.journal)
    pair.client_sends(Hello(resume=RESUME))
    pair.server_sends(Error(code=ErrorCode.RESUME_FAILED, message="expired"))
    assert pair.client.journal.live == ()
    assert first.client.journal.live == ("u",)
    pair.server_sends(make_ready())
    assert pair.client.unsettled == ()
    assert pair.start("v").client.journal.live == ("v",)


def test_a_fresh_session_in_place_of_a_resumed_one_loses_the_utterances() -> None:
    first = Pair().open().start()
    pair = Pair(journal=first.client.journal)
    pair.client_sends(Hello(resume=RESUME))
    pair.server_sends(make_ready())
    assert pair.client.journal.live == ()
    assert first.client.journal.live == ("u",)


def test_a_resumed_session_that_nobody_asked_for_is_a_fault() -> None:
    pair = Pair()
    pair.client_sends(Hello())
    (data,) = pair.server.resend([make_ready(resumed=True)])
    assert isinstance(refuses_to_take(pair.client.receive, data, ErrorCode.BAD_VALUE), RemoteProtocolError)


def test_what_a_resume_repeats_is_not_told_twice() -> None:
    pair = Pair().open().start()
    pair.server_sends(make_segment())
    again = pair.cut()
    again.server_sends(make_ready(resumed=True))
    repeated = [*again.server.resend(again.server.ledger.replay({"u": 0}).messages)]
    assert [again.client.receive(data) for data in repeated] == [None, None]


FAILURE = Error(code=ErrorCode.ENGINE_FAILED, message="", utterance="u")


def resumed(pair: Pair, wanted: int) -> list[bytes | str]:
    """The connection is lost; what the server sends to `pair.client`, the new one, from its `ready` on."""
    again = pair.cut()
    pair.client = again.client
    replay = pair.server.ledger.replay({"u": wanted})
    return [again.server.send(make_ready(resumed=True)), *again.server.resend(replay.messages)]


def stopped(samples: int) -> Done:
    nothing = Spoken(text_end=0, pts=0, mid_word=False, estimated=True, text="", remaining="")
    return make_done(samples=samples, reason="error", spoken=nothing)


def test_who_was_away_while_an_utterance_was_stopped_gets_its_end_without_its_sound() -> None:
    pair = Pair().open().start().speak(patches=1)
    pair.server.send(make_segment(index=1, pts=4))
    for message in (make_audio(pts=4), FAILURE, make_audio(pts=8), stopped(12)):
        pair.server.send(message)
    _, *heard = [pair.client.receive(data) for data in resumed(pair, 1)]
    assert [(type(received.message), received.message.seq) for received in heard if received] == [(Error, 2), (Done, 3)]
    assert pair.client.journal.live == ()


def test_what_a_stopped_utterance_no_longer_brings_is_not_taken_for_repeated() -> None:
    pair = Pair().open().start().speak(patches=1)
    pair.server_sends(make_segment(index=1, pts=4))
    pair.server.send(FAILURE)
    pair.server.send(stopped(4))
    _, *heard = [pair.client.receive(data) for data in resumed(pair, 1)]
    assert [type(received.message) for received in heard if received] == [Error, Done]


def test_an_error_of_a_stopped_utterance_is_told_once() -> None:
    pair = Pair().open().start().speak(patches=1)
    for message in (make_audio(pts=4), FAILURE, stopped(8)):
        pair.server.send(message)
    ready, error, _ = resumed(pair, 1)
    for data in (ready, error):
        pair.client.receive(data)
    assert pair.client.journal.received == {"u": 2}
    _, again, done = [pair.client.receive(data) for data in resumed(pair, 2)]
    assert again is None
    assert done
    assert done.message.samples == 8


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (make_done(samples=8), "expected seq 1, got 2"),
        (make_audio(pts=4), "expected seq 1, got 2"),
        (make_segment(), "expected seq 1, got 2"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_after_a_resume_nothing_else_may_leave_sound_out(message: Any, sentence: str) -> None:
    pair = Pair().open().start().speak(patches=1)
    ready, *_ = resumed(pair, 1)
    pair.client.receive(ready)
    (data,) = pair.server.resend([replace(message, seq=2)])
    assert refuses_to_take(pair.client.receive, data, ErrorCode.BAD_STATE).message == sentence


def test_no_sound_follows_where_sound_was_left_out() -> None:
    pair = Pair().open().start().speak(patches=1)
    ready, *_ = resumed(pair, 1)
    audio = replace(make_audio(pts=8), seq=2)
    for data in (ready, *pair.server.resend([replace(FAILURE, seq=2)])):
        pair.client.receive(data)
    (data,) = pair.server.resend([audio])
    assert "expected pts 4" in refuses_to_take(pair.client.receive, data, ErrorCode.BAD_STATE).message


def test_a_start_that_cannot_be_decoded_is_neither_refused_nor_counted(pair: Pair) -> None:
    seed = msgpack.Timestamp(1, 0)
    with pytest.raises(RemoteProtocolError) as refused:
        pair.server.receive(raw(type="start", utterance="u", seed=seed))
    assert (refused.value.code, refused.value.utterance) == (ErrorCode.BAD_MESSAGE, None)
    assert pair.server.ledger.client_messages == 0
    assert not pair.server.ledger.knows("u")
    assert pair.server.num_errors == 1


def test_a_message_that_comes_while_the_session_is_sought_counts_for_nothing() -> None:
    pair = Pair().open().start()
    ledger = pair.server.ledger
    again = Connection(Side.SERVER)
    again.receive(raw(type="hello", version=1, resume={"session": "s", "token": "t", "received": {}}))
    again.resume(ledger)
    refuses_to_take(again.receive, raw(type="flush", utterance="u"), ErrorCode.BAD_STATE)
    assert ledger.client_messages == 1
