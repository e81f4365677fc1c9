"""Jobs of one utterance run one at a time, and come back in order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from streaming_server.jobs import OrderedJobs


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


async def test_results_come_back_in_the_order_of_submission(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[int] = []
    done = asyncio.Event()
    for number in range(20):
        delay_s = 0.005 if number % 3 == 0 else 0
        job = None if number % 4 == 1 else lambda n=number, d=delay_s: (time.sleep(d), n)[1]
        jobs.submit(job, lambda result, n=number: seen.append(n if result is None else result))
    jobs.submit(None, lambda _: done.set())
    async with asyncio.timeout(20):
        await done.wait()
    assert seen == list(range(20))


async def test_a_submission_without_a_job_runs_at_once_when_nothing_waits(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[str] = []
    jobs.submit(None, lambda _: seen.append("now"))
    assert seen == ["now"]
    assert len(jobs) == 0


async def test_a_patient_job_lets_the_loop_go_on_first_and_keeps_its_place(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[str] = []
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(seen.append, "others")
    jobs.submit(partial(seen.append, "patient"), lambda _: seen.append("its result"), is_patient=True)
    jobs.submit(partial(seen.append, "next"), lambda _: done.set())
    executor.submit(lambda: None).result()
    assert not seen, "its turn has not come"
    async with asyncio.timeout(20):
        await done.wait()
    assert seen == ["others", "patient", "its result", "next"]


async def test_a_patient_job_is_not_begun_after_close(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[str] = []
    jobs.submit(partial(seen.append, "begun"), lambda _: None, is_patient=True)
    jobs.close()
    await asyncio.sleep(0.05)
    assert not seen


async def test_jobs_of_one_utterance_never_overlap(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    inside = threading.Lock()
    overlaps: list[int] = []
    done = asyncio.Event()

    def work() -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return
        time.sleep(0.002)
        inside.release()

    for _ in range(10):
        jobs.submit(work, lambda _: None)
    jobs.submit(None, lambda _: done.set())
    async with asyncio.timeout(20):
        await done.wait()
    assert not overlaps


async def test_a_submission_made_by_a_result_follows_what_waits(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[str] = []

    def first(_: None) -> None:
        jobs.submit(None, lambda _: seen.append("third"))
        seen.append("first")

    jobs.submit(None, first)
    assert seen == ["first", "third"]


async def test_a_failed_job_is_reported_and_drops_the_rest(executor: ThreadPoolExecutor) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    jobs = OrderedJobs(executor, on_error=failed.set_result)
    seen: list[str] = []
    jobs.submit(lambda: 1 / 0, lambda _: seen.append("result"))
    jobs.submit(None, lambda _: seen.append("after"))
    async with asyncio.timeout(20):
        assert isinstance(await failed, ZeroDivisionError)
    assert not seen


async def test_after_close_a_running_job_brings_nothing(executor: ThreadPoolExecutor) -> None:
    jobs = OrderedJobs(executor, on_error=pytest.fail)
    seen: list[str] = []
    release = threading.Event()
    jobs.submit(release.wait, lambda _: seen.append("late"))
    jobs.submit(None, lambda _: seen.append("waiting"))
    jobs.close()
    release.set()
    await asyncio.sleep(0.05)
    assert not seen
