"""FLAC through libsndfile, into files and pipes."""

from __future__ import annotations

import os

import soundfile

from streaming_server.audio.resample import Pcm
from streaming_server.audio.sink import Sink


class FlacWriter:
    """Lossless. Frames leave as they fill (4096 samples); in a pipe the header leaves length and checksum open."""

    def __init__(self, sink: Sink, sample_rate: int) -> None:
        self._stream = _SeekableView(sink)
        self._file = soundfile.SoundFile(
            self._stream, mode="w", samplerate=sample_rate, channels=1, format="FLAC", subtype="PCM_16"
        )

    def write(self, pcm: Pcm) -> None:
        self._file.write(pcm)
        self._stream.raise_error()

    def finish(self) -> None:
        self._file.close()
        self._stream.raise_error()


class _SeekableView:
    """A sink as libsndfile wants to see it.

    At the end libFLAC seeks back and fills in what the header left open; in a pipe these bytes are dropped, which the
    format allows for. libsndfile calls from C, where an exception would be printed and lost: the first one is kept.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._position = 0
        self._end = 0
        self._error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:
        data = bytes(data)
        try:
            self._place(data)
        except OSError as error:
            self._error = self._error or error
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def _place(self, data: bytes) -> None:
        if self._position == self._end:
            self._sink.append(data)
        elif self._sink.rewritable:
            self._sink.overwrite(self._position, data)

    def raise_error(self) -> None:
        """Raises OSError if a write has failed since the last call."""
        error, self._error = self._error, None
        if error is not None:
            raise error
