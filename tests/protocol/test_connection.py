"""The connection: what each side may send when, and what becomes of what it may not."""

from __future__ import annotations

import msgpack
import pytest

from protocol.connection import Connection, Received, Side
from protocol.errors import CloseCode, ErrorCode, RemoteProtocolError
from protocol.messages import Cancel, End, Error, Hello, Limits, Start, Text
from protocol.state import SessionState
from protocol.wire import Encoding
from tests.protocol.pair import Pair, make_audio, make_done, make_ready, refuses_to_send


@pytest.fixture
def pair() -> Pair:
    return Pair().open()


@pytest.mark.parametrize("encoding", Encoding)
def test_server_answers_in_the_encoding_of_the_hello(encoding: Encoding) -> None:
    pair = Pair(encoding=encoding)
    pair.client_sends(Hello())
    assert isinstance(pair.server.send(make_ready()), str if encoding is Encoding.JSON else bytes)


def test_one_utterance_from_start_to_done(pair: Pair) -> None:
    pair.start(text="hi").speak(patches=2)
    assert pair.client_sends(End(utterance="u")) == End(utterance="u")
    assert pair.server_sends(make_done(samples=8)).seq == 2
    assert pair.client.journal.live == pair.server.ledger.live == ()


def test_first_message_that_is_no_hello_is_fatal() -> None:
    server = Connection(Side.SERVER)
    with pytest.raises(RemoteProtocolError) as caught:
        server.receive(msgpack.packb({"type": "ping"}))
    assert caught.value.fatal
    assert caught.value.close_code is CloseCode.BAD_OPENING


def test_server_rejects_text_after_end(pair: Pair) -> None:
    pair.start(text="hi", end=True)
    late = msgpack.packb({"type": "text", "utterance": "u", "text": "more"})
    with pytest.raises(RemoteProtocolError) as caught:
        pair.server.receive(late)
    assert caught.value.code is ErrorCode.BAD_STATE
    assert caught.value.utterance == "u"
    assert not caught.value.fatal
    assert pair.server.state is SessionState.READY


def test_messages_for_a_refused_start_are_ignored_and_counted(pair: Pair) -> None:
    up = [pair.client.send(m) for m in (Start(utterance="u", voice="x"), Text(utterance="u", text="a"))]
    assert pair.server.receive(up[0]) is not None
    pair.server_sends(Error(code=ErrorCode.UNKNOWN_VOICE, message="no", utterance="u"))
    assert pair.server.receive(up[1]) is None
    assert pair.server.ledger.num_ignored == 1
    assert pair.start("u")


def test_unknown_keys_are_told_apart() -> None:
    server = Connection(Side.SERVER)
    data = msgpack.packb({"type": "hello", "version": 1, "x": 1, "audio": {"y": 2}})
    received = server.receive(data)
    assert isinstance(received, Received)
    assert received.unknown == ("x", "audio.y")


def test_server_refuses_to_send_audio_out_of_turn(pair: Pair) -> None:
    pair.start()
    refuses_to_send(pair.server.send, make_audio(), ErrorCode.BAD_STATE)


def test_too_many_utterances_are_refused_by_the_server() -> None:
    pair = Pair(limits=Limits(utterances=1))
    pair.client_sends(Hello())
    pair.client_sends(Start(utterance="a"))
    with pytest.raises(RemoteProtocolError) as caught:
        pair.client_sends(Start(utterance="b"))
    assert caught.value.code is ErrorCode.TOO_MANY_UTTERANCES


def test_cancelled_utterance_ignores_its_slow_writer(pair: Pair) -> None:
    pair.start()
    late = pair.client.send(Text(utterance="u", text="a"))
    pair.client_sends(Cancel(utterance="u"))
    assert pair.server.receive(late) is None
