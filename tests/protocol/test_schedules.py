"""What a client holds back and gives out, under random schedules: sound that is late, in bursts, cut, or of a machine
that stands still. Whatever happens, what is taken goes on where it was, and nothing is held for ever."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from protocol.chunk import Chunk
from protocol.chunk_buffer import ChunkBuffer
from protocol.headstart import HeadStart
from tests.protocol.pair import PCM

RATE_HZ = 8000
PATCH = 1280  # ticks

arrivals = st.tuples(st.just("arrive"), st.integers(1, 8), st.integers(1, PATCH))
writings = st.tuples(st.just("write"), st.integers(1, 200), st.just(0))
waits = st.tuples(st.just("wait"), st.integers(1, 20_000), st.just(0))
takings = st.tuples(st.just("take"), st.integers(1, 12), st.just(0))
cuts = st.tuples(st.just("cut"), st.integers(0, 4 * PATCH), st.just(0))
schedules = st.lists(arrivals | arrivals | takings | takings | waits | writings | cuts, max_size=60)
speeds = st.none() | st.floats(0.2, 8.0)


class Taker:
    """One utterance's sound, of which every sample is another, in virtual time."""

    def __init__(self, rtf: float | None) -> None:
        self.now = 0.0
        self.is_over = asyncio.Event()
        self.head_start = HeadStart(rtf, RATE_HZ)
        self.buffer = ChunkBuffer(self.head_start, self.is_over, lambda: self.now)
        self.buffer.is_gapless = True
        self.put: list[bytes] = []
        """Samples that came and were not cut, two bytes each."""
        self.taken: list[bytes] = []
        self.num_made = 0

    def arrive(self, num_chunks: int, num_samples: int) -> None:
        """A burst: at one instant."""
        for _ in range(num_chunks):
            made = range(self.num_made, self.num_made + num_samples)
            self.num_made += num_samples
            samples = [(index % 65_536).to_bytes(2) for index in made]
            self.head_start.arrive(num_samples, self.now)
            self.buffer.put(
                Chunk(
                    seq=self.buffer.next_seq,
                    pts=self.buffer.end_pts,
                    samples=num_samples,
                    audio=PCM,
                    pcm=b"".join(samples),
                )
            )
            self.put += samples

    def take(self) -> bool:
        chunk = self.buffer.take()
        if chunk is None:
            return False
        assert chunk.pts == len(self.taken), "it goes on where it was"
        pcm = chunk.pcm or b""
        assert len(pcm) == 2 * chunk.samples
        self.taken += [pcm[i : i + 2] for i in range(0, len(pcm), 2)]
        return True

    def cut(self, ticks_from_here: int) -> None:
        pts = len(self.taken) + ticks_from_here
        self.buffer.cut(pts)
        del self.put[max(pts, len(self.taken)) :]

    def check(self) -> None:
        assert self.taken == self.put[: len(self.taken)]
        assert self.buffer.end_pts == len(self.put)
        assert self.buffer.num_bytes == 2 * (len(self.put) - len(self.taken))
        assert self.buffer.taken_pts == len(self.taken)

    def act(self, kind: str, number: int, samples: int) -> None:
        match kind:
            case "arrive":
                self.arrive(number, samples)
            case "write":
                self.head_start.write("x" * number, self.now)
            case "wait":
                self.now += number / 1000
            case "take":
                while number and self.take():
                    number -= 1
            case _:
                self.cut(number)


@given(rtf=speeds, schedule=schedules)
def test_what_is_taken_goes_on_where_it_was_and_all_of_it_comes(
    rtf: float | None, schedule: list[tuple[str, int, int]]
) -> None:
    taker = Taker(rtf)
    for step in schedule:
        taker.act(*step)
        taker.check()
    taker.is_over.set()
    while taker.take():
        taker.check()
    assert taker.taken == taker.put


@given(rtf=speeds, schedule=schedules)
def test_nothing_is_held_longer_than_was_said(rtf: float | None, schedule: list[tuple[str, int, int]]) -> None:
    """Nor, once it has begun to play, again before it ran dry: a gap of our own making."""
    taker = Taker(rtf)
    for step in schedule:
        taker.act(*step)
    if taker.buffer.num_bytes and not taker.take():
        taker.now += taker.head_start.patience_s(taker.now) + 1e-6  # a sum of floats may fall short of their sum
        assert taker.take()
    while taker.buffer.num_bytes:
        assert taker.take()


@given(schedule=schedules)
def test_a_machine_that_is_fast_enough_is_never_waited_for(schedule: list[tuple[str, int, int]]) -> None:
    taker = Taker(None)
    for step in schedule:
        taker.act(*step)
        if taker.buffer.num_bytes:
            assert taker.take()
