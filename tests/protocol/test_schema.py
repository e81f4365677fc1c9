"""Readers from annotations: what they take is covered by the wire's tests, what they refuse to be made for by these."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import pytest

from protocol.constraints import OneLine, kind, shown
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.schema import Reading, reader_for

LINE = Annotated[str, OneLine(1, 4)]


class Row(NamedTuple):
    a: int
    b: int


def read(annotation: Any, raw: Any, *, is_json: bool = False) -> Any:
    return reader_for(annotation)(raw, "here", Reading(is_json))


@pytest.mark.parametrize("annotation", [object, set[int], Annotated[int, "many"], Annotated[str, 5], 7])
def test_an_annotation_without_a_wire_form_is_a_programmers_error(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"^expected an? "):
        reader_for(annotation)


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (int, 2**53 - 1, 2**53 - 1),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, ...] | None, [1], (1,)),
        (tuple[int, ...] | None, None, None),
        (bytes | None, b"x", b"x"),
        (Row, [1, 2], Row(1, 2)),
        (ErrorCode, "busy", ErrorCode.BUSY),
        (bool, False, False),
    ],
)
def test_a_reader_makes_the_value(annotation: Any, raw: Any, value: Any) -> None:
    assert read(annotation, raw) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "sentence"),
    [
        (int, 2**53, "here: expected an integer from -9007199254740991 to 9007199254740991, got 9007199254740992"),
        (tuple[int, ...], {}, "here: expected an array, got a map"),
        (Row, [1], "here: expected rows of 2: a, b, got an array of 1"),
        (Row, [1, "x"], "here.b: expected an integer, got a string of 1 characters"),
        (bool, 0, "here: expected a boolean, got an integer"),
        (bytes, "x", "here: expected bytes, got a string of 1 characters"),
        (
            Annotated[str, OneLine(1, 4)],
            "",
            "here: expected a string of 1 to 4 characters, got a string of 0 characters",
        ),
    ],
)
def test_a_reader_says_what_it_expected(annotation: Any, raw: Any, sentence: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read(annotation, raw)
    assert caught.value.message == sentence


def test_base64_is_strict() -> None:
    assert read(bytes, "AAE=", is_json=True) == b"\x00\x01"
    for raw in ("AAE", "AA E=", "AAE=\n", "é"):
        with pytest.raises(RemoteProtocolError):
            read(bytes, raw, is_json=True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a number"),
        ("abc", "a string of 3 characters"),
        (b"ab", "2 bytes"),
        ([1], "an array of 1"),
        ({}, "a map"),
        (object(), "an extension type"),
    ],
)
def test_a_kind_does_not_repeat_the_value(raw: Any, words: str) -> None:
    assert kind(raw) == words


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("mp3", "mp3"),
        ("x" * 33, "a string of 33 characters"),
        ("a\nb", "a string of 3 characters"),
        (2**64 - 1, str(2**64 - 1)),
        (-(10**300), "a far larger one"),
        (2.5, "2.5"),
        (float("nan"), "nan"),
    ],
)
def test_a_short_value_is_shown(raw: Any, words: str) -> None:
    assert shown(raw) == words
