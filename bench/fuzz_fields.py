"""Every field that a client's message may have, read from the annotations that the server reads messages by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from protocol.constraints import OneLine, OneOf, Range, WellFormed
from protocol.messages import CLIENT_TYPES, MAX_TICKS

Rule = Range | OneOf | OneLine | WellFormed
ENTRY = "[]"
"""In a path: any key of a map whose keys are the client's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value that a field may hold. `raw`: what it is on the wire; `rule`: what narrows it."""

    raw: type
    rule: Rule | None = None
    is_record: bool = False
    """A map of known keys; `requires` are those that must be there."""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """`path`: from the message down to it. `kinds`: what it may hold beside null."""

    message: str
    path: tuple[str, ...]
    kinds: tuple[Kind, ...]
    is_required: bool

    @property
    def name(self) -> str:
        return ".".join((self.message, *self.path)).replace("." + ENTRY, ENTRY)

    @property
    def is_type(self) -> bool:
        """Whether it is the key that names the message."""
        return self.path == ("type",)

    @property
    def is_entry(self) -> bool:
        return self.path[-1] == ENTRY

    def kind(self, raw: type) -> Kind | None:
        return next((kind for kind in self.kinds if kind.raw is raw), None)

    def takes(self, value: object) -> bool:
        """Whether PROTOCOL.md allows this value here, by its own table of values."""
        if value is None:
            return not (self.is_required or self.is_entry)
        kinds = [kind for kind in self.kinds if kind.raw is type(value)] or self.kinds
        return any(_fits(kind, value) for kind in kinds)


def all_fields() -> list[Field]:
    """In the order of the protocol's own tables."""
    found: list[Field] = []
    for name, message_type in CLIENT_TYPES.items():
        found.append(Field(name, ("type",), (Kind(str, OneOf((name,))),), is_required=True))
        found += _fields_of(message_type, name, ())
    return found


def _fits(kind: Kind, value: object) -> bool:
    if type(value) is not kind.raw and not (kind.raw is float and type(value) is int):
        return False
    match kind.rule, value:
        case Range(low=low, high=high), int() | float():
            return low <= value <= high
        case OneOf(choices=choices), _:
            return value in choices
        case OneLine(low=low, high=high, reserved=reserved), str():
            return low <= len(value) <= high and value.isprintable() and value != reserved
        case WellFormed(), str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case None, dict() if kind.is_record:
            return all(key in value for key in kind.requires)
        case _:
            return True


def _fields_of(record: type, message: str, path: tuple[str, ...]) -> Iterator[Field]:
    hints = get_type_hints(record, include_extras=True)
    required = _required(record)
    for each in fields(record):
        inner = (*path, each.name)
        annotations = list(_alternatives(hints[each.name]))
        kinds = tuple(kind for annotation in annotations for kind in _kinds(annotation))
        yield Field(message, inner, kinds, each.name in required)
        for annotation in annotations:
            if is_dataclass(annotation):
                assert isinstance(annotation, type)
                yield from _fields_of(annotation, message, inner)
            elif get_origin(annotation) is Mapping:
                entry = get_args(annotation)[1]
                kinds = tuple(kind for one in _alternatives(entry) for kind in _kinds(one))
                yield Field(message, (*inner, ENTRY), kinds, is_required=False)


def _required(record: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(record) if each.default is MISSING and each.default_factory is MISSING)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Without null, and without what stands for absence."""
    if get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _alternatives(each)
    elif annotation is not NoneType and not (isinstance(annotation, type) and issubclass(annotation, Enum)):
        yield annotation


def _kinds(annotation: Any) -> Iterator[Kind]:
    if get_origin(annotation) is Annotated:
        base, rule = get_args(annotation)[:2]
        raw = str if isinstance(rule, OneOf) and isinstance(rule.choices[0], str) else base
        yield Kind(raw, rule)
    elif get_origin(annotation) is Literal:
        yield Kind(str, OneOf(get_args(annotation)))
    elif get_origin(annotation) is Mapping:
        yield Kind(dict)
    elif is_dataclass(annotation):
        assert isinstance(annotation, type)
        yield Kind(dict, is_record=True, requires=_required(annotation))
    elif annotation is int:
        yield Kind(int, Range(-MAX_TICKS, MAX_TICKS))
    else:
        assert annotation is bool, f"expected an annotation with a wire form, got {annotation!r}"
        yield Kind(bool)
