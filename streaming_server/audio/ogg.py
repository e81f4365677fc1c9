"""Ogg Opus: packets into pages (RFC 3533), with the headers and the times of RFC 7845."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

from streaming_server.audio.opus import FILE_COMPLEXITY, OpusEncoder
from streaming_server.audio.resample import Pcm
from streaming_server.audio.sink import Sink

FILE_BITRATE = 64000
FILE_FRAME_MS = 20

_FIRST_PAGE, _LAST_PAGE = 0x02, 0x04  # RFC 3533, section 6, header_type_flag
_MAX_SEGMENTS = 255
_SEGMENT_BYTES = 255
_CRC_OFFSET = 22

_SILENT_PACKET = b"\xf8\xff\xfe"
"""20 ms of mono silence: a file without speech needs one packet to carry its end."""

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_crc(page: bytes) -> int:
    """The checksum of RFC 3533: polynomial 0x04C11DB7, most significant bit first, start 0, no final inversion.

    zlib computes the same polynomial on mirrored bits, with start and result inverted.
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


class OggOpusMuxer:
    """One logical stream of mono Opus packets, each of `packet_samples` at 48 kHz."""

    def __init__(self, *, pre_skip: int, packet_samples: int, input_rate: int, serial: int) -> None:
        self._pre_skip = pre_skip
        self._packet_samples = packet_samples
        self._input_rate = input_rate
        self._serial = serial
        self._num_pages = 0
        self._granule = 0

    def headers(self) -> bytes:
        """The two opening pages; `input_rate` (Hz) is told for information, decoding is at 48 kHz."""
        version, channels, gain, mapping = 1, 1, 0, 0
        head = struct.pack("<8sBBHIhB", b"OpusHead", version, channels, self._pre_skip, self._input_rate, gain, mapping)
        vendor = b"voxwire"
        tags = struct.pack("<8sI7sI", b"OpusTags", len(vendor), vendor, 0)
        return self._page([head], granule=0, flags=_FIRST_PAGE) + self._page([tags], granule=0)

    def pages(self, packets: Sequence[bytes], *, num_samples: int | None = None) -> bytes:
        """These packets as whole pages, normally one. `num_samples` is given with the last packets.

        It is the length of the speech at 48 kHz: the last page's granule position cuts the padding off.
        """
        pages = []
        groups = _group(packets)
        for number, group in enumerate(groups, 1):
            self._granule += self._packet_samples * len(group)
            if num_samples is not None and number == len(groups):
                pages.append(self._page(group, granule=self._pre_skip + num_samples, flags=_LAST_PAGE))
            else:
                pages.append(self._page(group, granule=self._granule))
        return b"".join(pages)

    def _page(self, packets: Sequence[bytes], *, granule: int, flags: int = 0) -> bytes:
        lacing = b"".join(_lacing(packet) for packet in packets)
        header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, self._serial, self._num_pages, 0, len(lacing))
        self._num_pages += 1
        page = header + lacing + b"".join(packets)
        return page[:_CRC_OFFSET] + struct.pack("<I", ogg_crc(page)) + page[_CRC_OFFSET + 4 :]


def _lacing(packet: bytes) -> bytes:
    return b"\xff" * (len(packet) // _SEGMENT_BYTES) + bytes([len(packet) % _SEGMENT_BYTES])


def _group(packets: Sequence[bytes]) -> list[list[bytes]]:
    """Split so that each group fits a page; no packet is continued on another page."""
    groups: list[list[bytes]] = []
    num_segments = _MAX_SEGMENTS
    for packet in packets:
        needed = len(packet) // _SEGMENT_BYTES + 1
        if num_segments + needed > _MAX_SEGMENTS:
            groups.append([])
            num_segments = 0
        groups[-1].append(packet)
        num_segments += needed
    return groups


class OggOpusWriter:
    """Encodes and writes as it goes: a page for each `write`, so that a pipe's reader hears it at once."""

    def __init__(self, sink: Sink, sample_rate: int, *, bitrate: int = FILE_BITRATE) -> None:
        self._sink = sink
        self._encoder = OpusEncoder(
            bitrate=bitrate,
            frame_ms=FILE_FRAME_MS,
            model_rate=sample_rate,
            complexity=FILE_COMPLEXITY,
            quality="HQ",
        )
        self._muxer = OggOpusMuxer(
            pre_skip=self._encoder.pre_skip,
            packet_samples=self._encoder.frame_samples,
            input_rate=sample_rate,
            serial=random.getrandbits(32),  # only has to differ from its neighbour's when files are joined
        )
        sink.append(self._muxer.headers())

    def write(self, pcm: Pcm) -> None:
        self._sink.append(self._muxer.pages(self._encoder.encode(pcm)))

    def finish(self) -> None:
        # The tail is never empty after speech: the look-ahead alone keeps samples back.
        tail = self._encoder.finish() or (_SILENT_PACKET,)
        self._sink.append(self._muxer.pages(tail, num_samples=self._encoder.num_samples))
