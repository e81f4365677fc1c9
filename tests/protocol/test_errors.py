"""Errors know what to say, and what to close with."""

from __future__ import annotations

import pytest

from protocol.errors import (
    CLOSE_CODES,
    CloseCode,
    ConnectionLost,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    SpeechError,
)


def test_an_error_is_somebodys_fault() -> None:
    with pytest.raises(TypeError, match="LocalProtocolError or RemoteProtocolError"):
        ProtocolError(ErrorCode.INTERNAL, "whose?")


@pytest.mark.parametrize("blame", [LocalProtocolError, RemoteProtocolError])
def test_an_error_carries_what_its_message_will_say(blame: type[ProtocolError]) -> None:
    error = blame(ErrorCode.BUSY, "expected room", utterance="u", retry_after_ms=5)
    assert (error.code, error.message, error.utterance, error.fatal, error.retry_after_ms) == (
        ErrorCode.BUSY,
        "expected room",
        "u",
        False,
        5,
    )
    assert str(error) == "busy: expected room"


def test_an_error_closes_by_its_code_unless_it_is_told_otherwise() -> None:
    assert RemoteProtocolError(ErrorCode.BUSY, "").close_code is CloseCode.BUSY
    assert RemoteProtocolError(ErrorCode.UNAUTHORIZED, "").close_code is CloseCode.POLICY
    assert RemoteProtocolError(ErrorCode.BUSY, "", close_code=CloseCode.REPLACED).close_code is CloseCode.REPLACED
    assert set(CLOSE_CODES.values()) <= set(CloseCode)


def test_an_error_can_become_fatal() -> None:
    error = RemoteProtocolError(ErrorCode.BAD_MESSAGE, "")
    error.make_fatal(CloseCode.POLICY)
    assert error.fatal
    assert error.close_code is CloseCode.POLICY


def test_a_lost_connection_is_a_speech_error() -> None:
    error = ConnectionLost(ErrorCode.BUSY, "expected room", retry_after_ms=7)
    assert isinstance(error, SpeechError)
    assert str(error) == "busy: expected room"
    assert error.retry_after_ms == 7
