"""Who may speak to us: the key, and the pages whose scripts may connect."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from .callers import Key
from .config import Config

log = logging.getLogger(__name__)

BEARER = "bearer "


class Doorkeeper:
    """Compares keys in constant time, origins exactly."""

    def __init__(self, config: Config) -> None:
        self._keys = tuple(key.encode() for key in config.api_keys)
        self._origins = frozenset(config.allowed_origins)
        self._trusts_names = bool(self._keys) or not config.loopback

    def knows(self, token: str | None) -> bool:
        """Whether this token opens the door; any does where no key is set."""
        return not self._keys or self._number(token) is not None

    def knows_headers(self, headers: Mapping[str, str]) -> bool:
        """Whether `Authorization: Bearer KEY` does."""
        return self.knows(_bearer(headers))

    def key_of(self, token: str | None, headers: Mapping[str, str]) -> Key | None:
        """Which of several keys came, as either; None where none is set, or asked for."""
        number = self._number(token)
        number = self._number(_bearer(headers)) if number is None else number
        return None if number is None else Key(number)

    def _number(self, token: str | None) -> int | None:
        """As many comparisons whichever it is."""
        came = (token or "").encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(came, key) for key in self._keys]
        return matches.index(True) if True in matches else None

    def allows_origin(self, headers: Mapping[str, str]) -> bool:
        """No origin (not a browser), the server's own, or one that the configuration lists.

        On loopback without a key, being reached is all it takes to speak. There the own origin must be `localhost` or
        an address: a page can have its own name resolve to 127.0.0.1 (DNS rebinding), and then calls it ours.
        """
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return True
        if self._is_own(origin, headers.get("host", "")):
            return True
        log.warning("refused a page of %s: if it may connect, start with --allowed-origins %s", origin, origin)
        return False

    def _is_own(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:  # an address in brackets that is none
            return False
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.netloc != host:
            return False
        return self._trusts_names or _names_this_machine(parts.hostname)


def _bearer(headers: Mapping[str, str]) -> str | None:
    value = headers.get("authorization", "")
    return value[len(BEARER) :].strip() if value.lower().startswith(BEARER) else None


def _names_this_machine(host: str) -> bool:
    """Whether no name server has a say in where it leads."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
