"""How a refusal is put: as an `error` message, or in HTTP where the WebSocket is not even opened."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from protocol.errors import ErrorCode, ProtocolError
from protocol.messages import Error

from .admission import Refusal


def as_message(error: ProtocolError) -> Error:
    return Error(
        code=error.code,
        message=error.message,
        utterance=error.utterance,
        fatal=error.fatal,
        retry_after_ms=error.retry_after_ms,
    )


async def turn_away(send: Callable[[MutableMapping[str, Any]], Awaitable[None]], status: int, refusal: Refusal) -> None:
    """`send`: of an ASGI WebSocket that is not accepted yet."""
    body = json.dumps({"error": {"code": ErrorCode.BUSY, "message": refusal.message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"retry-after", str(math.ceil(refusal.retry_after_ms / 1000)).encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
