"""One connection, as far as it is counted: for its address, and for its key where keys are counted."""

from __future__ import annotations

import asyncio

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.ledger import Ledger
from protocol.messages import ClientMessage, Text

from .admission import Refusal
from .callers import Address, Callers, Key
from .metrics import Metrics
from .quota import Quota

TURN = 16
"""After so many messages that lay ready the loop has a turn: nobody's burst keeps the others waiting."""


class Visit:
    """May say as much as its session, its address and its key have left."""

    def __init__(self, callers: Callers, address: Address | None, metrics: Metrics, *, is_new: bool = True) -> None:
        """`is_new`: no other web process has let it in before."""
        self._callers = callers
        self._is_new = is_new
        self._metrics = metrics
        self._counted: list[Address | Key] = []
        self.quotas: list[Quota] = []
        """Its allowances; those of a key come later."""
        self._num_taken = 0
        self.refusal: Refusal | None = self._count(address)
        """Why it may not come in."""

    def leave(self) -> None:
        """It is over."""
        for who in self._counted:
            self._callers.leave(who)

    def show(self, key: Key | None) -> None:
        """It counts for that key as well, if keys are counted. Raises RemoteProtocolError (`busy`)."""
        refusal = self._count(key) if self._callers.limits_keys else None
        if refusal is not None:
            raise RemoteProtocolError(
                ErrorCode.BUSY, refusal.message, fatal=True, retry_after_ms=refusal.retry_after_ms
            )

    def admit(self, message: ClientMessage, ledger: Ledger, now: float) -> None:
        """Raises RemoteProtocolError (`text_limit`) for text of which there was too much already; it was not taken."""
        try:
            for quota in self.quotas:
                quota.admit(message, now)
        except RemoteProtocolError:
            if isinstance(message, Text):
                ledger.untake(message)
            raise

    async def pause(self, message: ClientMessage | None, own_s: float, now: float) -> None:
        """Leave the socket unread for as long as it takes, `own_s` for its session, and now and then for a turn."""
        wait_s = own_s
        for quota in self.quotas:
            wait_s = max(wait_s, quota.take(message, now))
        if wait_s > 0:
            self._metrics.throttled.labels("session" if own_s >= wait_s else "shared").inc()
        self._num_taken += 1
        if wait_s > 0 or self._num_taken % TURN == 0:
            await asyncio.sleep(wait_s)

    def _count(self, who: Address | Key | None) -> Refusal | None:
        if who is None:
            return None
        refusal = self._callers.knock(who, is_new=self._is_new)
        if refusal is None:
            self._counted.append(who)
            self.quotas.append(self._callers.quota(who))
        return refusal
