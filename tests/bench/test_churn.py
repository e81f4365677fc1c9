"""`python -m bench.churn`, for real and short, and what it would find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.churn import Churn, Sample, judged, main, memory_of
from bench.churn_leftovers import count_free_slots, leftovers, num_slots
from bench.processes import Usage
from bench.websocket import BUFFER_BYTES, Address
from tests.models.engine.scripted import ScriptedModel
from tests.streaming_server.serving import greeted, serving, until

SECONDS = 3.0


@pytest.mark.full
def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    assert main(["--minutes", str(SECONDS / 60), "--visitors", "6", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["verdict"], result["faults"], result["fault_examples"]) == ("ok", 0, [])
    assert len(result["visits"]) >= 8, "most habits were seen"
    ends = {name: num for name, num in result["utterances"].items() if name != "started"}
    assert sum(ends.values()) == result["utterances"]["started"]
    assert min(ends["end"], ends["cancelled"], ends["left"]) > 0
    assert result["slots"] == result["free_slots"] > 1000
    assert not any(result["left"].values())
    assert set(result["memory"]) == {"web", "engine"}


async def test_a_slot_that_is_taken_is_not_counted_as_free() -> None:
    async with serving(ScriptedModel(max_slots=20), resume_ms=100) as server:
        address, buffer = Address.of(server.http_url), bytearray(BUFFER_BYTES)
        assert await num_slots(server.http_url) == 20
        assert await count_free_slots(address, 20, buffer) == 20
        await until(lambda: not server.engine.num_streams)
        async with greeted(server) as wire:
            for name in ("a", "b"):
                await wire.send("start", utterance=name)
            await until(lambda: server.engine.num_streams == 2)
            assert await count_free_slots(address, 20, buffer) == 18
            left = leftovers(server.http_url, patience_s=0.1)
            assert await left == {"sessions": 1, "streams": 2, "listeners": 2}
        assert not any((await leftovers(server.http_url)).values())


def churn_of(*rss_mib: int, **changes: int) -> Churn:
    """A run of ten minutes without fault, a sample a minute; `changes` to what is left or started."""
    churn = Churn(slots=8, free_slots=8 - changes.get("lost_slots", 0))
    churn.samples = [
        Sample(60.0 * minute, {"engine": Usage(0.0, mib << 20)}, {"engine": 5}) for minute, mib in enumerate(rss_mib)
    ]
    churn.left = {"sessions": float(changes.get("sessions", 0))}
    churn.book.utterances.update(started=10 + changes.get("unended", 0), end=10)
    return churn


@pytest.mark.parametrize(
    ("churn", "verdict"),
    [
        (churn_of(50, 100, 105, 109), "ok"),
        (churn_of(50, 100, 120, 111), "the engine process grew by a factor of 1.11"),
        (churn_of(50, 100, 100, lost_slots=1), "1 slots are not free"),
        (churn_of(50, 100, 100, sessions=2), "left behind: 2 sessions"),
        (churn_of(50, 100, 100, unended=3), "3 utterances without an end"),
    ],
)
def test_what_leaks_is_named(churn: Churn, verdict: str) -> None:
    assert judged(churn, minutes=10) == verdict


def test_memory_of_a_run_too_short_to_show_is_not_judged() -> None:
    churn = churn_of(50, 100, 200)
    assert judged(churn, minutes=0.1) == "ok"
    assert memory_of(churn.samples)["engine"]["growth"] == 2.0
