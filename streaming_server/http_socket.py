"""uvicorn's HTTP connection, with bounds on peers that say nothing, little or too much.

As it comes, it waits for ever for a request that is not whole, and keeps a head, or a chunked body's trailers, of any
size.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from .callers import Address, Callers
from .metrics import Metrics

MAX_HEAD_BYTES = 65_536
"""Of a request: its line and its headers."""

MAX_LEFTOVER_BYTES = 32 << 20
LEFTOVER_S = 120.0
"""A body that comes on after the answer is read and dropped: clients look for one when they have sent all."""

LINGER_S = 1.0
"""So long a peer that is turned away has to read why."""

LINGERING = 32
"""So many of those who are too many may do that at a time."""


class HttpSocket(HttpToolsProtocol):
    """One connection, until it ends or becomes a WebSocket's.

    `max_connections`: of this process, of either kind; one more is told 503. `head_s`: within that a request's head has
    to come, whole, from the moment that one can.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        callers: Callers,
        metrics: Metrics,
        max_connections: int,
        head_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._callers = callers
        self._metrics = metrics
        self._max_connections = max_connections
        self._head_s = head_s
        self._address: Address | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._num_bytes = 0  # since the last whole request
        self._is_answered = False
        self._in_body = False
        self._is_over = False

    # ---- what the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._metrics.open_connections.set_function(self.connections.__len__)
        if len(self.connections) > self._max_connections:
            self._turn_away(503)
            return
        address = self._callers.peer(self.client)
        if not self._callers.enter(address):
            self._turn_away(429)
            return
        self._address = address
        self._wait(self._head_s)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._num_bytes += len(data)
        super().data_received(data)
        if not self._in_body and self._num_bytes > MAX_HEAD_BYTES:
            self._turn_away(431)
        elif self._is_answered and self._num_bytes > MAX_LEFTOVER_BYTES:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    # ---- what the parser says

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # else it is a trailer, which nobody asks for
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._is_answered, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._num_bytes = 0
        if self._is_answered:
            self._wait(self._head_s)
        super().on_message_complete()

    # ---- what uvicorn does

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._is_answered = True
            self._wait(LEFTOVER_S if self._in_body else self._head_s)

    def send_400_response(self, msg: str) -> None:
        self._metrics.turned_away.labels("400").inc()
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        self._leave()
        super().handle_websocket_upgrade()
        # It holds this object, and this object holds it: only the garbage collector would find them.
        self.parser = None  # type: ignore[assignment]

    # ---- the bounds

    def _wait(self, delay_s: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(delay_s, self._on_time)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self) -> None:
        if self._num_bytes and not self._in_body:
            self._turn_away(408)
        else:
            self._metrics.turned_away.labels("silent").inc()
            self.transport.close()

    def _turn_away(self, status: int) -> None:
        """With the sockets of those who do not close them soon."""
        self._metrics.turned_away.labels(str(status)).inc()
        self._is_over = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering or len(self.connections) > self._max_connections + LINGERING:
            self.transport.abort()
            return
        lines = (b"retry-after: 1", b"connection: close", b"content-length: 0", b"", b"")
        self.transport.write(STATUS_LINE[status] + b"\r\n".join(lines))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _leave(self) -> None:
        self._stop_waiting()
        self._callers.exit(self._address)
        self._address = None
