"""How much one address, or one key, may ask: connections at a time, new ones a second, and what is said on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from .admission import Refusal, Throttle
from .config import Config
from .quota import Quota

MAX_CALLERS = 65_536
"""More are not remembered: those that knocked longest ago, and have no connection, are forgotten."""

BURST_S = 30.0
"""So many seconds' worth of requests may come at once: a page is some fifty, and whole offices share an address."""

MAX_HOPS = 16
"""Of X-Forwarded-For, from its end."""

IPV6_PREFIX = 64
"""What one customer of a network gets: within it an address says nothing."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Key:
    """One of the keys that open the server, by its place among them."""

    number: int


@dataclass(slots=True)
class _Caller:
    quota: Quota
    requests: Throttle
    level: float
    at: float
    num_connections: int = 0


class Callers:
    """Those of one web process, by address and by key. None is who is not counted."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._proxies = config.trusted_proxies
        self._limits_loopback = config.limit_loopback
        self.limits_keys = config.limit_keys
        self._max_connections = config.connections_per_ip
        self._rate_per_s = config.handshakes_per_s
        self._burst = max(1.0, float(config.handshake_burst))
        self._messages_per_s = config.messages_per_s_per_ip
        self._chars_per_s = config.chars_per_s_per_ip
        self._burst_chars = config.message_bytes
        self._clock = clock
        self._callers: dict[Address | Key, _Caller] = {}  # who knocked last stands last
        self._requests_per_s = config.requests_per_s
        self._num_outside: Counter[Address] = Counter()

    def __len__(self) -> int:
        return len(self._callers)

    def address(self, scope: Mapping[str, Any]) -> Address | None:
        """Who is counted; None for who is not: this machine itself, or a peer without an address."""
        peer = _parsed((scope.get("client") or ("",))[0])
        hops = _hops(scope) if peer is not None and self._is_proxy(peer) else []
        while peer is not None and self._is_proxy(peer) and hops:
            before = _parsed(hops.pop())
            if before is None:
                break  # whoever wrote that, this proxy let it pass
            peer = before
        if peer is None or (peer.is_loopback and not self._limits_loopback):
            return None
        if isinstance(peer, IPv6Address):
            return IPv6Network((peer, IPV6_PREFIX), strict=False).network_address
        return peer

    def peer(self, client: tuple[str, int] | None) -> Address | None:
        """Who is counted before it has said a word; a proxy is not."""
        address = self.address({"client": client})
        return None if address is None or self._is_proxy(address) else address

    def enter(self, address: Address | None) -> bool:
        """A connection that is not a WebSocket, or not yet. If it may stay it is one more, until `exit`."""
        if address is None:
            return True
        if self._num_outside[address] >= self._max_connections:
            return False
        self._num_outside[address] += 1
        return True

    def exit(self, address: Address | None) -> None:
        """It is over, or a WebSocket."""
        if address is not None:
            self._num_outside[address] -= 1
            if not self._num_outside[address]:
                del self._num_outside[address]

    def request(self, address: Address | None) -> Refusal | None:
        """One over HTTP."""
        if address is None:
            return None
        now = self._clock()
        wait_s = self._remembered(address, now).requests.owed_s(now)
        if wait_s > 0:
            message = f"expected at most {self._requests_per_s:g} requests a second from one address, got more"
            return Refusal(message, max(1, round(1000 * wait_s)))
        self._callers[address].requests.take(1, now)
        return None

    def knock(self, who: Address | Key | None, *, is_new: bool = True) -> Refusal | None:
        """A connection; one that is not new was counted as a handshake elsewhere. Whoever is not refused has one more,
        until `leave`."""
        if who is None:
            return None
        now = self._clock()
        caller = self._remembered(who, now)
        one = "one key" if isinstance(who, Key) else "one address"
        caller.level = min(self._burst, caller.level + (now - caller.at) * self._rate_per_s)
        caller.at = now
        if is_new and caller.level < 1:
            wait_s = (1 - caller.level) / self._rate_per_s
            message = f"expected at most {self._rate_per_s:g} connections a second from {one}, got more"
            return Refusal(message, max(1, round(1000 * wait_s)))
        caller.level -= is_new
        if caller.num_connections >= self._max_connections:
            return Refusal(f"expected at most {self._max_connections} connections at a time from {one}, got more")
        caller.num_connections += 1
        return None

    def leave(self, who: Address | Key | None) -> None:
        """One of its connections is over."""
        if who is not None:
            self._callers[who].num_connections -= 1

    def quota(self, who: Address | Key) -> Quota:
        """What somebody who has a connection may say on all of them."""
        return self._callers[who].quota

    def _remembered(self, who: Address | Key, now: float) -> _Caller:
        caller = self._callers.pop(who, None)
        if caller is None:
            quota = Quota(
                messages_per_s=self._messages_per_s, chars_per_s=self._chars_per_s, burst_chars=self._burst_chars
            )
            requests = Throttle(self._requests_per_s, burst=BURST_S * self._requests_per_s)
            caller = _Caller(quota, requests, self._burst, now)
            self._forget()
        self._callers[who] = caller
        return caller

    def _is_proxy(self, peer: Address) -> bool:
        return any(peer in network for network in self._proxies)

    def _forget(self) -> None:
        if len(self._callers) >= MAX_CALLERS:
            idle = (who for who, caller in self._callers.items() if not caller.num_connections)
            oldest = next(idle, None)
            if oldest is not None:
                del self._callers[oldest]


def _hops(scope: Mapping[str, Any]) -> list[str]:
    """The last ones. Some proxies append to the header that came, some add a second one below it."""
    lines = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    return ",".join(lines).split(",")[-MAX_HOPS:]


def _parsed(text: str) -> Address | None:
    """An address as proxies write it: bare, in brackets, or with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
