"""A peer whose cable is pulled: no end, no reset, no answer. It needs a network of its own, and root to make one."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from protocol.messages import Close, Start
from tests.streaming_server.listener import Listener

from .aftermath import Witness
from .conftest import SHORT
from .victim import KEY, victim

HERE, THERE = "198.51.100.1", "198.51.100.2"  # RFC 5737: addresses that nobody has
FREED_S = 20.0
TEXT = "This is said to nobody. "


@pytest.fixture
def cable() -> Iterator[str]:
    """To a network namespace, whose name is given; the end there is called `there`."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    name = f"vox{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "there", "netns", name)
        _ip("address", "add", f"{HERE}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "address", "add", f"{THERE}/30", "dev", "there")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "link", "set", "there", "up")
        yield name
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not to be had: {error.stderr.decode().strip()}")
    finally:
        subprocess.run(("ip", "link", "delete", name), capture_output=True, check=False)
        subprocess.run(("ip", "netns", "delete", name), capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True)


async def test_a_cable_that_is_pulled_during_speech(cable: str) -> None:
    """The server frees the connection soon, keeps the session, and gives it back when there is a cable again."""
    flags = (*SHORT, "--host", THERE, "--resume-ms", "10000", "--tcp-user-timeout-ms", "800")
    with victim(*flags, within=("ip", "netns", "exec", cable)) as server:
        witness = await Witness.of(server)
        async with witness.aftermath("voxwire_sessions_lost_total", "voxwire_sessions_resumed_total"):
            num_files = server.num_files()
            listener = await Listener(server, token=KEY, lead_ms=300).open()
            await listener.say(Start(utterance="u", seed=9, text=TEXT, end=True))
            await listener.hear_some("u")
            _ip("-n", cable, "link", "set", "there", "down")
            pulled_at = time.monotonic()
            while server.num_files() > num_files:
                assert time.monotonic() < pulled_at + FREED_S, "expected the connection to be freed"
                await asyncio.sleep(0.02)
            listener.cut()
            _ip("-n", cable, "link", "set", "there", "up")
            await listener.open()
            assert listener.ready.resumed
            await listener.hear_out("u")
            assert listener.done["u"].samples == listener.num_heard["u"]
            await listener.say(Close())
            await listener.close_code()
