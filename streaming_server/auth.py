"""Who may speak to us: the key, and the pages whose scripts may connect."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from .config import Config

BEARER = "bearer "


class Doorkeeper:
    """Compares keys in constant time, origins exactly."""

    def __init__(self, config: Config) -> None:
        key = config.api_key
        self._key = key.get_secret_value().encode() if key is not None else None
        self._origins = frozenset(config.allowed_origins)

    @property
    def needs_key(self) -> bool:
        return self._key is not None

    def knows(self, token: str | None) -> bool:
        """Whether this token opens the door; any does where no key is set."""
        if self._key is None:
            return True
        return token is not None and hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._key)

    def knows_headers(self, headers: Mapping[str, str]) -> bool:
        """Whether `Authorization: Bearer KEY` does."""
        value = headers.get("authorization", "")
        token = value[len(BEARER) :].strip() if value.lower().startswith(BEARER) else None
        return self.knows(token)

    def allows_origin(self, headers: Mapping[str, str]) -> bool:
        """No origin (not a browser), the server's own, or one that the configuration lists."""
        origin = headers.get("origin")
        if origin is None:
            return True
        if origin.lower() in self._origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.netloc == headers.get("host", "")
