"""`python -m bench.fuzz`: for real and in small, in full, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from bench.fuzz import Fuzz, judged, main
from bench.fuzz_caller import Answer, Caller
from bench.fuzz_calls import schedule
from bench.fuzz_fields import Field, all_fields
from bench.fuzz_memory import READY
from bench.fuzz_messages import right_message
from bench.fuzz_mutations import MUTATIONS, UNDECODABLE, WELL_MADE, Due, mutated, written
from bench.websocket import BUFFER_BYTES, Address
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import CLIENT_TYPES, Hello, Start
from protocol.wire import decode_client


def told(num_messages: int, output: Path) -> dict[str, object]:
    assert main(["--messages", str(num_messages), "--output", str(output), "--seed", "7"]) == 0
    (path,) = output.iterdir()
    result: dict[str, object] = json.loads(path.read_text())
    assert (result["verdict"], result["faults"], result["tracebacks"]) == ("ok", 0, 0), result["fault_examples"]
    return result


def test_a_server_that_is_told_nonsense_answers_and_its_neighbours_hear_on(tmp_path: Path) -> None:
    result = told(5_000, tmp_path)
    assert result["messages"] >= 5_000
    assert result["least_in_a_cell"] >= 3
    assert result["neighbours"]["faults"] == 0
    assert min(result["encodings"].values()) > 2_000


@pytest.mark.full
@pytest.mark.timeout(600)
def test_every_field_is_spoilt_in_every_way_a_hundred_times(tmp_path: Path) -> None:
    result = told(160_000, tmp_path)
    assert result["least_in_a_cell"] >= 100
    assert result["least_of_a_sequence"] >= 100


def test_the_fields_are_those_of_the_messages() -> None:
    names = {field.name for field in all_fields()}
    assert {f"{name}.type" for name in CLIENT_TYPES} <= names
    assert {f"start.{name}" for name in Start.__slots__} <= names
    assert {f"hello.{name}" for name in Hello.__slots__} <= names
    assert {"hello.resume.received[]", "start.audio.codec", "cancel.played[]", "hello.client.name"} <= names


@pytest.mark.parametrize("field", all_fields(), ids=lambda field: field.name)
def test_a_right_message_is_one_and_holds_its_field(field: Field) -> None:
    random = Random(1)
    for _ in range(20):
        message = right_message(field, random, fresh="new", live="old")
        place = message
        for key in field.path:
            assert key in place or key == "[]", message
            place = place.get(key, place.get("k")) if key == "[]" else place[key]
        for is_json in (False, True):
            payload = written(message, is_json)
            read, unknown = decode_client(payload.decode() if is_json else payload)
            assert (type(read), unknown) == (CLIENT_TYPES[field.message], ())


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_due_is_what_our_own_reader_says(mutation: str) -> None:
    """Two judges, made apart: one reads annotations, the other the tables of PROTOCOL.md."""
    random = Random(mutation)
    for field in all_fields():
        message = right_message(field, random, fresh="new", live="old")
        probe = mutated(field, message, mutation, random, is_json=random.random() < 0.5)
        try:
            data = probe.payload.decode() if probe.is_text else probe.payload
        except UnicodeDecodeError:
            assert probe.due.closes, probe
            continue
        code = refusal_of(data)
        assert code in probe.due.codes if code else probe.due.passes, (probe, code)


def refusal_of(data: bytes | str) -> str | None:
    try:
        decode_client(data)
    except RemoteProtocolError as error:
        return error.code
    return None


def error(code: str, *, fatal: bool = False) -> dict[str, object]:
    return {"type": "error", "code": code, "message": "expected sense", "fatal": fatal}


BAD_VALUE = Due(codes=frozenset({ErrorCode.BAD_VALUE}))


@pytest.mark.parametrize(
    ("due", "answer", "fault"),
    [
        (WELL_MADE, Answer((), None, False), None),
        (WELL_MADE, Answer((error("unknown_voice"),), None, False), None),
        (BAD_VALUE, Answer((error("bad_value"),), None, False), None),
        (WELL_MADE, Answer((), None, False, is_silent=True), "no answer"),
        (WELL_MADE, Answer((error("bad_value"),), None, False), "error bad_value: expected sense"),
        (WELL_MADE, Answer((error("internal", fatal=True),), 1011, True), "error internal: expected sense"),
        (WELL_MADE, Answer((), 1011, True), "close code 1011"),
        (BAD_VALUE, Answer((), None, False), "no error"),
        (BAD_VALUE, Answer((error("bad_value"),) * 2, None, False), "2 errors: bad_value and bad_value"),
        (BAD_VALUE, Answer((error("bad_value"),), None, True), "no close frame"),
        (
            BAD_VALUE,
            Answer((error("bad_value", fatal=True),), 4400, True),
            "error bad_value, fatal True, close code 4400 instead of None",
        ),
    ],
)
def test_an_answer_that_is_not_due_is_a_fault(due: Due, answer: Answer, fault: str | None) -> None:
    caller = Caller(Address("127.0.0.1", 1), Random(1), bytearray(BUFFER_BYTES), is_json=True)
    assert caller.judge(due, answer, is_opening=False) == fault


def test_a_seventeenth_undecodable_message_must_be_fatal() -> None:
    caller = Caller(Address("127.0.0.1", 1), Random(1), bytearray(BUFFER_BYTES), is_json=True)
    forgiven = Answer((error("bad_message"),), None, False)
    assert [caller.judge(UNDECODABLE, forgiven, is_opening=False) for _ in range(16)] == [None] * 16
    assert caller.judge(UNDECODABLE, forgiven, is_opening=False) is not None


def test_every_cell_is_filled_equally() -> None:
    openings, others = schedule(1, seed=1)
    assert len(openings) + len(others) == len(all_fields()) * len(MUTATIONS) + len(
        {task.scene for task in (*openings, *others) if task.scene}
    )


def test_what_went_wrong_is_named() -> None:
    fuzz = Fuzz()
    fuzz.tally.num_listeners_done = 2
    assert judged(fuzz) == "ok"
    fuzz.memory.note(READY, {"web": 70.0, "engine": 30.0})
    fuzz.memory.look(20, {"web": 89.0, "engine": 32.0})
    fuzz.memory.look(3_000, {"web": 80.0, "engine": 30.0})
    assert judged(fuzz) == "the server grew by 21.0 MB"
    assert [row["since ready MB"] for row in fuzz.memory.rows()] == [0.0, 10.0, 10.0, 21.0]
    fuzz.left = {"sessions": 2.0}
    assert judged(fuzz) == "left behind: 2 sessions"
    fuzz.tally.num_faults = 1
    assert judged(fuzz) == "1 faults at the neighbours"
    fuzz.findings.fault("silence")
    assert judged(fuzz) == "1 messages not answered as they should be"
    fuzz.num_tracebacks = 3
    assert judged(fuzz) == "3 tracebacks in the log"
