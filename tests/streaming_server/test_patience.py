"""The writer is waited for, but not for ever."""

from __future__ import annotations

import asyncio
import time

from streaming_server.patience import Patience
from tests.streaming_server.serving import until


class Written:
    """Text that is held back until it is spoken."""

    def __init__(self, *, whole: bool) -> None:
        self.pending = True
        self.calls: list[str] = []
        self._whole = whole

    def pause(self) -> None:
        self.calls.append("pause")
        self.pending = not self._whole

    def flush(self) -> None:
        self.calls.append("flush")
        self.pending = False


def waiting(written: Written, given_up: list[float], *, pause_s: float | None, idle_s: float, quiet: bool) -> Patience:
    return Patience(
        written,
        pause_s=pause_s,
        idle_s=idle_s,
        is_quiet=lambda: quiet,
        give_up=lambda: given_up.append(time.monotonic()),
        clock=time.monotonic,
    )


async def test_a_pause_speaks_what_is_whole_and_then_nothing_more() -> None:
    written = Written(whole=True)
    patience = waiting(written, [], pause_s=0.02, idle_s=10, quiet=True)
    await until(lambda: bool(written.calls))
    await asyncio.sleep(0.1)
    patience.close()
    assert written.calls == ["pause"]


async def test_a_long_pause_speaks_the_word_that_was_held_back() -> None:
    written = Written(whole=False)
    patience = waiting(written, [], pause_s=0.02, idle_s=10, quiet=True)
    await until(lambda: "flush" in written.calls)
    await asyncio.sleep(0.1)
    patience.close()
    assert written.calls == ["pause", "flush"]


async def test_a_writer_who_goes_on_is_not_interrupted() -> None:
    written = Written(whole=True)
    patience = waiting(written, [], pause_s=0.7, idle_s=10, quiet=True)
    for _ in range(10):
        await asyncio.sleep(0.1)
        patience.touch()
    patience.close()
    assert written.calls == []


async def test_without_a_pause_time_only_silence_counts() -> None:
    written, given_up = Written(whole=True), [0.0][1:]
    patience = waiting(written, given_up, pause_s=None, idle_s=0.1, quiet=True)
    await until(lambda: bool(given_up))
    await asyncio.sleep(0.2)
    patience.close()
    assert written.calls == []
    assert len(given_up) == 1


async def test_nobody_gives_up_while_there_is_something_to_hear() -> None:
    given_up: list[float] = []
    patience = waiting(Written(whole=True), given_up, pause_s=0.02, idle_s=0.1, quiet=False)
    await asyncio.sleep(0.3)
    patience.close()
    assert given_up == []
