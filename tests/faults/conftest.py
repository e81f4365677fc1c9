"""Servers that many faults share: each is started once, and must be as before after every fault."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.streaming_server.test_drain import until_all_serve

from .aftermath import Witness
from .victim import victim

SHORT = (
    *("--resume-ms", "3000"),
    *("--ping-interval-ms", "300", "--ping-timeout-ms", "1500"),
    *("--write-stall-ms", "500"),
    *("--engine-step-timeout-ms", "700"),
)
"""Time-outs that a test can wait for."""

IMPATIENT = (
    *("--handshake-timeout-ms", "1000", "--hello-timeout-ms", "800"),
    *("--pending-chars", "20000"),
)

STRICT = (
    *("--limit-loopback", "--connections-per-ip", "12", "--handshake-burst", "30", "--handshakes-per-s", "30"),
    *("--max-sessions", "16"),
    *("--resume-ms", "500", "--utterance-idle-ms", "400"),
)


@pytest.fixture(
    autouse=True,
    params=[1, *(pytest.param(each, marks=pytest.mark.full) for each in (2, 3))],
    ids=lambda each: f"{each}",
)
def time_of_three(request: pytest.FixtureRequest) -> int:
    """Every fault is done once in the short suite, and three times in the full one."""
    time: int = request.param
    return time


@contextmanager
def witnessed(*flags: str, module: str = "streaming_server", has_few_slots: bool = False) -> Iterator[Witness]:
    """A warm server with these flags, and who looks at it."""
    with victim(*flags, module=module) as server:
        yield asyncio.run(Witness.of(server, has_few_slots=has_few_slots))


@pytest.fixture(scope="session")
def hasty() -> Iterator[Witness]:
    """A server with short time-outs and small limits."""
    with witnessed(*SHORT, *IMPATIENT) as witness:
        yield witness


@pytest.fixture(scope="session")
def patient() -> Iterator[Witness]:
    """A server as it comes, but for how long it waits for the lost."""
    with witnessed("--resume-ms", "3000") as witness:
        yield witness


@pytest.fixture(scope="session")
def strict() -> Iterator[Witness]:
    """A server that lets few in, and counts this machine's as anybody's."""
    with victim(*STRICT) as server:
        yield asyncio.run(Witness.of(server, num_listeners=8))


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `troubled` has its voices; empty."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="session")
def troubled(voices: Path) -> Iterator[Witness]:
    """A server with short time-outs whose engine texts can trouble, and that learns voices."""
    flags = (*SHORT, "--voices-dir", str(voices))
    with witnessed(*flags, module="tests.faults.troubled_server", has_few_slots=True) as witness:
        yield witness


@pytest.fixture(scope="session")
def pair() -> Iterator[Witness]:
    """Two web processes, both of which serve, and one engine."""
    with victim(*SHORT, "--workers", "2") as server:
        asyncio.run(until_all_serve(server.process, server.port, 2))
        yield asyncio.run(Witness.of(server))
