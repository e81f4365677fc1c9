"""Messages to bytes and back: msgpack in binary frames, the same maps as JSON in text ones (PROTOCOL.md, "Transport").

Whatever comes in, decoding ends in a valid message or in RemoteProtocolError, never in another exception.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NoReturn, cast

import msgpack

from .constraints import kind, shown
from .errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from .messages import (
    ABSENT,
    CLIENT_TYPES,
    SERVER_TYPES,
    TYPE_NAMES,
    VERSION,
    ClientMessage,
    Hello,
    Limits,
    ServerMessage,
)
from .schema import Reader, Reading, check_dialect, reader_for

SERVER_MESSAGE_BYTES: Final = 1 << 20
"""The longest server message a client takes; the usual audio message has 14 kB."""

DEFAULT_LIMITS: Final = Limits()


class Encoding(Enum):
    """How a connection's messages are written; the `hello` sets it."""

    MSGPACK = "msgpack"
    JSON = "json"


RawMessage = dict[str, Any]
"""A message that is a map and has a `type`; nothing else is known of it."""

_READERS: Final[Mapping[type, Reader]] = {message_type: reader_for(message_type) for message_type in TYPE_NAMES}


def encode(message: ClientMessage | ServerMessage, encoding: Encoding = Encoding.MSGPACK) -> bytes | str:
    """A message as one WebSocket message: bytes for msgpack, str for JSON.

    Raises LocalProtocolError (`bad_value`) for values without a wire form: lone surrogates, integers over 64 bits.
    """
    raw = _as_map(message)
    try:
        if encoding is Encoding.MSGPACK:
            return cast(bytes, msgpack.packb(raw, default=_as_map))
        text = json.dumps(raw, default=_as_json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
        return text
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        sentence = f"expected values with a wire form in {raw['type']}, got one without: {error}"
        raise LocalProtocolError(ErrorCode.BAD_VALUE, sentence) from error


def decode_client(data: bytes | str, limits: Limits = DEFAULT_LIMITS) -> tuple[ClientMessage, tuple[str, ...]]:
    """A client's message and the keys in it that version 1 does not know. Raises RemoteProtocolError."""
    return read_client(unpack(data, limits.message_bytes), is_json=isinstance(data, str))


def decode_server(data: bytes | str, max_bytes: int = SERVER_MESSAGE_BYTES) -> tuple[ServerMessage, tuple[str, ...]]:
    """A server's message and the keys in it that version 1 does not know. Raises RemoteProtocolError."""
    return read_server(unpack(data, max_bytes), is_json=isinstance(data, str))


def num_wire_bytes(data: bytes | str) -> int:
    """The length of a WebSocket message's payload."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode(errors="surrogatepass"))


def unpack(data: bytes | str, max_bytes: int) -> RawMessage:
    """The first half of decoding. Raises RemoteProtocolError: `too_large` (fatal) or `bad_message`."""
    if len(data) > max_bytes or num_wire_bytes(data) > max_bytes:
        sentence = f"expected a message of at most {max_bytes} bytes, got a longer one"
        raise RemoteProtocolError(ErrorCode.TOO_LARGE, sentence, fatal=True)
    try:
        if isinstance(data, str):
            raw = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        else:
            # Surrogates pass here to be refused by name, as those of JSON are.
            raw = msgpack.unpackb(data, object_pairs_hook=_unique, ext_hook=_refuse_ext, unicode_errors="surrogatepass")
    except (ValueError, RecursionError) as error:
        form = "JSON" if isinstance(data, str) else "msgpack"
        got = str(error) if isinstance(error, _Refused) else "something else"
        raise RemoteProtocolError(ErrorCode.BAD_MESSAGE, f"expected one {form} map, got {got}") from error
    if not isinstance(raw, dict):
        raise RemoteProtocolError(ErrorCode.BAD_MESSAGE, f"expected a map with the key type, got {kind(raw)}")
    if not isinstance(raw.get("type"), str):
        got = kind(raw["type"]) if "type" in raw else "none"
        raise RemoteProtocolError(ErrorCode.BAD_MESSAGE, f"expected the key type with a string, got {got}")
    return raw


def read_client(raw: RawMessage, *, is_json: bool = False) -> tuple[ClientMessage, tuple[str, ...]]:
    """The second half of decoding, for a client's message. Raises RemoteProtocolError."""
    return cast(tuple[ClientMessage, tuple[str, ...]], _read(raw, CLIENT_TYPES, is_json))


def read_server(raw: RawMessage, *, is_json: bool = False) -> tuple[ServerMessage, tuple[str, ...]]:
    """The second half of decoding, for a server's message. Raises RemoteProtocolError."""
    return cast(tuple[ServerMessage, tuple[str, ...]], _read(raw, SERVER_TYPES, is_json))


def _read(raw: RawMessage, types: Mapping[str, type[Any]], is_json: bool) -> tuple[Any, tuple[str, ...]]:
    try:
        message_type = _type_of(raw, types)
        reading = Reading(is_json)
        try:
            return _READERS[message_type](raw, "", reading), tuple(reading.unknown)
        except RemoteProtocolError as error:
            error.utterance = named_utterance(raw)
            raise
    except RemoteProtocolError:
        check_dialect(raw)  # only now: nothing that is against it is read
        raise


def _type_of(raw: RawMessage, types: Mapping[str, type[Any]]) -> type[Any]:
    message_type = types.get(raw["type"])
    if message_type is None:
        known = ", ".join(types)
        raise RemoteProtocolError(ErrorCode.UNKNOWN_TYPE, f"expected one of {known}, got {shown(raw['type'])}")
    version = raw.get("version")
    if message_type is Hello and type(version) is int and version != VERSION:
        # Before all else: the fields of another version may be others.
        sentence = f"expected version {VERSION}, got {shown(version)}"
        raise RemoteProtocolError(ErrorCode.UNSUPPORTED_VERSION, sentence)
    return message_type


def named_utterance(raw: RawMessage) -> str | None:
    """The utterance a message names, if the name is a possible one."""
    name = raw.get("utterance")
    return name if isinstance(name, str) and 1 <= len(name) <= 64 and name.isprintable() and name != "*" else None


def _as_map(value: Any) -> dict[str, Any]:
    """The map of a message or of a value within one; also the packers' hook for what they do not know."""
    value_type = type(value)
    name = TYPE_NAMES.get(value_type)
    if name is None and isinstance(value, Mapping):
        return dict(value)
    raw: dict[str, Any] = {} if name is None else {"type": name}
    for name in value_type.__slots__:
        held = getattr(value, name)
        if held is ABSENT or (held is None and name != "lead_ms"):
            continue
        raw[name] = held
    return raw


def _as_json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else _as_map(value)


class _Refused(ValueError):
    """Well-formed, but not in our dialect; the text says what it was."""


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    raw = dict(pairs)
    if len(raw) != len(pairs):
        raise _Refused("a key twice")
    for key in raw:
        if type(key) is not str:  # msgpack lets bytes pass
            raise _Refused("a key that is no string")
    return raw


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    raise _Refused(f"an extension type ({code})")


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(name)
