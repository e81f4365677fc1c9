"""What a field may hold beyond its type, and how a value that breaks it is told."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ErrorCode


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    code: ErrorCode = ErrorCode.BAD_VALUE


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    choices: tuple[str, ...] | tuple[int, ...]
    code: ErrorCode = ErrorCode.BAD_VALUE


@dataclass(frozen=True, slots=True)
class OneLine:
    """Printable text without line ends, of `low` to `high` code points."""

    low: int
    high: int
    reserved: str | None = None


@dataclass(frozen=True, slots=True)
class WellFormed:
    """Any text that has a UTF-8 form: no lone surrogates. NUL and controls are the speaker's business."""


def kind(raw: object) -> str:
    """What a raw value is, in words that do not repeat it: it may be a secret, or a megabyte."""
    match raw:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a number"
        case str():
            return f"a string of {len(raw)} characters"
        case bytes():
            return f"{len(raw)} bytes"
        case list():
            return f"an array of {len(raw)}"
        case dict():
            return "a map"
        case _:
            return "an extension type"


def shown(raw: str | float) -> str:
    """A short value itself; a long one's kind."""
    if isinstance(raw, str):
        return raw if len(raw) <= 32 and raw.isprintable() else kind(raw)
    return str(raw) if isinstance(raw, float) or abs(raw) < 2**64 else "a far larger one"
