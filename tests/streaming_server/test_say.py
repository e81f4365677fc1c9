"""The command line, as a user calls it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.tone import locate_tone, tone_samples
from streaming_server import say
from streaming_server.audio.opus import opus_available
from tests.streaming_server.relay import Relay
from tests.streaming_server.serving import serving, until

ROOT = Path(__file__).parents[2]
TEXT = "Hello there, this is a test."


def voxwire(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "streaming_server", *args]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, timeout=60, check=False)


def listening(*args: str) -> subprocess.Popen[bytes]:
    """A command that reads what the test writes, in a process group of its own."""
    command = [sys.executable, "-m", "streaming_server", *args]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_say_writes_a_file_that_is_bit_exact_to_the_model(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out.{extension}"
    ended = voxwire("say", TEXT, "--model", "tone", "--seed", "9", "-o", str(path))
    assert ended.returncode == 0, ended.stderr
    pcm, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 44100
    np.testing.assert_array_equal(pcm, tone_samples(9, 0, len(pcm)))
    assert len(pcm) > 44100


@pytest.mark.skipif(not opus_available(), reason="libopus is not installed")
def test_say_writes_ogg_opus_of_the_same_length(tmp_path: Path) -> None:
    assert voxwire("say", TEXT, "--model", "tone", "-o", str(tmp_path / "out.ogg")).returncode == 0
    assert voxwire("say", TEXT, "--model", "tone", "-o", str(tmp_path / "out.wav")).returncode == 0
    opus, wav = (soundfile.info(tmp_path / name) for name in ("out.ogg", "out.wav"))
    assert opus.samplerate == 48000
    assert abs(opus.duration - wav.duration) < 0.001


def test_say_speaks_standard_input_to_standard_output() -> None:
    ended = voxwire("say", "-", "--model", "tone", "--seed", "4", "-o", "-", stdin=TEXT.encode())
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout[:4] == b"RIFF"
    pcm = np.frombuffer(ended.stdout[44:], dtype="<i2")
    np.testing.assert_array_equal(pcm, tone_samples(4, 0, len(pcm)))


def test_say_streams_standard_input_as_it_comes() -> None:
    command = [sys.executable, "-m", "streaming_server", "say", "-", "--model", "tone", "--seed", "3", "-o", "-"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"The first sentence is here. And")
        process.stdin.flush()
        head = process.stdout.read(44 + 2 * 7056)
        pcm = np.frombuffer(head[44:], dtype="<i2")
        assert locate_tone(pcm) == (3, 0), "speech comes while the text is still open"
        process.stdin.write(" the second 你好。".encode())
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(30) == 0
    pcm = np.frombuffer(head[44:] + rest, dtype="<i2")
    np.testing.assert_array_equal(pcm, tone_samples(3, 0, len(pcm)))


async def test_say_speaks_through_a_running_server(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    async with serving(api_key="k") as server:
        args = ("say", TEXT, "--url", server.http_url, "--api-key", "k", "--seed", "8", "-o", str(path))
        ended = await asyncio.to_thread(voxwire, *args)
        assert ended.returncode == 0, ended.stderr
        refused = await asyncio.to_thread(voxwire, *args[:-4], "--api-key", "wrong", "-o", str(path))
        listing = await asyncio.to_thread(voxwire, "voices", "--url", server.http_url, "--api-key", "k")
    pcm, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(pcm, tone_samples(8, 0, len(pcm)))
    assert refused.returncode == 1
    assert b"API key" in refused.stderr
    assert listing.stdout.startswith(b"* tone")


async def test_an_address_needs_no_scheme(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    async with serving() as server:
        address = server.http_url.removeprefix("http://")
        ended = await asyncio.to_thread(voxwire, "say", TEXT, "--url", address, "-o", str(path))
        listing = await asyncio.to_thread(voxwire, "voices", "--url", address)
    assert ended.returncode == 0, ended.stderr
    assert soundfile.info(path).frames > 44100
    assert listing.stdout.startswith(b"* tone")


@pytest.mark.parametrize("model", ["tone", "espeak"])
async def test_ctrl_c_ends_it_at_once_and_without_noise(model: str, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with listening("say", "-", "--model", model, "-o", str(path)) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"The first sentence is here. And")
        process.stdin.flush()
        await until(lambda: path.exists() and path.stat().st_size > 44)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(30) == 130
        assert process.stderr.read() == b""
    assert soundfile.info(path).frames > 0, "what was spoken is kept"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("say", "x", "--speed", "9"), b"--speed: expected a number from 0.5 to 2, got 9"),
        (("say", "x", "--volume", "nan"), b"--volume: expected a number from 0 to 2"),
        (("say", "x", "--seed", "-4"), b"--seed: expected an integer from 0 to 4294967295, got -4"),
        (("say", "x", "--url", "127.0.0.1:1"), b"voxwire: expected a server at ws://127.0.0.1:1/v1/stream, got: "),
        (("say", "x", "--url", "ftp://127.0.0.1"), b"expected a server's address such as http://127.0.0.1:6006"),
        (("voices", "--url", "http://[::1"), b"expected a server's address such as http://127.0.0.1:6006"),
        (("say", "x", "-o", "x.mp3"), b"must end in"),
        (("say", "x", "--model", "nothing-like-it"), b"nothing-like-it"),
        (("say", "x", "--model", "tone", "--voice", "bob"), b"was expected (tone), but 'bob' came"),
        (("say", "x", "--model", "tone", "-o", "/nonexistent/dir/x.wav"), b"/nonexistent/dir/x.wav"),
        (("say", "x", "--url", "http://127.0.0.1:1"), b"expected a server at"),
        (("voices", "--url", "http://127.0.0.1:1"), b"expected a voxwire server"),
        (("serve", "--port", "99999999"), b"port"),
        (("serve", "--sample_rate", "48000", "--model", "tone", "--port", "0"), b"44100"),
        (("serve", "--token_rate", "25", "--model", "tone", "--port", "0"), b"6.25"),
        (("serve", "--host", "0.0.0.0"), b"API key"),
        (("serve", "--colour", "red"), b"--colour"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(args: tuple[str, ...], sentence: bytes) -> None:
    ended = voxwire(*args)
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [("say", "x", "-o", "-"), ("voices",)])
def test_a_checkpoint_that_is_none_ends_with_2(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    ended = voxwire(*command, "--model", str(tmp_path))
    assert ended.returncode == 2
    assert b"config.json" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


async def test_a_wait_is_told_now_and_then_and_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(say, "WAIT_INTERVAL_S", 0.001)
    for left_s, told in ((7.4, "voxwire: slower than real time: speaking in about 7 s\n"), (0.0, "")):
        progress = say.Progress(44_100)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await progress.show_wait(lambda left_s=left_s: left_s)  # type: ignore[misc]
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("is_played", [False, True])
async def test_that_the_connection_is_lost_is_told_once_and_only_when_it_can_be_heard(
    is_played: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(say, "LINK_INTERVAL_S", 0.001)
    away, looks, told = [True], [0], [""]

    def is_away() -> bool:
        looks[0] += 1
        return away[0]

    async def told_after(num_looks: int) -> str:
        begun = looks[0]
        await until(lambda: looks[0] >= begun + num_looks)
        told[0] += capsys.readouterr().err
        return told[0]

    now = [0.0]
    progress = say.Progress(1000, clock=lambda: now[0])
    progress.show(250)
    showing = asyncio.create_task(progress.show_link(is_away, is_played=is_played))
    line = "voxwire: the connection is lost: reconnecting\n"
    assert await told_after(5) == ("" if is_played else line)
    now[0] = 0.3
    assert await told_after(5) == line
    away[0] = False
    assert await told_after(5) == line
    away[0] = True
    assert await told_after(5) == 2 * line
    showing.cancel()


async def test_say_goes_on_when_the_connection_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    text = TEXT * 40
    async with serving("tone") as server, Relay(server.port).running() as relay:
        args = ("say", text, "--url", f"127.0.0.1:{relay.port}", "--seed", "8", "-o", str(path))
        relay.cut_answer_after[0] = 600_000
        saying = asyncio.create_task(asyncio.to_thread(voxwire, *args))
        await until(lambda: relay.num_connections > 1)
        ended = await saying
    assert ended.returncode == 0, ended.stderr
    spoken, rate = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(spoken, tone_samples(8, 0, len(spoken)))
    assert len(spoken) > 60 * rate


def test_a_pipe_that_nobody_reads_any_more_ends_it_without_noise() -> None:
    command = [sys.executable, "-m", "streaming_server", "say", TEXT * 9, "--model", "tone", "-o", "-"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(44)
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == b""


def test_voices_lists_both_sexes_of_english_and_mandarin() -> None:
    listing = voxwire("voices", "--model", "espeak").stdout.decode()
    for name in ("en-US-male", "en-US-female", "en-GB-male", "en-GB-female", "cmn-male", "cmn-female"):
        assert any(line.split()[:1] == [name] or line.split()[1:2] == [name] for line in listing.splitlines()), name


def test_serve_prints_its_address_once_it_is_ready_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "streaming_server", "serve", "--model", "tone", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        while "ssh -L" not in "".join(lines):
            line = process.stdout.readline()
            assert line, f"serve ended early: {lines}"
            lines.append(line)
        assert any("http://127.0.0.1:" in line for line in lines)
        process.terminate()
        began_at = time.monotonic()
        assert process.wait(30) == 0
        assert time.monotonic() - began_at < 15


def test_a_taken_port_is_said_in_one_sentence() -> None:
    command = [sys.executable, "-m", "streaming_server", "serve", "--model", "tone", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = ""
        while "http://127.0.0.1:" not in address:
            address = process.stdout.readline()
        port = address.strip().rstrip("/").rpartition(":")[2]
        ended = voxwire("serve", "--model", "tone", "--port", port)
        process.terminate()
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}".encode() in ended.stderr
    assert b"--port" in ended.stderr
