"""How fast what clients say is read: messages and characters a second, of one session or of all that share an address
or a key."""

from __future__ import annotations

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import ClientMessage, Start, Text

from .admission import Throttle

MAX_DEBT_S = 1.0
"""Who shares an allowance waits no longer for the text of others; what is beyond that is refused."""


class Quota:
    """The allowance of one address or key. What comes too fast is read more slowly; text that is far too much is
    refused, so that nobody's `cancel` waits behind the text of others."""

    def __init__(self, *, messages_per_s: float, chars_per_s: float, burst_chars: int) -> None:
        """At least `burst_chars` characters may come at once: what fits in one message."""
        self._messages = Throttle(messages_per_s)
        self._chars = Throttle(chars_per_s, burst=burst_chars)

    def admit(self, message: ClientMessage, now: float) -> None:
        """Raises RemoteProtocolError (`text_limit`); then the text is not counted."""
        if not isinstance(message, Text | Start) or not message.text:
            return
        debt_s = self._chars.owed_s(now)
        if debt_s > MAX_DEBT_S:
            raise RemoteProtocolError(
                ErrorCode.TEXT_LIMIT,
                f"expected at most {self._chars.rate_per_s:g} characters a second from one address or key, got more",
                utterance=message.utterance,
                retry_after_ms=round(1000 * debt_s),
            )

    def take(self, message: ClientMessage | None, now: float) -> float:
        """Seconds to wait before more is read; None: a message that was refused or came too late."""
        wait_s = self._messages.take(1, now)
        if isinstance(message, Text | Start):
            wait_s = max(wait_s, self._chars.take(len(message.text or ""), now))
        return wait_s

    def take_frame(self, now: float) -> float:
        """The same for a frame that is no message: a ping, or a fragment."""
        return self._messages.take(1, now)
