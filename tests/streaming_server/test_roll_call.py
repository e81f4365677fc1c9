"""`/metrics` of several web processes: it tells of all of them, whichever is asked."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.metrics import NUM_TRIES, metrics
from models.tone import ToneModel
from streaming_server.engine_client import LocalEngine
from streaming_server.metrics import Metrics
from streaming_server.neighbours import Neighbours
from streaming_server.roll_call import ANSWER_S, MAX_TALLY_BYTES, RollCall
from tests.streaming_server.serving import WAIT_S, until
from tests.streaming_server.test_drain import until_all_serve
from tests.streaming_server.test_serve import hear, voxwire_serve, workers_of

NUM_PROCESSES = 3


class Machine:
    """Several web processes in this one, of which only the first asks. What the others count is what a test says."""

    def __init__(self, directory: Path, engine: LocalEngine) -> None:
        Neighbours.create(directory, NUM_PROCESSES)
        self.neighbours = [Neighbours(directory, number) for number in range(NUM_PROCESSES)]
        self.metrics = [Metrics(engine) for _ in range(NUM_PROCESSES)]
        self.calls = [RollCall(*each) for each in zip(self.metrics, self.neighbours, strict=True)]

    def path(self, number: int) -> Path:
        return self.neighbours[0].answers_at(number)

    async def figures(self) -> dict[str, float]:
        page = (await self.calls[0].page()).decode()
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE)}


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    engine = LocalEngine(ToneModel())
    yield Machine(tmp_path, engine)
    await engine.close()


@asynccontextmanager
async def answering(machine: Machine, *numbers: int) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(machine.calls[number].run()) for number in numbers]
    await until(lambda: all(machine.path(number).is_socket() for number in numbers))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def saying(machine: Machine, number: int, data: bytes) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """A process that says this, and then nothing any more. Yields who has asked it."""
    released = asyncio.Event()
    asked: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        writer.write(data)
        await released.wait()
        writer.close()

    async with await asyncio.start_unix_server(answer, machine.path(number)):
        yield asked
        released.set()


async def test_a_page_tells_of_all_and_of_engines_once(machine: Machine) -> None:
    machine.metrics[0].sessions.set(2)
    machine.metrics[2].sessions.set(5)
    machine.metrics[1].errors.labels("busy").inc(4)
    async with answering(machine, 1, 2):
        figures = await machine.figures()
    assert [figures[f'voxwire_sessions{{worker="{number}"}}'] for number in range(3)] == [2, 0, 5]
    assert figures['voxwire_errors_total{code="busy",worker="1"}'] == 4
    assert figures["voxwire_engine_slots"] == ToneModel().info.max_slots
    assert figures["voxwire_workers_unheard"] == 0


async def test_who_is_not_there_is_missed_and_may_come_back_where_it_was(machine: Machine) -> None:
    assert (await machine.figures())["voxwire_workers_unheard"] == 2
    for _ in range(2):  # the socket of the first life is still there in the second
        async with answering(machine, 1):
            assert machine.path(1).stat().st_mode & 0o777 == 0o600
            assert (await machine.figures())["voxwire_workers_unheard"] == 1
        machine.path(1).touch()


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0", b"\0\0\0\x05abc", b"\0\0\0\x01\xc1", (MAX_TALLY_BYTES + 1).to_bytes(4)],
    ids=["nothing", "half a length", "half a tally", "nonsense", "too much"],
)
async def test_who_answers_wrongly_or_not_at_all_costs_little_and_is_missed(machine: Machine, data: bytes) -> None:
    machine.metrics[2].sessions.set(5)
    async with answering(machine, 2), saying(machine, 1, data):
        began_at = time.monotonic()
        figures = await machine.figures()
        assert time.monotonic() - began_at < ANSWER_S + 1
    assert figures["voxwire_workers_unheard"] == 1
    assert figures['voxwire_sessions{worker="2"}'] == 5
    assert 'voxwire_sessions{worker="1"}' not in figures


async def test_a_crowd_that_wants_pages_asks_each_process_once_and_leaves_nothing(machine: Machine) -> None:
    async with answering(machine, 2), saying(machine, 1, b"") as asked:
        num_tasks = len(asyncio.all_tasks())
        pages = await asyncio.gather(*(machine.figures() for _ in range(32)))
        assert {page["voxwire_workers_unheard"] for page in pages} == {1}
        assert len(asked) == 1
    assert len(asyncio.all_tasks()) < num_tasks


async def test_processes_tell_the_same_whoever_is_asked_and_one_that_is_stopped_holds_nobody_up() -> None:
    with voxwire_serve("--workers", "2") as (process, port):
        await until_all_serve(process, port, 2)
        await asyncio.gather(*(hear(port, f"u{seed}", seed) for seed in range(6)))
        url = f"http://127.0.0.1:{port}"
        told = [await metrics(url) for _ in range(8)]  # by one or the other
        assert {each["voxwire_utterances_total"] for each in told} == {6}
        assert len({each["voxwire_engine_slots"] for each in told}) == 1
        (other,) = workers_of(process)
        other.send_signal(signal.SIGSTOP)
        try:
            began_at = time.monotonic()
            assert (await metrics(url))["voxwire_workers_unheard"] == 1
            assert time.monotonic() - began_at < NUM_TRIES * ANSWER_S + 3
        finally:
            other.send_signal(signal.SIGCONT)
        async with asyncio.timeout(WAIT_S):
            while (await metrics(url))["voxwire_workers_unheard"]:
                continue
