"""The server to be measured: it comes up, and is gone afterwards."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from bench.server import ServerFailed, running_server


def test_a_server_is_ready_and_its_processes_are_known_until_it_ends() -> None:
    with running_server("tone") as server:
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=20) as answer:
            assert answer.status == 200
        roles = server.processes
        assert roles["web"] == [server.pid]
        assert len(roles["engine"]) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pids in roles.values() for pid in pids)


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(ServerFailed, match="no-such-voice"), running_server("tone", ["--voice", "no-such-voice"]):
        pass
