"""uvicorn's WebSocket, with an answer to every handshake.

As it comes, one that the parser refuses (headers too long, a body) gets no answer, and its connection no end; and who
asks for another version is not told of ours.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

VERSION = "13"
"""RFC 6455, 4.1: of WebSocket. There is no other."""


class UpgradeSocket(WebSocketsSansIOProtocol):
    """One connection, up to its acceptance."""

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # Later versions of websockets have an answer ready, which uvicorn leaves with them.
            answer = b"".join(self.conn.data_to_send())
            self._turn_down(answer or b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    def handle_connect(self, event: Request) -> None:
        versions = event.headers.get_all("Sec-WebSocket-Version")
        if len(versions) == 1 and versions != [VERSION]:
            response = self.conn.reject(HTTPStatus.UPGRADE_REQUIRED, f"expected version {VERSION} of WebSocket\n")
            response.headers["Upgrade"] = "websocket"
            response.headers["Sec-WebSocket-Version"] = VERSION  # RFC 6455, 4.4: a server must tell
            self._turn_down(response.serialize())
        else:
            super().handle_connect(event)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # else uvicorn logs an error for each that is turned away

    def _turn_down(self, answer: bytes) -> None:
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(answer)
        self.transport.close()
