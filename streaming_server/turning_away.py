"""How a refusal is put: as an `error` message, or in HTTP where the WebSocket is not even opened."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal

from protocol.errors import ErrorCode, ProtocolError, RemoteProtocolError
from protocol.messages import Error

from .admission import Refusal
from .audio.encoder import UnsupportedFormat
from .engine_client import EngineUnavailable

TOO_SLOW = RemoteProtocolError(
    ErrorCode.SLOW_CONSUMER, "expected what is sent to be read, got no sign of it", fatal=True
)


def time_is_up(sentence: str) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.TIMEOUT, sentence, fatal=True)


def as_message(error: ProtocolError) -> Error:
    return Error(
        code=error.code,
        message=error.message,
        utterance=error.utterance,
        fatal=error.fatal,
        retry_after_ms=error.retry_after_ms,
    )


@contextmanager
def told_of(utterance: str) -> Iterator[None]:
    """What cannot be served becomes the utterance's error."""
    try:
        yield
    except UnsupportedFormat as error:
        raise RemoteProtocolError(ErrorCode.UNSUPPORTED_FORMAT, str(error), utterance=utterance) from None
    except EngineUnavailable as error:
        raise RemoteProtocolError(ErrorCode.BUSY, str(error), utterance=utterance, retry_after_ms=1000) from None


async def turn_away(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    status: int,
    refusal: Refusal,
    *,
    answer: Literal["http.response", "websocket.http.response"] = "websocket.http.response",
) -> None:
    """`send`: of an ASGI request, or of a WebSocket that is not accepted yet: so are the kinds of `answer`."""
    body = json.dumps({"error": {"code": ErrorCode.BUSY, "message": refusal.message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"retry-after", str(math.ceil(refusal.retry_after_ms / 1000)).encode()),
    ]
    await send({"type": f"{answer}.start", "status": status, "headers": headers})
    await send({"type": f"{answer}.body", "body": body})
