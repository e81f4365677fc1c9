"""What an utterance needs of the client that it belongs to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from .messages import ClientMessage, ModelDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The way to the server, as one utterance sees it."""

    post: Callable[[ClientMessage], None]  # raises LocalProtocolError; does nothing once the connection is lost
    pieces: Callable[[str], AsyncIterator[str]]  # a text in parts that the server has room for, when it has
    look_again: Callable[[], None]  # for who waits for that room: there may be some
    model: Callable[[], ModelDescription]  # the server's
    clock: Callable[[], float]  # monotonic seconds
