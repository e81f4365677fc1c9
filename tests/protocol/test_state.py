"""The tables are whole, and an illegal message changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import ErrorCode, LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.messages import CLIENT_TYPES, SERVER_TYPES, Cancel, End, Error, Flush, Hello, Resume, Start, Text
from protocol.state import (
    INPUT,
    OUTPUT,
    SESSION,
    WITHOUT_EFFECT,
    Event,
    InputState,
    OutputState,
    Session,
    SessionState,
    Special,
    UtteranceState,
    event_of,
)
from tests.protocol.pair import make_audio, make_done, make_ready, make_segment, make_started

EVENTS: dict[Event, Any] = {
    **{event: object.__new__(event) for event in (*CLIENT_TYPES.values(), *SERVER_TYPES.values())},
    Hello: Hello(),
    Special.HELLO_RESUME: Hello(resume=Resume(session="s", token="t")),
    Start: Start(utterance="u"),
    Special.ONE_SHOT: Start(utterance="u", end=True),
    Error: Error(code=ErrorCode.BUSY, message=""),
    Special.FATAL_ERROR: Error(code=ErrorCode.BUSY, message="", fatal=True),
    Special.RESUME_FAILED: Error(code=ErrorCode.RESUME_FAILED, message=""),
}
BLAME = pytest.mark.parametrize("blame", [LocalProtocolError, RemoteProtocolError])


def test_every_state_has_a_row() -> None:
    assert SESSION.keys() == set(SessionState)
    assert INPUT.keys() == set(InputState)
    assert OUTPUT.keys() == set(OutputState)


def test_every_message_moves_the_session_somewhere() -> None:
    assert {event for row in SESSION.values() for event in row} == EVENTS.keys()


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_every_message_stands_in_its_own_row(event: Event) -> None:
    assert event_of(EVENTS[event]) == event


@BLAME
@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_the_session_follows_its_table(event: Event, state: SessionState, blame: type[ProtocolError]) -> None:
    session = Session()
    session.state = state
    if event in SESSION[state]:
        session.advance(EVENTS[event], blame)
        assert session.state is SESSION[state][event]
        return
    with pytest.raises(blame, match=f"a session that is {state.name.lower()}") as caught:
        session.advance(EVENTS[event], blame)
    assert caught.value.code is ErrorCode.BAD_STATE
    assert session.state is state


@BLAME
@pytest.mark.parametrize("state", InputState)
@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_the_input_follows_its_table(event: Event, state: InputState, blame: type[ProtocolError]) -> None:
    utterance = UtteranceState(Start(utterance="u"))
    utterance.input = state
    if event in INPUT[state]:
        effective = utterance.client_says(EVENTS[event], blame, "u")
        assert effective is not (state is InputState.CANCELLED and event in WITHOUT_EFFECT)
        assert utterance.input is INPUT[state][event]
        return
    with pytest.raises(blame) as caught:
        utterance.client_says(EVENTS[event], blame, "u")
    assert caught.value.utterance == "u"
    assert utterance.input is state


@BLAME
@pytest.mark.parametrize("state", OutputState)
@pytest.mark.parametrize("message", [make_started(), make_segment(), make_audio(), make_done()], ids=lambda m: type(m))
def test_the_output_follows_its_table(message: Any, state: OutputState, blame: type[ProtocolError]) -> None:
    utterance = UtteranceState(Start(utterance="u"))
    utterance.output = state
    if type(message) in OUTPUT[state]:
        utterance.server_says(message, blame, "u")
        assert utterance.output is OUTPUT[state][type(message)]
        return
    with pytest.raises(blame) as caught:
        utterance.server_says(message, blame, "u")
    assert caught.value.code is ErrorCode.BAD_STATE
    assert utterance.output is state


def test_a_start_with_its_end_is_ended() -> None:
    assert UtteranceState(Start(utterance="u", end=True)).input is InputState.ENDED
    assert UtteranceState(Start(utterance="u", end=False)).input is InputState.OPEN


def test_the_sentence_names_what_was_expected_and_what_came() -> None:
    utterance = UtteranceState(Start(utterance="u", end=True))
    with pytest.raises(RemoteProtocolError) as caught:
        utterance.client_says(Text(utterance="u", text=""), RemoteProtocolError, "u")
    assert caught.value.message == "expected format, playhead, cancel for an utterance whose text is ended, got text"
    session = Session()
    session.state = SessionState.CLOSED
    with pytest.raises(LocalProtocolError, match="expected nothing for a session that is closed, got ready"):
        session.advance(make_ready(), LocalProtocolError)


def test_only_what_a_slow_writer_sends_is_without_effect() -> None:
    assert {Text, Flush, End} < WITHOUT_EFFECT
    assert Cancel not in WITHOUT_EFFECT
