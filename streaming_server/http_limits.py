"""How many HTTP requests are answered: of one address in a second, and of all at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp

from .admission import Refusal
from .callers import Callers
from .metrics import Metrics
from .turning_away import turn_away

MAX_REQUESTS = 256
"""At a time."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class HttpLimits:
    """An ASGI application before another. WebSockets have limits of their own."""

    def __init__(self, app: ASGIApp, callers: Callers, metrics: Metrics) -> None:
        self._app = app
        self._callers = callers
        self._metrics = metrics
        self._num_requests = 0

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]], send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._counting(send)
        refusal = self._callers.request(self._callers.address(scope))
        if refusal is not None:
            await self._turn_away(answer, 429, refusal)
        elif self._num_requests >= MAX_REQUESTS:
            await self._turn_away(answer, 503, Refusal("the server is answering as many requests as it can"))
        else:
            self._num_requests += 1
            try:
                await self._app(scope, receive, answer)
            finally:
                self._num_requests -= 1

    def _counting(self, send: Send) -> Send:
        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._metrics.http_responses.labels(str(message["status"])).inc()
            await send(message)

        return answer

    async def _turn_away(self, send: Send, status: int, refusal: Refusal) -> None:
        await turn_away(send, status, refusal, answer="http.response")
