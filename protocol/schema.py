"""Readers made from annotations: `messages` says what a field may hold, a reader makes that of what the wire brought.

A reader takes the raw value, its dotted path for error sentences, and a `Reading` for what is found on the way.
It raises RemoteProtocolError (`bad_value`, or the code its constraint names) and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from .constraints import OneLine, OneOf, Range, WellFormed, kind, shown
from .errors import ErrorCode, RemoteProtocolError

MAX_DEPTH: Final = 8
"""Containers within containers, the message itself included. Version 1 needs five."""
MAX_UNKNOWN: Final = 16
"""Unknown keys that are named; the rest are ignored without a word."""


@dataclass(slots=True)
class Reading:
    """One message being read: is it JSON (bytes come in base64), and which keys nobody asked for."""

    is_json: bool
    unknown: list[str] = field(default_factory=list)


Reader = Callable[[Any, str, Reading], Any]


def reader_for(annotation: Any) -> Reader:
    """The reader of an annotation. Raises TypeError for one that has no wire form (a programmer's error)."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _constrained(args[0], args[1])
    if origin in (Union, UnionType):
        return _union(args)
    if origin is Literal:
        return _constrained(str, OneOf(args))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _sequence(reader_for(args[0]))
    if origin is Mapping:
        return _mapping(reader_for(args[0]), reader_for(args[1]))
    if annotation is int:
        return _constrained(int, Range(-(2**53) + 1, 2**53 - 1))
    if annotation is bool:
        return _read_bool
    if annotation is bytes:
        return _read_bytes
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _record(annotation)
    if isinstance(annotation, type) and issubclass(annotation, tuple):
        return _row(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum(annotation)
    raise TypeError(f"expected an annotation with a wire form, got {annotation!r}")


def name_unknown(raw: object, path: str, reading: Reading) -> None:
    """Note a key nobody asked for. Raises RemoteProtocolError if its value nests too deep or holds an extension."""
    if len(reading.unknown) < MAX_UNKNOWN:
        reading.unknown.append("".join(c if c.isprintable() else "?" for c in path[:64]))
    check_dialect(raw, MAX_DEPTH - 1 - path.count("."))


def check_dialect(raw: object, depth: int = MAX_DEPTH) -> None:
    """Raises RemoteProtocolError (`bad_message`) for what nests deeper, or holds an extension type.

    msgpack's timestamp is one that its reader lets nobody refuse earlier.
    """
    match raw:
        case dict() | list() if depth <= 0:
            raise RemoteProtocolError(
                ErrorCode.BAD_MESSAGE, f"expected at most {MAX_DEPTH} levels of nesting, got more"
            )
        case dict():
            for inner in raw.values():
                check_dialect(inner, depth - 1)
        case list():
            for inner in raw:
                check_dialect(inner, depth - 1)
        case None | bool() | int() | float() | str() | bytes():
            pass
        case _:
            raise RemoteProtocolError(ErrorCode.BAD_MESSAGE, f"expected no extension type, got {type(raw).__name__}")


def _fault(path: str, expected: str, got: str, code: ErrorCode = ErrorCode.BAD_VALUE) -> RemoteProtocolError:
    return RemoteProtocolError(code, f"{path}: expected {expected}, got {got}")


def _constrained(kind_of: Any, rule: object) -> Reader:
    match rule:
        case Range() if kind_of is float:
            return _number(rule)
        case Range():
            return _integer(rule)
        case OneOf():
            return _choice(rule)
        case OneLine():
            return _line(rule)
        case WellFormed():
            return _read_prose
        case _:
            raise TypeError(f"expected a constraint of this module, got {rule!r}")


def _integer(rule: Range) -> Reader:
    low, high = rule.low, rule.high

    def read(raw: Any, path: str, reading: Reading) -> int:
        if type(raw) is not int:  # a bool is an int to Python, not to us
            raise _fault(path, "an integer", kind(raw))
        if not low <= raw <= high:
            raise _fault(path, f"an integer from {low} to {high}", shown(raw), rule.code)
        return raw

    return read


def _number(rule: Range) -> Reader:
    low, high = rule.low, rule.high

    def read(raw: Any, path: str, reading: Reading) -> float:
        if type(raw) is not float and type(raw) is not int:
            raise _fault(path, "a number", kind(raw))
        if not low <= raw <= high:  # false for NaN
            raise _fault(path, f"a number from {low:g} to {high:g}", shown(raw), rule.code)
        return float(raw)

    return read


def _choice(rule: OneOf) -> Reader:
    kind_of, choices = type(rule.choices[0]), frozenset(rule.choices)
    listed = ", ".join(map(str, rule.choices[:-1])) + f" or {rule.choices[-1]}"

    def read(raw: Any, path: str, reading: Reading) -> Any:
        if type(raw) is not kind_of:
            raise _fault(path, f"one of {listed}", kind(raw))
        if raw not in choices:
            raise _fault(path, f"one of {listed}", shown(raw), rule.code)
        return raw

    return read


def _line(rule: OneLine) -> Reader:
    def read(raw: Any, path: str, reading: Reading) -> str:
        if type(raw) is not str or not rule.low <= len(raw) <= rule.high:
            raise _fault(path, f"a string of {rule.low} to {rule.high} characters", kind(raw))
        if not raw.isprintable():
            raise _fault(path, "one line of printable characters", "others")
        if raw == rule.reserved:
            raise _fault(path, f"anything but {raw}", "just that")
        return raw

    return read


def _read_prose(raw: Any, path: str, reading: Reading) -> str:
    if type(raw) is not str:
        raise _fault(path, "a string", kind(raw))
    try:
        raw.isascii() or raw.encode()
    except UnicodeEncodeError as error:
        raise _fault(path, "well-formed Unicode", f"a lone surrogate at {error.start}") from None
    return raw


def _read_bool(raw: Any, path: str, reading: Reading) -> bool:
    if type(raw) is not bool:
        raise _fault(path, "a boolean", kind(raw))
    return raw


def _read_bytes(raw: Any, path: str, reading: Reading) -> bytes:
    if reading.is_json and type(raw) is str:
        try:
            return base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            raise _fault(path, "bytes in base64", "a string that is not") from None
    if type(raw) is not bytes:
        raise _fault(path, "bytes", kind(raw))
    return raw


def _enum(kind_of: type[Enum]) -> Reader:
    members = {member.value: member for member in kind_of}
    choose = _choice(OneOf(tuple(members)))

    def read(raw: Any, path: str, reading: Reading) -> Enum:
        return members[choose(raw, path, reading)]

    return read


def _sequence(item: Reader) -> Reader:
    def read(raw: Any, path: str, reading: Reading) -> tuple[Any, ...]:
        if type(raw) is not list:
            raise _fault(path, "an array", kind(raw))
        return tuple([item(value, path, reading) for value in raw])

    return read


def _mapping(key: Reader, item: Reader) -> Reader:
    def read(raw: Any, path: str, reading: Reading) -> dict[str, Any]:
        if type(raw) is not dict:
            raise _fault(path, "a map", kind(raw))
        return {key(name, f"{path} key", reading): item(value, path, reading) for name, value in raw.items()}

    return read


def _row(kind_of: type[Any]) -> Reader:
    hints = get_type_hints(kind_of, include_extras=True)
    columns = [(name, reader_for(hint)) for name, hint in hints.items()]

    def read(raw: Any, path: str, reading: Reading) -> Any:
        if type(raw) is not list or len(raw) != len(columns):
            raise _fault(path, f"rows of {len(columns)}: {', '.join(hints)}", kind(raw))
        return kind_of(
            *[column(value, f"{path}.{name}", reading) for (name, column), value in zip(columns, raw, strict=True)]
        )

    return read


def _union(args: tuple[Any, ...]) -> Reader:
    by_type: dict[type, Reader] = {}
    for arg in args:
        if arg is NoneType:
            by_type[NoneType] = _read_none
        elif not (isinstance(arg, type) and issubclass(arg, Enum)):  # Absent never comes from the wire
            for raw_type in _raw_types(arg):
                by_type.setdefault(raw_type, reader_for(arg))
    otherwise = next(iter(by_type.values()))

    def read(raw: Any, path: str, reading: Reading) -> Any:
        return by_type.get(type(raw), otherwise)(raw, path, reading)

    return read


def _read_none(raw: Any, path: str, reading: Reading) -> None:
    return None


def _raw_types(annotation: Any) -> tuple[type, ...]:
    base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    origin = get_origin(base)
    if origin is Literal:
        return (str,)
    if origin is tuple:
        return (list,)
    if origin is Mapping or is_dataclass(base):
        return (dict,)
    return {bytes: (bytes, str), float: (float, int)}.get(base, (base,))


def _record(kind_of: type[Any]) -> Reader:
    hints = get_type_hints(kind_of, include_extras=True)
    readers = {each.name: reader_for(hints[each.name]) for each in fields(kind_of)}
    required = [each.name for each in fields(kind_of) if each.default is MISSING and each.default_factory is MISSING]
    absent_if_null = {name for name in readers if name not in required and NoneType not in get_args(hints[name])}
    fault_of = getattr(kind_of, "fault", None)

    def read(raw: Any, path: str, reading: Reading) -> Any:
        if type(raw) is not dict:
            raise _fault(path, "a map", kind(raw))
        values = {}
        for name, value in raw.items():
            inner = f"{path}.{name}" if path else name
            if name in readers:
                if value is not None or name not in absent_if_null:
                    values[name] = readers[name](value, inner, reading)
            elif path or name != "type":
                name_unknown(value, inner, reading)
        for name in required:
            if name not in values:
                raise _fault(path or "message", f"the key {name}", "none")
        record = kind_of(**values)
        if fault_of is not None and (fault := fault_of(record)) is not None:
            raise RemoteProtocolError(*fault)
        return record

    return read
