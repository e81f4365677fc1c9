"""WAV: mono s16le behind a header that is right from the first byte on, also in a pipe."""

from __future__ import annotations

import struct

from streaming_server.audio.resample import Pcm
from streaming_server.audio.sink import Sink

HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFFFFFF
"""What a RIFF size says while the end is not known; players then read to the end of the file."""

_PCM_FORMAT = 1
_SAMPLE_BYTES = 2


def wav_header(sample_rate: int, data_bytes: int = UNKNOWN_BYTES) -> bytes:
    """The header of `data_bytes` of mono s16le at `sample_rate` Hz; more than 4 GiB counts as unknown."""
    riff_bytes = min(UNKNOWN_BYTES, HEADER_BYTES - 8 + data_bytes)
    data_bytes = UNKNOWN_BYTES if riff_bytes == UNKNOWN_BYTES else data_bytes
    return (
        struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
        + struct.pack("<4sIHHII", b"fmt ", 16, _PCM_FORMAT, 1, sample_rate, sample_rate * _SAMPLE_BYTES)
        + struct.pack("<HH4sI", _SAMPLE_BYTES, 8 * _SAMPLE_BYTES, b"data", data_bytes)
    )


class WavWriter:
    """Writes as it goes; `finish` puts the sizes right where the sink allows it."""

    def __init__(self, sink: Sink, sample_rate: int) -> None:
        self._sink = sink
        self._sample_rate = sample_rate
        self._data_bytes = 0
        sink.append(wav_header(sample_rate))

    def write(self, pcm: Pcm) -> None:
        data = pcm.astype("<i2", copy=False).tobytes()
        self._data_bytes += len(data)
        self._sink.append(data)

    def finish(self) -> None:
        if self._sink.rewritable:
            self._sink.overwrite(0, wav_header(self._sample_rate, self._data_bytes))
