"""Where a cancelled utterance stops, among what is made, sent and still to come."""

from __future__ import annotations

import asyncio

import numpy as np

from protocol.messages import Audio, Done, Segment, Trace, Words, WordTiming
from streaming_server.brake import Brake
from streaming_server.outbox import Outbox
from tests.streaming_server.serving import until


def patch(num_samples: int) -> bytes:
    return np.full(num_samples, 10_000, "<i2").tobytes()


def never(at: int) -> None:
    raise AssertionError(f"expected no wait for {at} to end")


async def test_the_patch_that_has_the_end_is_cut_and_faded() -> None:
    brake = Brake(1_000)
    assert brake.cut(0, patch(100)) is None
    brake.apply(150, never)
    assert brake.cut(0, patch(100)) is None
    ending = brake.cut(100, patch(100))
    brake.release()
    assert ending is not None
    samples = np.frombuffer(ending, "<i2")
    assert (len(samples), brake.at) == (50, 150)
    assert (samples[:40] == 10_000).all()
    assert (np.diff(samples[40:].astype(int)) < 0).all()
    assert samples[-1] == 0


async def test_a_fade_is_never_shorter_than_it_is_long() -> None:
    brake = Brake(1_000)
    brake.apply(103, never)
    ending = brake.cut(100, patch(100))
    brake.release()
    assert ending is not None
    assert (len(ending) // 2, brake.at) == (10, 110)


async def test_an_end_that_does_not_come_is_given_up_once() -> None:
    gave_up: list[int] = []
    brake = Brake(1_000)
    brake.apply(50, gave_up.append)
    brake.apply(60, gave_up.append)
    await until(lambda: bool(gave_up))
    await asyncio.sleep(0.2)
    assert gave_up == [60]


def test_of_what_waits_for_the_socket_only_what_lies_beyond_the_end_is_withdrawn() -> None:
    outbox = Outbox()
    words = Words(utterance="u", words=(WordTiming(0, 1, 0, 1),), estimated=False)
    speech = [
        Segment(utterance="u", index=0, text_start=0, text_end=4, spoken="a", pts=0),
        words,
        *(Audio(utterance="u", pts=pts, samples=10, data=bytes(20)) for pts in (0, 10)),
        words,
        Audio(utterance="u", pts=20, samples=10, data=bytes(20)),
        Segment(utterance="u", index=1, text_start=4, text_end=8, spoken="b", pts=30),
    ]
    others = Audio(utterance="v", pts=90, samples=10, data=bytes(20))
    for message in (*speech, others):
        outbox.put(message)
    assert outbox.recall("u", 15) == 10
    assert outbox.sound_bytes == 60
    outbox.put(Done(utterance="u", reason="cancelled", samples=20, text_chars=8, trace=Trace(patches=2)))
    taken = []
    while (message := outbox.take()) is not None:
        taken.append(message)
    assert taken[:-1] == [*speech[:4], others]
