import io
import os
from pathlib import Path

import pytest

from streaming_server.audio.sink import Sink


def test_beginning_of_a_file_is_corrected_in_place(tmp_path: Path) -> None:
    path = tmp_path / "speech"
    sink = Sink(path)
    sink.append(b"0123456789")
    sink.overwrite(2, b"ab")
    sink.append(b"!")
    sink.close()
    assert path.read_bytes() == b"01ab456789!"


def test_offsets_count_from_where_writing_began_and_what_lies_around_stays() -> None:
    file = io.BytesIO(b"earlier,__________later")
    file.seek(8)
    sink = Sink(file)
    sink.append(b"0123")
    sink.overwrite(0, b"ab")
    sink.append(b"45")
    sink.close()
    assert file.getvalue() == b"earlier,ab2345____later"
    assert not file.closed


def test_path_is_closed_and_file_object_is_only_flushed(tmp_path: Path) -> None:
    with (tmp_path / "speech").open("wb", buffering=1024) as file:
        sink = Sink(file)
        sink.append(b"heard at once")
        assert (tmp_path / "speech").read_bytes() == b"heard at once"
        sink.close()
        assert not file.closed


def test_pipe_cannot_be_corrected() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "wb") as pipe:
        sink = Sink(pipe)
        assert not sink.rewritable
        sink.append(b"at once")
        assert os.read(reader.fileno(), 100) == b"at once"


def test_file_opened_to_append_cannot_be_corrected(tmp_path: Path) -> None:
    with (tmp_path / "speech").open("ab") as file:
        assert not Sink(file).rewritable


def test_unwritable_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sink(tmp_path / "missing" / "speech.wav")
