import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_server.audio.containers import open_writer
from streaming_server.audio.ogg import OggOpusMuxer, ogg_crc
from tests.streaming_server.audio.listening import (
    PATCH_SAMPLES,
    TICK_RATE_HZ,
    cut,
    needs_libopus,
    noise,
    patches,
    sine,
    snr_db,
    to_int16,
)


@dataclass(frozen=True, slots=True)
class Page:
    flags: int
    granule: int
    serial: int
    number: int
    packets: list[bytes]


def crc_bit_by_bit(data: bytes) -> int:
    """RFC 3533, section 6, taken literally."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def read_pages(data: bytes) -> list[Page]:
    """The pages of a stream whose packets never cross a page; checks form and checksum of each."""
    pages = []
    while data:
        capture, version, flags, granule, serial, number, crc, num_segments = struct.unpack_from("<4sBBqIIIB", data)
        assert (capture, version) == (b"OggS", 0)
        lacing = data[27 : 27 + num_segments]
        size = 27 + num_segments + sum(lacing)
        assert crc == crc_bit_by_bit(data[:22] + bytes(4) + data[26:size])
        packets, packet_size, offset = [], 0, 27 + num_segments
        for segment in lacing:
            packet_size += segment
            if segment < 255:
                packets.append(data[offset : offset + packet_size])
                offset, packet_size = offset + packet_size, 0
        assert packet_size == 0, "a packet goes on to the next page"
        pages.append(Page(flags, granule, serial, number, packets))
        data = data[size:]
    return pages


def muxer() -> OggOpusMuxer:
    return OggOpusMuxer(pre_skip=312, packet_samples=960, input_rate=44100, serial=0x1234)


def write_ogg(pieces) -> bytes:
    file = io.BytesIO()
    with open_writer(file, "ogg", TICK_RATE_HZ) as writer:
        for piece in pieces:
            writer.write(piece)
    return file.getvalue()


@given(st.binary(max_size=300))
def test_checksum_is_that_of_the_rfc(data: bytes) -> None:
    assert ogg_crc(data) == crc_bit_by_bit(data)


def test_stream_opens_with_head_and_tags_on_their_own_pages() -> None:
    head, tags = read_pages(muxer().headers())
    assert (head.flags, head.granule, head.number) == (0x02, 0, 0)
    # RFC 7845, section 5.1: version, channels, pre-skip, input rate, gain, mapping family.
    assert head.packets == [b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 44100, 0, 0)]
    assert (tags.flags, tags.granule, tags.number) == (0, 0, 1)
    assert tags.packets == [b"OpusTags" + struct.pack("<I7sI", 7, b"voxwire", 0)]


def test_granule_position_counts_all_samples_and_ends_at_the_last_real_one() -> None:
    stream = muxer()
    stream.headers()
    first, last = read_pages(stream.pages([b"a", b"b", b"c"]) + stream.pages([b"d", b"e"], num_samples=4000))
    assert (first.granule, first.flags, first.number) == (3 * 960, 0, 2)
    assert (last.granule, last.flags, last.number) == (312 + 4000, 0x04, 3)
    assert {first.serial, last.serial} == {0x1234}


def test_no_packets_make_no_page() -> None:
    assert muxer().pages([]) == b""


@given(st.lists(st.integers(1, 2552), max_size=300))
@settings(max_examples=30, deadline=None)
def test_packets_of_any_size_arrive_whole_and_in_order(sizes: list[int]) -> None:
    packets = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    pages = read_pages(muxer().pages(packets))
    assert [packet for page in pages for packet in page.packets] == packets
    assert [page.number for page in pages] == list(range(len(pages)))
    assert [page.granule for page in pages][-1:] == [960 * len(packets)][: len(pages)]


@needs_libopus
@settings(max_examples=25, deadline=None)
@given(length=st.integers(0, 30_000), positions=st.lists(st.integers(0, 30_000), max_size=5))
def test_file_decodes_to_its_exact_length(length: int, positions: list[int]) -> None:
    samples, rate = soundfile.read(io.BytesIO(write_ogg(cut(noise(length), positions))))
    assert rate == 48000
    assert len(samples) == -(-length * 48000 // TICK_RATE_HZ)


@needs_libopus
def test_file_sounds_like_the_speech_at_the_right_time(tmp_path: Path) -> None:
    with open_writer(tmp_path / "speech.opus", "opus", TICK_RATE_HZ) as writer:
        for patch in patches(to_int16(sine(2 * TICK_RATE_HZ))):
            writer.write(patch)
    samples, _ = soundfile.read(tmp_path / "speech.opus")
    assert snr_db(sine(2 * 48000, rate=48000), samples) > 30


@needs_libopus
def test_long_piece_is_split_into_pages_that_rise_in_time() -> None:
    pages = read_pages(write_ogg([noise(10 * TICK_RATE_HZ)]))
    times = [page.granule for page in pages]
    assert len(pages) > 4
    assert times == sorted(times)
    assert [page.flags for page in pages] == [0x02, *[0] * (len(pages) - 2), 0x04]


@needs_libopus
def test_pipe_carries_a_page_for_each_patch() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "wb") as pipe:
        writer = open_writer(pipe, "ogg", TICK_RATE_HZ)
        assert len(read_pages(os.read(reader.fileno(), 65536))) == 2
        for _ in range(3):
            writer.write(noise(PATCH_SAMPLES))
            (page,) = read_pages(os.read(reader.fileno(), 65536))
            assert len(page.packets) >= 7
        writer.close()
        assert read_pages(os.read(reader.fileno(), 65536))[-1].flags == 0x04


@needs_libopus
def test_joined_files_have_different_serial_numbers() -> None:
    serials = {read_pages(write_ogg([]))[0].serial for _ in range(4)}
    assert len(serials) > 1


@needs_libopus
@pytest.mark.parametrize("length", [0, 1])
def test_shortest_files_have_one_packet(length: int) -> None:
    pages = read_pages(write_ogg([noise(length)]))
    assert [len(page.packets) for page in pages] == [1, 1, 1]
    assert pages[-1].granule == int.from_bytes(pages[0].packets[0][10:12], "little") + 2 * length
