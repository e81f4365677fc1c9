"""What a voice's upload must not be: each is refused in one sentence, and nothing of it stays."""

from __future__ import annotations

import asyncio
import io
import json
import resource
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming_server.voices.inspection import inspect
from streaming_server.voices.preparation import Preparation
from streaming_server.voices.prompt import MAX_BYTES, read_prompt
from streaming_server.voices.refusal import VoiceRefused
from tests.streaming_server.learning import (
    RATE_HZ,
    add,
    everything,
    fields,
    http,
    learning,
    names,
    sound_file,
    speech,
)
from tests.streaming_server.learning_tone import prints
from tests.streaming_server.serving import Server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with learning(tmp_path / "voices") as server:
        yield server
    assert everything(tmp_path) <= {"voices"}, "nothing is left of what was refused"


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and sentence of a refusal."""
    error = answer.json()["error"]
    assert error.keys() == {"code", "message"}
    assert error["message"].endswith("."), "one sentence"
    return answer.status_code, error["code"], error["message"]


def with_header(**values: int) -> bytes:
    """A WAV of 3 s whose header claims something else."""
    data = bytearray(sound_file(speech()))
    for name, value in values.items():
        form, at = {"riff": ("<I", 4), "channels": ("<H", 22), "rate": ("<I", 24), "data": ("<I", 40)}[name]
        struct.pack_into(form, data, at, value)
    return bytes(data)


def floats(spoilt: float, count: int = 1) -> bytes:
    samples = speech()
    samples[100 : 100 + count] = spoilt
    return sound_file(samples, subtype="FLOAT")


SILENCE = np.zeros(3 * RATE_HZ)
RECORDINGS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "the file is empty"),
    "a text": (lambda: b"name = Anna", "a WAV, FLAC, Ogg or MP3 file was expected"),
    "a page": (lambda: b"<!doctype html>", "a WAV, FLAC, Ogg or MP3 file was expected"),
    "a pickle": (lambda: b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix", "file was expected"),
    "an AIFF, which is not served": (lambda: sound_file(speech(), format="AIFF"), "file was expected"),
    "a torn WAV": (lambda: b"RIFF\x00\x00\x00\x00WAVEfmt ", "the file cannot be read"),
    "a torn FLAC": (lambda: b"fLaC" + bytes(64), "the file cannot be read"),
    "a torn Ogg": (lambda: b"OggS" + bytes(64), "the file cannot be read"),
    "a torn MP3": (lambda: b"ID3" + bytes(64), "the file cannot be read"),
    "no samples": (lambda: sound_file([]), "at least 1 s were expected, but it has 0.00 s"),
    "half a second": (lambda: sound_file(speech(0.5)), "at least 1 s were expected, but it has 0.50 s"),
    "31 seconds": (lambda: sound_file(speech(31)), "at most 30 s were expected"),
    "3 minutes": (lambda: sound_file(speech(180)), "at most 30 s were expected"),
    "silence": (lambda: sound_file(SILENCE), "it is silent"),
    "a constant": (lambda: sound_file(SILENCE + 0.5), "it is silent"),
    "a whisper of noise": (lambda: sound_file(speech(peak=0.003)), "it is silent"),
    "one click": (lambda: sound_file(np.concatenate([speech(0.2), SILENCE])), "are not silent"),
    "overdriven": (lambda: sound_file(np.clip(speech(peak=4.0), -1, 1)), "is at full scale"),
    "floats beyond full scale": (lambda: sound_file(speech(peak=30000.0), subtype="FLOAT"), "is at full scale"),
    "NaN": (lambda: floats(np.nan), "some are NaN or infinite"),
    "infinity": (lambda: floats(-np.inf), "some are NaN or infinite"),
    "8 channels": (lambda: sound_file(np.stack([speech()] * 8, axis=1)), "one or two channels were expected"),
    "a rate of 1 Hz": (lambda: sound_file(speech(), rate_hz=1), "a sample rate of 8000 to 192000 Hz was expected"),
    "a rate of 4 kHz": (lambda: sound_file(speech(), rate_hz=4000), "a sample rate of 8000 to 192000 Hz was expected"),
    "a rate of 384 kHz": (lambda: sound_file(speech(), rate_hz=384_000), "but it has 384000"),
    "a header of 0 Hz": (lambda: with_header(rate=0), "'audio'"),
    "a header of 4 billion Hz": (lambda: with_header(rate=2**32 - 1), "'audio'"),
    "a header of no channels": (lambda: with_header(channels=0), "'audio'"),
    "a header of 65535 channels": (lambda: with_header(channels=65_535), "'audio'"),
    "a header of no data": (lambda: with_header(data=0, riff=36), "it has 0.00 s"),
}


async def test_recordings_that_will_not_do_are_refused(server: Server) -> None:
    async with http(server) as client:
        told = {case: refusal(await add(client, make())) for case, (make, _) in RECORDINGS.items()}
        assert await names(client) == {"tone": False}
    for case, (status, code, message) in told.items():
        assert (status, code) == (422, "bad_audio"), case
        assert message.startswith("'audio': "), case
        assert RECORDINGS[case][1] in message, case


FIELDS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no name": ({"name": None}, 422, "'name' was expected, but it is missing"),
    "a path": ({"name": "../../etc"}, 422, "'name' was expected as 1 to 64 letters"),
    "a hidden folder": ({"name": ".ssh"}, 422, "'name' was expected as 1 to 64 letters"),
    "a line feed": ({"name": "a\nb"}, 422, "'name' was expected as 1 to 64 letters"),
    "65 letters": ({"name": "a" * 65}, 422, "'name' was expected with at most 64 characters"),
    "a device": ({"name": "NUL"}, 422, "is reserved"),
    "the model's own name": ({"name": "TONE"}, 409, "there is the voice 'tone' already"),
    "no language": ({"language": None}, 422, "'language' was expected, but it is missing"),
    "no tag": ({"language": "English"}, 422, "'language' was expected as a tag"),
    "an unknown language": ({"language": "fr"}, 422, "'language' was expected as one of en, zh, but 'fr' came"),
    "no transcript": ({"transcript": None}, 422, "'transcript' was expected, but it is missing"),
    "an empty transcript": ({"transcript": "  "}, 422, "'transcript' was expected, but it is empty"),
    "no words": ({"transcript": "... 123 !"}, 422, "'transcript' was expected to hold the words"),
    "an endless transcript": ({"transcript": "very " * 300}, 422, "'transcript' was expected with at most 1000"),
    "a Chinese transcript": (
        {"transcript": "今天天气很好，我们去公园吧。"},
        422,
        "'transcript' was expected in the language en, but most of it is written in Chinese characters",
    ),
    "an English transcript": (
        {"language": "zh"},
        422,
        "'transcript' was expected in the language zh, but most of it is written in Latin letters",
    ),
    "a title": ({"transcript": "A."}, 422, "but it is much less"),
    "a chapter": ({"transcript": "word after word " * 20}, 422, "but it is much more"),
    "no licence": ({"licence": None}, 422, "'licence' was expected, but it is missing"),
    "no consent": ({"consent": None}, 422, "'consent' was expected, but it is missing"),
    "a box not ticked": ({"consent": "false"}, 422, "'consent' was expected to say who agrees"),
    "an adapter that is not loaded": (
        {"adapter": "harsh"},
        422,
        "'adapter' was expected as one that is loaded (soft, hard), but 'harsh' came",
    ),
    "an unknown field": ({"colour": "red"}, 422, "adapter, audio was expected, but 'colour' came"),
    "an unknown gender": ({"gender": "tenor"}, 422, "'gender' was expected as one of"),
    "a control character": ({"description": "a\x1b[2J"}, 422, "'description' was expected without control"),
    "a field of 9 KB": ({"transcript": "a" * 9000}, 400, "The form cannot be read: part exceeded"),
}


async def test_fields_that_will_not_do_are_refused(server: Server) -> None:
    async with http(server) as client:
        told = {case: refusal(await add(client, None, **change)) for case, (change, _, _) in FIELDS.items()}
    for case, (_, expected_status, said) in FIELDS.items():
        status, _, message = told[case]
        assert (case, status) == (case, expected_status)
        assert said in message, case


def form(*parts: tuple[str, bytes], boundary: str = "x", end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + body + b"\r\n" for head, body in parts) + end


def text_part(name: str, text: str = "a") -> tuple[str, bytes]:
    return f'content-disposition: form-data; name="{name}"', text.encode()


def file_part(name: str = "audio") -> tuple[str, bytes]:
    return f'content-disposition: form-data; name="{name}"; filename="a.wav"', sound_file(speech(1.0))


BODIES: dict[str, tuple[bytes, str, int]] = {
    "JSON": (json.dumps(fields()).encode(), "application/json", 415),
    "a plain file": (sound_file(speech()), "audio/wav", 415),
    "a urlencoded form": (b"name=Anna", "application/x-www-form-urlencoded", 415),
    "no boundary": (form(file_part()), "multipart/form-data", 400),
    "another boundary": (form(file_part()), "multipart/form-data; boundary=y", 400),
    "nothing": (b"", "multipart/form-data; boundary=x", 400),
    "a form without parts": (form(), "multipart/form-data; boundary=x", 422),
    "a form cut short in a field": (form(text_part("name"), end=b"")[:-3], "multipart/form-data; boundary=x", 400),
    "a form cut short in its file": (form(file_part(), end=b"")[:-900], "multipart/form-data; boundary=x", 400),
    "a form without its end": (form(file_part(), end=b""), "multipart/form-data; boundary=x", 400),
    "a part without a name": (form(("content-type: text/plain", b"a")), "multipart/form-data; boundary=x", 400),
    "two files": (form(file_part(), file_part()), "multipart/form-data; boundary=x", 400),
    "a field twice": (form(text_part("name"), text_part("name"), file_part()), "multipart/form-data; boundary=x", 400),
    "a hundred fields": (form(*map(text_part, map(str, range(100)))), "multipart/form-data; boundary=x", 400),
    "a text as audio": (form(text_part("audio")), "multipart/form-data; boundary=x", 422),
    "a file as name": (form(file_part("name")), "multipart/form-data; boundary=x", 422),
    "no audio": (form(text_part("name")), "multipart/form-data; boundary=x", 422),
    "an undefined charset": (form(text_part("name")), "multipart/form-data; boundary=x; charset=undefined", 400),
    "a charset for domains": (
        form(text_part("name", "a-!!!")),
        "multipart/form-data; boundary=x; charset=punycode",
        400,
    ),
}


async def test_bodies_that_are_no_such_form_are_refused(server: Server) -> None:
    async with http(server) as client:
        for case, (body, kind, expected_status) in BODIES.items():
            answer = await client.post("/v1/voices", content=body, headers={"content-type": kind})
            status, code, _ = refusal(answer)
            assert (case, status) == (case, expected_status)
            assert code == ("bad_field" if status == 422 else "bad_upload"), case


async def test_more_bytes_than_may_be_are_refused_before_they_come(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /v1/voices HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\n"
        b"content-length: 1000000000000\r\n\r\n--x\r\n"
    )
    async with asyncio.timeout(20):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_an_endless_body_is_refused_while_it_comes(server: Server) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield form(file_part(), end=b"")[:-2]
        while sent < 6 * MAX_BYTES:
            yield bytes(65_536)
            sent += 65_536

    async with http(server) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        try:
            answer = await client.post("/v1/voices", content=endless(), headers=headers)
        except (httpx.WriteError, httpx.ReadError):
            pass  # it had stopped listening
        else:
            assert refusal(answer)[:2] == (413, "too_large")
            assert answer.headers["connection"] == "close"
        assert sent < 4 * MAX_BYTES
        assert await names(client) == {"tone": False}


async def test_who_sends_somewhat_too_much_is_told_so(server: Server) -> None:
    async with http(server) as client:
        answer = await add(client, bytes(3 * MAX_BYTES // 2))
    assert refusal(answer)[:2] == (413, "too_large")
    assert answer.headers["connection"] == "close"


async def test_a_file_of_more_bytes_than_may_be_is_refused_though_the_form_has_room(server: Server) -> None:
    async with http(server) as client:
        status, code, message = refusal(await add(client, sound_file(speech()).ljust(MAX_BYTES + 1, b"\0")))
        assert (status, code) == (413, "too_large")
        assert "at most 10485760 bytes" in message


def bomb() -> bytes:
    """An hour of silence as FLAC."""
    return sound_file(np.zeros(3600 * 8000, np.int16), rate_hz=8000, format="FLAC")


async def test_a_compression_bomb_is_refused(server: Server) -> None:
    async with http(server) as client:
        status, code, message = refusal(await add(client, bomb()))
        assert (status, code) == (422, "bad_audio")
        assert "at most 30 s" in message


class Counting(io.BytesIO):
    """Knows how far it has been read in order: a decoder reads what it decodes, and a little ahead."""

    num_read = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.num_read += count
        return count


def test_of_a_compression_bomb_no_more_is_decoded_than_may_be() -> None:
    hiss = np.random.default_rng(0).integers(-2, 2, 600 * 8000).astype(np.int16)
    file = Counting(sound_file(hiss, rate_hz=8000, format="FLAC"))
    with pytest.raises(VoiceRefused, match="at most 30 s"):
        read_prompt(file)
    assert 0 < file.num_read < len(file.getvalue()) / 5, "all of it is 20 times as long"


@pytest.mark.parametrize("claimed", [{"data": 2**32 - 1}, {"data": 2**31, "riff": 2**32 - 1}])
async def test_a_header_that_claims_more_than_there_is_decides_nothing(claimed: dict[str, int], tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        added = await add(client, with_header(**claimed))
        assert added.status_code == 201, added.text
    assert len((tmp_path / "Anna" / "prompt.wav").read_bytes()) == 44 + 2 * 3 * RATE_HZ


async def test_a_disk_too_full_for_the_upload_is_told_and_nothing_is_half_written(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with http(server) as client:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))  # to a writer a limit looks as a full disk does
        try:
            answer = await add(client)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert refusal(answer)[:2] == (507, "disk_full")


async def test_voices_that_cannot_be_stored_are_told_without_the_servers_paths(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with learning(tmp_path / "file") as server, http(server) as client:
        status, code, message = refusal(await add(client))
        assert (status, code) == (500, "internal")
        assert str(tmp_path) not in message


class Nowhere:
    """A preparation with a program that is not there."""

    def command(self, prompt: Path) -> tuple[str, ...]:
        return ("/nowhere/python", str(prompt))

    def forget(self, prompt: Path) -> None:
        raise OSError("no disk")


@pytest.mark.parametrize(
    ("preparation", "expected_status", "said"),
    [
        (prints('{"error": "PROMPT: speech was expected, but music came."}', exit_code=2), 422, "'audio': speech was"),
        (prints('{"error": "/cache: expected, but it cannot: No space left on device."}', exit_code=2), 507, "is full"),
        (prints('{"error": "/cache: a folder was expected, but it is none."}', exit_code=2), 500, "log says why"),
        (prints("loading\n", exit_code=2), 500, "could not be made ready"),
        (prints('["error"]', exit_code=2), 500, "could not be made ready"),
        (prints('{"error": "torn"}', exit_code=1), 500, "could not be made ready"),
        (Nowhere(), 500, "could not be made ready"),
    ],
)
async def test_a_voice_that_cannot_be_made_ready_is_not_kept(
    preparation: Preparation, expected_status: int, said: str, tmp_path: Path
) -> None:
    async with learning(tmp_path, preparation=preparation) as server, http(server) as client:
        status, _, message = refusal(await add(client))
        assert (status, said in message) == (expected_status, True)
        assert await names(client) == {"tone": False}
    assert everything(tmp_path) == set()


CUTS = st.integers(0, 3000)
NOISE = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=12)
RATES = {"WAV": 16_000, "FLAC": 16_000, "OGG": 16_000, "MP3": 44_100}


@given(form=st.sampled_from(sorted(RATES)), noise=NOISE, cut=CUTS)
@settings(max_examples=8)
async def test_a_torn_recording_is_taken_or_refused_and_nothing_else(
    form: str, noise: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(sound_file(speech(1.2, rate_hz=RATES[form]), rate_hz=RATES[form], format=form))
    for at, byte in noise:
        data[at] = byte
    with tempfile.TemporaryFile() as file:
        file.write(data[: len(data) - cut])
        try:
            prompt = await inspect(file)
        except VoiceRefused:
            return
    assert prompt.rate_hz <= len(prompt.pcm) <= 30 * prompt.rate_hz


async def test_a_decoder_that_hangs_is_ended() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(sound_file(speech()))
        with pytest.raises(VoiceRefused, match="its decoder gave up"):
            await inspect(file, timeout_s=0.01)


@given(changes=st.dictionaries(st.sampled_from(sorted(fields())), st.none() | st.text(max_size=70), min_size=1))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_refusal_leaves_a_file(changes: dict[str, str | None], server: Server, tmp_path: Path) -> None:
    encodable = {name: text and text.encode(errors="replace").decode() for name, text in changes.items()}
    async with http(server) as client:
        answer = await add(client, None, **encodable)
        if answer.status_code == 201:
            assert (await client.delete(f"/v1/voices/{answer.json()['name']}")).status_code == 204
        else:
            assert 400 <= refusal(answer)[0] < 500
    assert everything(tmp_path) <= {"voices"}
