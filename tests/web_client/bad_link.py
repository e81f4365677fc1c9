"""A bad link between a browser and a server, for tests that do not run in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.fault_proxy import Conditions, FaultProxy

START_S = 30.0


class BadLink:
    """A `FaultProxy` that lives in a thread of its own. What is asked of it has happened when the call returns."""

    def __init__(self, proxy: FaultProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.port = proxy.port

    @property
    def num_accepted(self) -> int:
        return self._proxy.num_accepted

    def reset_all(self) -> None:
        """Whatever is connected gets RST."""
        self._do(self._proxy.reset_all)

    def swallow(self, is_black_hole: bool = True) -> None:
        """It goes silent: nothing is closed, and nothing arrives any more."""
        self._proxy.up = self._proxy.down = Conditions(is_black_hole=is_black_hole)

    def come_from(self, address: str) -> None:
        """What connects from now on, as the server sees it."""
        self._proxy.source = address

    def refuse(self) -> None:
        """New connections."""
        self._do(self._proxy.refuse)

    def admit(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.admit(), self._loop).result(START_S)

    def _do(self, act: Callable[[], None]) -> None:
        async def act_there() -> None:
            act()

        asyncio.run_coroutine_threadsafe(act_there(), self._loop).result(START_S)


@contextmanager
def bad_link(port: int) -> Iterator[BadLink]:
    """To a server on this machine; good as long as nothing is asked of it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = FaultProxy("127.0.0.1", port)
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(START_S)
        yield BadLink(proxy, loop)
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result(START_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_S)
        loop.close()
