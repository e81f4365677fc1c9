"""Audio files: speech goes in as PCM, piece by piece, into a path, a file object or a pipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from types import MappingProxyType, TracebackType
from typing import Protocol

from streaming_server.audio.encoder import UnsupportedFormat
from streaming_server.audio.flac import FlacWriter
from streaming_server.audio.ogg import OggOpusWriter
from streaming_server.audio.opus import opus_available
from streaming_server.audio.resample import Pcm
from streaming_server.audio.sink import Sink, Target
from streaming_server.audio.wav import WavWriter


class _Container(Protocol):
    def write(self, pcm: Pcm) -> None: ...

    def finish(self) -> None: ...


_CONTAINERS: MappingProxyType[str, Callable[[Sink, int], _Container]] = MappingProxyType(
    {"wav": WavWriter, "flac": FlacWriter, "ogg": OggOpusWriter, "opus": OggOpusWriter}
)

FORMATS = tuple(_CONTAINERS)
"""What `open_writer` knows; each is also the file name's extension. `ogg` and `opus` are both Ogg Opus."""


class AudioWriter:
    """A file being written; also a context manager. Made by `open_writer`."""

    def __init__(self, container: _Container, sink: Sink) -> None:
        self._container = container
        self._sink = sink
        self._closed = False

    def write(self, pcm: Pcm) -> None:
        """Append samples at the file's rate; what is complete reaches the file or pipe at once. Raises OSError."""
        if self._closed:
            raise ValueError("the audio file is closed")
        self._container.write(pcm)

    def close(self) -> None:
        """Write what was held back and the final sizes. A path is closed, a file object stays open. Raises OSError."""
        if self._closed:
            return
        self._closed = True
        try:
            self._container.finish()
        finally:
            self._sink.close()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_writer(target: Target, format: str, sample_rate: int) -> AudioWriter:
    """Begin a file of the given format (one of FORMATS) for mono speech at `sample_rate` Hz.

    Raises UnsupportedFormat before anything is created, OSError when the path cannot be written.
    """
    container = _CONTAINERS.get(format)
    if container is None:
        raise UnsupportedFormat(f"the file format must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {format!r}")
    if container is OggOpusWriter and not opus_available():
        raise UnsupportedFormat(f"the file format must be wav or flac, not {format}: libopus is not installed")
    sink = Sink(target)
    return AudioWriter(container(sink, sample_rate), sink)


def format_of(path: str | PurePath) -> str:
    """The format that a file name's extension asks for. Raises UnsupportedFormat."""
    extension = PurePath(path).suffix.removeprefix(".").lower()
    if extension not in FORMATS:
        raise UnsupportedFormat(f"a file name must end in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}, not {path}")
    return extension
