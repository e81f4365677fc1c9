"""A JSON file's fields, taken strictly: what is missing or of another kind is named, with its file and path."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..base import ModelError

MOST = 1 << 24
"""No size in these files comes near; beyond it a number is a slip, and would not fit into memory."""

T = TypeVar("T")


class Fields:
    """One object of the file. Every method raises ModelError for a field that is not as its name says.

    With a list of `problems`, what would be raised is added to it instead, and something of the right kind is returned
    in the field's place: a first reading can then name all that is wrong.
    """

    def __init__(self, path: Path, values: Any, where: str = "", problems: list[str] | None = None) -> None:
        """`where`: the path of the object in the file, with a dot at its end; empty for the whole of it."""
        self.path = path
        self._where = where
        self._problems = problems
        if not isinstance(values, dict):
            name = f"'{where[:-1]}' was expected to be an object" if where else "an object was expected"
            raise self.error(f"{name}, but {_shown(values)} came")
        self.values: dict[str, Any] = values

    @classmethod
    def read(cls, path: Path, problems: list[str] | None = None) -> Fields:
        """The file's one object."""
        try:
            return cls(path, json.loads(path.read_text(encoding="utf-8")), problems=problems)
        except OSError as error:
            raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror}.") from None
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: JSON was expected, but it is not: {error}.") from None

    def __contains__(self, name: str) -> bool:
        """Whether the field is there, and not null."""
        return self.values.get(name) is not None

    def object(self, name: str) -> Fields:
        try:
            if name not in self.values:
                raise self._missing(name)
            return Fields(self.path, self.values[name], f"{self._where}{name}.", self._problems)
        except ModelError as error:
            nobody: list[str] = []  # that all of it is missing is said once
            return self._instead(error, Fields(self.path, {}, f"{self._where}{name}.", nobody))

    def integer(self, name: str, *, least: int = 1, most: int = MOST) -> int:
        expected = f"an integer from {least} to {most}"
        return int(self._taken(name, lambda value: _is_integer(value) and least <= value <= most, expected, least))

    def number(self, name: str) -> float:
        return float(self._taken(name, _is_positive, "a positive number", 1.0))

    def numbers(self, name: str) -> tuple[float, ...]:
        taken = self._taken(name, lambda value: _is_list(value, _is_positive), "a list of positive numbers", [1.0])
        return tuple(float(each) for each in taken)

    def integers(self, name: str, *, most: int = MOST) -> tuple[int, ...]:
        def is_size(value: Any) -> bool:
            return _is_integer(value) and 1 <= value <= most

        return tuple(self._taken(name, lambda value: _is_list(value, is_size), f"integers from 1 to {most}", [1]))

    def flag(self, name: str, default: bool) -> bool:
        """True or false; the default where it is missing."""
        if name not in self.values:
            return default
        return bool(self._taken(name, lambda value: isinstance(value, bool), "true or false", default))

    def settled(self, name: str, served: bool) -> None:
        """A flag of which one value is served; it may be missing."""
        if name in self.values:
            self._taken(name, lambda value: value is served, "true" if served else "false", served)

    def choice(self, name: str, default: str, served: tuple[str, ...]) -> str:
        """One of `served`, in small letters; the default where it is missing."""
        if name not in self.values:
            return default

        def is_served(value: Any) -> bool:
            return isinstance(value, str) and value.lower() in served

        return str(self._taken(name, is_served, f"one of {', '.join(served)}", default)).lower()

    def choices(self, name: str, served: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `served` that the list names; all of them without one."""
        if name not in self.values:
            return served
        expected = f"a list of some of {', '.join(served)}"
        taken = self._taken(name, lambda value: _is_list(value, lambda each: each in served), expected, [])
        return tuple(each for each in served if each in taken)

    def unexpected(self, name: str, expected: str) -> ModelError:
        return self.error(f"'{self._where}{name}' was expected to be {expected}, but {_shown(self.values[name])} came")

    def error(self, sentence: str) -> ModelError:
        return ModelError(f"{self.path}: {sentence}.")

    def _taken(self, name: str, is_good: Callable[[Any], bool], expected: str, stand_in: Any) -> Any:
        if name not in self.values:
            return self._instead(self._missing(name), stand_in)
        if not is_good(self.values[name]):
            return self._instead(self.unexpected(name, expected), stand_in)
        return self.values[name]

    def _instead(self, error: ModelError, stand_in: T) -> T:
        if self._problems is None:
            raise error
        self._problems.append(str(error))
        return stand_in

    def _missing(self, name: str) -> ModelError:
        return self.error(f"the key '{self._where}{name}' was expected, but it is missing")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_list(value: Any, is_good: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(is_good(each) for each in value)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
