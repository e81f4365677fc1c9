"""The wire: messages, their bytes, the order they may come in, and the client that speaks them (PROTOCOL.md)."""

from .connection import Connection, Received, Side
from .errors import CloseCode, ErrorCode, LocalProtocolError, ProtocolError, RemoteProtocolError
from .journal import Journal
from .ledger import Ledger, Replay
from .wire import Encoding

__all__ = [
    "CloseCode",
    "Connection",
    "Encoding",
    "ErrorCode",
    "Journal",
    "Ledger",
    "LocalProtocolError",
    "ProtocolError",
    "Received",
    "RemoteProtocolError",
    "Replay",
    "Side",
]
