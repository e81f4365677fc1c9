"""How a client gets a WebSocket, and what it means if it gets none."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from .errors import ErrorCode, SpeechError
from .fields import SUBPROTOCOL
from .wire import SERVER_MESSAGE_BYTES

PATH: Final = "/v1/stream"
CLOSE_TIMEOUT_S: Final = 1.0
"""How long a goodbye may take."""
REFUSALS: Final = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN_ORIGIN,
    429: ErrorCode.BUSY,
    503: ErrorCode.BUSY,
}
"""HTTP answers that stand for an `error`."""


class Socket(ClientConnection):
    """A WebSocket that counts what it hears: on a slow link a message takes its time, and is no silence."""

    num_reads = 0

    def data_received(self, data: bytes) -> None:
        self.num_reads += 1
        super().data_received(data)


class Dial:
    """One server's address. `url`: `ws://` or `wss://`; without a path it gets the server's own."""

    def __init__(self, url: str, proxy: str | Literal[True] | None) -> None:
        parts = urlsplit(url)
        self.url = urlunsplit(parts._replace(path=PATH)) if parts.path in ("", "/") else url
        self._proxy = proxy

    async def connect(self) -> Socket:
        """A new WebSocket. Raises SpeechError if it is refused, OSError or WebSocketException if there is no server."""
        try:
            socket = await connect(
                self.url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=SERVER_MESSAGE_BYTES,
                open_timeout=None,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=None,  # the link itself watches for silence
                proxy=self._proxy,
                create_connection=Socket,
            )
        except InvalidStatus as refused:
            code = REFUSALS.get(refused.response.status_code)
            if code is None:
                raise
            sentence = f"expected the server to take a connection, it answered HTTP {refused.response.status_code}"
            raise SpeechError(code, sentence, retry_after_ms=_retry_after_ms(refused.response)) from None
        assert isinstance(socket, Socket)
        return socket


def _retry_after_ms(response: Response) -> int | None:
    """`Retry-After` in its form of seconds (RFC 9110, 10.2.3); the other, a date, needs a clock that both share."""
    seconds = response.headers.get("Retry-After", "")
    return 1000 * int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else None
