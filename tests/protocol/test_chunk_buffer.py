"""Sound that has come, and how it is cut."""

from __future__ import annotations

import asyncio

from protocol.chunk import Chunk
from protocol.chunk_buffer import ChunkBuffer
from protocol.headstart import HeadStart
from protocol.messages import AudioFormat
from tests.protocol.pair import PCM
from tests.protocol.tiny_server import OPUS


def buffer_of(*chunks: Chunk) -> ChunkBuffer:
    buffer = ChunkBuffer(HeadStart(None, 44100), asyncio.Event(), lambda: 0.0)
    for chunk in chunks:
        buffer.put(chunk)
    return buffer


def pcm(seq: int, audio: AudioFormat = PCM, num_bytes: int = 8) -> Chunk:
    return Chunk(seq=seq, pts=4 * seq, samples=4, audio=audio, pcm=bytes(range(num_bytes)))


def left(buffer: ChunkBuffer) -> list[tuple[int, int, int]]:
    return [(chunk.seq, chunk.pts, chunk.samples) for chunk in iter(buffer.take, None)]


def test_sound_is_cut_at_the_sample() -> None:
    buffer = buffer_of(pcm(0), pcm(1), pcm(2))
    buffer.cut(6)
    assert (buffer.next_seq, buffer.end_pts, buffer.num_bytes) == (2, 6, 12)
    buffer.take()
    chunk = buffer.take()
    assert chunk is not None
    assert (chunk.samples, chunk.pcm) == (2, bytes(range(4)))


def test_at_the_edge_of_a_chunk_it_stays_whole() -> None:
    buffer = buffer_of(pcm(0), pcm(1))
    buffer.cut(4)
    assert (buffer.next_seq, buffer.end_pts) == (1, 4)
    assert left(buffer) == [(0, 0, 4)]
    buffer.cut(0)
    assert (buffer.next_seq, buffer.end_pts) == (1, 4), "what is taken cannot be cut"


def test_what_a_codec_holds_is_not_cut() -> None:
    other_rate = AudioFormat(sample_rate=48000)
    for uncut in (pcm(0, other_rate, 10), Chunk(seq=0, pts=0, samples=4, audio=OPUS, packets=(b"x",))):
        buffer = buffer_of(uncut)
        buffer.cut(2)
        assert (buffer.next_seq, buffer.end_pts) == (1, 4)
    floats = AudioFormat(codec="pcm_f32le")
    assert len(pcm(0, floats, 16).up_to(3).pcm or b"") == 12
