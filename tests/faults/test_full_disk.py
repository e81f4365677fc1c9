"""No room on the disk for a voice that comes: it is told so, nothing of it is kept, and speech goes on."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.streaming_server.learning import add, everything, names

from .aftermath import Witness
from .test_engines import crowd
from .test_processes import limited
from .victim import KEY, Victim

NO_ROOM = 'voxwire_http_responses_total{status="507"}'


@pytest.fixture
def full_disk(voices: Path) -> Iterator[Path]:
    """Under the voices, with room for less than one recording."""
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "voxwire", str(voices))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system needs root, and leave to mount one")
    try:
        yield voices
    finally:
        subprocess.run(("umount", "--lazy", str(voices)), check=True)


def http(server: Victim) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEY}", "connection": "close"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=30)


async def assert_refused_for_want_of_room(client: httpx.AsyncClient) -> None:
    there = await names(client)
    answer = await add(client)
    assert answer.status_code == 507
    error = answer.json()["error"]
    assert error["code"] == "disk_full"
    assert error["message"].count(". ") == 0, "expected one sentence"
    assert await names(client) == there


async def test_a_voice_that_finds_no_room_among_the_others(troubled: Witness, full_disk: Path) -> None:
    """It came whole; what was written of it is gone, and so it is the next time."""
    async with troubled.aftermath(NO_ROOM), http(troubled.server) as client, crowd(troubled.server):
        for _ in range(2):
            await assert_refused_for_want_of_room(client)
            assert everything(full_disk) == set()


async def test_a_voice_that_finds_no_room_while_it_comes(troubled: Witness, voices: Path) -> None:
    """It is not even received. When there is room again, it is."""
    (web,) = troubled.server.pids["web"]
    async with troubled.aftermath(NO_ROOM), http(troubled.server) as client, crowd(troubled.server):
        with limited(web, resource.RLIMIT_FSIZE, 65_536):
            await assert_refused_for_want_of_room(client)
        assert everything(voices) == set()
        assert (await add(client)).status_code == 201
        assert (await client.delete("/v1/voices/Anna")).status_code == 204
        assert everything(voices) <= {".lock"}
