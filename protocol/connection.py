"""A connection without a socket, a clock or a task: bytes in, messages out, and the rules of the protocol between.

What the caller owes: every WebSocket message goes into `receive`, in order; what `send` returns goes out, in order,
bytes as a binary message and str as a text one. A server answers a ProtocolError from `receive` with an `error`, and
goes on unless it is `fatal`; after a fatal one the caller closes with its `close_code`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, NamedTuple

from .errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from .journal import Journal
from .ledger import Ledger
from .messages import (
    CLIENT_TYPES,
    TYPE_NAMES,
    ClientMessage,
    Counted,
    Error,
    Limits,
    Ready,
    ServerMessage,
    Start,
    UtteranceMessage,
)
from .state import Session, SessionState
from .wire import SERVER_MESSAGE_BYTES, Encoding, encode, num_wire_bytes, read_client, read_server, unpack


class Side(Enum):
    """Which of the two we are."""

    CLIENT = "client"
    SERVER = "server"


class Received(NamedTuple):
    """What came: a ClientMessage on the server's side, a ServerMessage on the client's.

    `unknown`: the keys in it that version 1 does not know, for `ready.unknown` and `started.unknown`.
    """

    message: Any
    unknown: tuple[str, ...]


class Connection:
    """One side of one WebSocket.

    `ledger`: what outlives it, a Ledger for the server's side and a Journal for the client's; a new one if None.
    `limits`: those of a new one. `encoding`: the client's choice; the server follows the `hello`.
    """

    def __init__(
        self,
        side: Side,
        *,
        limits: Limits | None = None,
        ledger: Ledger | Journal | None = None,
        encoding: Encoding = Encoding.MSGPACK,
    ) -> None:
        kept = ledger or (Ledger(limits) if side is Side.SERVER else Journal(limits))
        if isinstance(kept, Ledger) is not (side is Side.SERVER):
            raise TypeError(
                f"expected a Ledger for the server or a Journal for the client, got the other as {side.value}"
            )
        self.side = side
        self.encoding = encoding
        self.unsettled: tuple[ClientMessage, ...] = ()
        """On the client, after a `ready` that resumes: what to `resend` before anything else."""
        self.num_errors = 0
        """Undecodable messages so far."""
        self._session = Session()
        self._kept = kept

    @property
    def state(self) -> SessionState:
        """How far the session has got."""
        return self._session.state

    @property
    def limits(self) -> Limits:
        """What holds: the server's own, or what its `ready` told."""
        return self._kept.limits

    @property
    def ledger(self) -> Ledger:
        """The server's; to be kept when the connection is lost."""
        assert isinstance(self._kept, Ledger), "expected the server's side"
        return self._kept

    @property
    def journal(self) -> Journal:
        """The client's; to be kept when the connection is lost. Another than was given if the session is another."""
        assert isinstance(self._kept, Journal), "expected the client's side"
        return self._kept

    def receive(self, data: bytes | str) -> Received | None:
        """Take one WebSocket message. None: it came too late to mean anything, and was counted.

        Raises RemoteProtocolError; unless it is `fatal` the connection stays as it was, and usable.
        """
        if self.state is SessionState.CLOSED:
            return None
        try:
            return self._from_client(data) if self.side is Side.SERVER else self._from_server(data)
        except RemoteProtocolError as error:
            self._judge(error)
            raise

    def send(self, message: ClientMessage | ServerMessage) -> bytes | str:
        """What to put on the wire. A server's utterance message gets its `seq` here and is held for a resume.

        Raises LocalProtocolError; then nothing has changed.
        """
        is_servers = isinstance(message, ServerMessage)  # asked of a client's, it would go through all its types
        if is_servers is not (self.side is Side.SERVER):
            sentence = f"expected a {self.side.value}'s message, got {TYPE_NAMES[type(message)]}"
            raise LocalProtocolError(ErrorCode.BAD_STATE, sentence)
        if not isinstance(message, ServerMessage):
            return self._to_server(message)
        self._session.advance(message, LocalProtocolError)
        if isinstance(message, UtteranceMessage):
            message = self.ledger.give(message)
        elif isinstance(message, Ready) and message.resumed:
            self.ledger.resumed()
        return encode(message, self.encoding)

    def hold(self, message: ClientMessage) -> None:
        """The client has no connection to send this on: once there is one, `unsettled` brings what must not be lost.

        Raises LocalProtocolError as `send` does.
        """
        self._measure(encode(message, self.encoding))
        if isinstance(message, Counted):
            self.journal.give(message)

    def resume(self, ledger: Ledger) -> None:
        """The server has found the session that the `hello` asks for: go on with its ledger. Before `ready`."""
        if self.state is not SessionState.RESUMING:
            sentence = f"expected a session that is resuming, got one that is {self.state.name.lower()}"
            raise LocalProtocolError(ErrorCode.BAD_STATE, sentence)
        self._kept = ledger

    def resend(self, messages: Iterable[ClientMessage | ServerMessage]) -> Iterator[bytes | str]:
        """Messages that were noted before, for this connection's wire: a `Replay`'s, or the `unsettled` ones."""
        return (encode(message, self.encoding) for message in messages)

    def _from_client(self, data: bytes | str) -> Received | None:
        ledger, is_json = self.ledger, isinstance(data, str)
        if self.state is SessionState.OPENING:
            self.encoding = Encoding.JSON if is_json else Encoding.MSGPACK  # a refusal answers in kind, too
        raw = unpack(data, self.limits.message_bytes)
        message_type = CLIENT_TYPES.get(raw["type"])
        under_way = self.state in (SessionState.GREETED, SessionState.READY)
        try:
            message, unknown = read_client(raw, is_json=is_json)
        except RemoteProtocolError as error:
            if under_way and message_type is not None and error.code is not ErrorCode.BAD_MESSAGE:
                ledger.count(message_type)
                if message_type is Start:
                    ledger.refuse_start(error)
            raise
        if under_way:
            ledger.count(type(message))
        self._session.advance(message, RemoteProtocolError)
        return Received(message, unknown) if ledger.take(message) else None

    def _from_server(self, data: bytes | str) -> Received | None:
        message, unknown = read_server(unpack(data, SERVER_MESSAGE_BYTES), is_json=isinstance(data, str))
        before = self.state
        if isinstance(message, Ready) and message.resumed and before is SessionState.GREETED:
            raise RemoteProtocolError(ErrorCode.BAD_VALUE, "expected a fresh session, got one that is resumed")
        self._session.advance(message, RemoteProtocolError)
        match message:
            case Ready():
                if before is SessionState.RESUMING and not message.resumed:
                    self._kept = Journal(self.limits)
                self.unsettled = self.journal.ready(message)
            case Error(code=ErrorCode.RESUME_FAILED):
                self._kept = Journal(self.limits)
            case _:
                pass
        return Received(message, unknown) if self.journal.take(message) else None

    def _to_server(self, message: ClientMessage) -> bytes | str:
        data = encode(message, self.encoding)
        self._measure(data)
        self._session.advance(message, LocalProtocolError)
        self.journal.give(message)
        return data

    def _measure(self, data: bytes | str) -> None:
        num_bytes, most = num_wire_bytes(data), self.limits.message_bytes
        if num_bytes > most:
            sentence = f"expected a message of at most {most} bytes, got one of {num_bytes}"
            raise LocalProtocolError(ErrorCode.TOO_LARGE, sentence)

    def _judge(self, error: RemoteProtocolError) -> None:
        """Before `ready` every fault is fatal; afterwards only too many undecodable messages are."""
        if self.state is not SessionState.READY:
            error.make_fatal(CloseCode.TOO_LARGE if error.code is ErrorCode.TOO_LARGE else CloseCode.BAD_OPENING)
        elif error.code is ErrorCode.BAD_MESSAGE:
            self.num_errors += 1
            if self.num_errors > self.limits.errors:
                error.make_fatal(CloseCode.POLICY)
