"""The wire: messages, their bytes, and the order they may come in (PROTOCOL.md).

The client is in `client`; what it stands on alone needs asyncio, and `dial` and `link` the websockets library.
"""

from .connection import Connection, Received, Side
from .errors import (
    CloseCode,
    ConnectionLost,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    SpeechError,
)
from .journal import Journal
from .ledger import Ledger, Replay
from .wire import Encoding

__all__ = [
    "CloseCode",
    "Connection",
    "ConnectionLost",
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
    "SpeechError",
]
