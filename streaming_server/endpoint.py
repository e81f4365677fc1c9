"""Where WebSockets come in: who may, and the goodbye to all of them."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers

from protocol.errors import CloseCode
from protocol.messages import SUBPROTOCOL

from .admission import GOING_AWAY, Admission, Refusal
from .auth import Doorkeeper
from .callers import Callers
from .config import Config
from .conversation import FAREWELL_S, Conversation, Receive, Scope, Send
from .lobby import Lobby
from .metrics import Metrics
from .session import Session
from .studio import Studio
from .turning_away import turn_away


class StreamEndpoint:
    """`GET /v1/stream`, an ASGI application."""

    def __init__(
        self, config: Config, studio: Studio, admission: Admission, doorkeeper: Doorkeeper, metrics: Metrics
    ) -> None:
        self._config = config
        self._studio = studio
        self._admission = admission
        self._doorkeeper = doorkeeper
        self._metrics = metrics
        self._lobby = Lobby(admission, metrics, resume_s=config.resume_ms / 1000, clock=studio.clock)
        self._callers = Callers(config, studio.clock)
        self._open: set[Conversation] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        headers = Headers(scope=scope)
        if not self._doorkeeper.allows_origin(headers):
            self._metrics.turned_away.labels("403").inc()
            await send({"type": "websocket.close", "code": CloseCode.POLICY})  # HTTP 403, before the upgrade
            return
        if len(self._open) >= self._admission.max_connections:
            await self._turn_away(send, 503, Refusal("all connections of this server are in use"))
            return
        if self._admission.draining and not self._lobby.has_parked:
            await self._turn_away(send, 503, Refusal(GOING_AWAY))
            return
        address = self._callers.address(scope, headers)
        refusal = self._callers.knock(address)
        if refusal is not None:
            await self._turn_away(send, 429, refusal)
            return
        try:
            await self._let_in(scope, headers, receive, send)
        finally:
            self._callers.leave(address)

    async def _turn_away(self, send: Send, status: int, refusal: Refusal) -> None:
        self._metrics.turned_away.labels(str(status)).inc()
        await turn_away(send, status, refusal)

    async def _let_in(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        offered = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", []) else None
        await send({"type": "websocket.accept", "subprotocol": offered})
        self._metrics.connections.inc()
        conversation = Conversation(
            self._config,
            self._studio,
            self._admission,
            self._doorkeeper,
            self._metrics,
            self._lobby,
            headers=headers,
            receive=receive,
            send=send,
        )
        self._open.add(conversation)
        try:
            await conversation.run()
        finally:
            self._open.discard(conversation)

    @property
    def sessions(self) -> list[Session]:
        """Those that have a connection."""
        return [each.session for each in self._open if each.session is not None]

    @property
    def num_busy(self) -> int:
        """Connections that something is still being said on."""
        return sum(each.is_busy for each in self._open)

    async def say_goodbye(self) -> None:
        """The server is going away: every connection is closed with 1001, and nobody comes back."""
        self._lobby.close()
        open_now = list(self._open)
        for conversation in open_now:
            conversation.leave()
        if open_now:
            await asyncio.wait([conversation.task for conversation in open_now], timeout=FAREWELL_S)
