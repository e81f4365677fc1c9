"""How much sound may lie in a socket, whatever its bitrate."""

from __future__ import annotations

import asyncio

import pytest

from bench.survivor import Survivor
from bench.websocket import BUFFER_BYTES, Address
from protocol.messages import AudioFormat, Start
from streaming_server.audio.opus import opus_available
from streaming_server.sound_window import MAX_MESSAGES, MAX_SOUND_S, SoundWindow
from tests.streaming_server.serving import serving, until
from tests.streaming_server.test_stream_socket import metrics

PATCH_S = 0.16


def filled(num_messages: int, sound_s: float = PATCH_S) -> SoundWindow:
    window = SoundWindow()
    for _ in range(num_messages):
        window.write(100, sound_s)
    return window


def test_there_is_room_until_so_much_sound_is_unacknowledged() -> None:
    window = filled(7)
    assert not window.is_over(0.0, lambda: 700)
    assert window.is_over(PATCH_S, lambda: 700)
    assert window.is_over(PATCH_S, lambda: 601), "a message of which a byte is missing is not taken"
    assert not window.is_over(PATCH_S, lambda: 600)


def test_what_was_acknowledged_is_forgotten() -> None:
    window = filled(7)
    assert not window.is_over(PATCH_S, lambda: 0)
    window.write(100, PATCH_S)
    assert not window.is_over(PATCH_S, lambda: 900), "of so many bytes only those of the last message are sound"


def test_a_message_that_is_longer_than_the_bound_goes_where_no_sound_lies() -> None:
    window = filled(1, sound_s=0.0)
    assert not window.is_over(2 * MAX_SOUND_S, lambda: 50)


def test_messages_without_sound_do_not_pile_up() -> None:
    window, num_looks = SoundWindow(), 0

    def look() -> int:
        nonlocal num_looks
        num_looks += 1
        return 0

    for _ in range(10 * MAX_MESSAGES):
        assert not window.is_over(0.0, look)
        window.write(100, 0.0)
    assert 8 <= num_looks <= 10


@pytest.mark.skipif(not opus_available(), reason="the system has no libopus")
async def test_little_of_a_low_bitrate_is_put_into_a_socket_that_nobody_reads_and_all_is_heard_in_the_end() -> None:
    async with serving() as server:
        audio = AudioFormat(codec="opus", bitrate=16_000)
        survivor = Survivor(Address.of(server.http_url), bytearray(BUFFER_BYTES), lead_ms=60_000, audio=audio)
        await survivor.connect(receive_buffer_bytes=4096)
        survivor.stop_reading()
        survivor.say(Start(utterance="u", seed=1, text="Nobody reads what is said here. " * 10, end=True))
        await until(lambda: server.engine.num_streams == 1)
        await asyncio.sleep(0.5)
        page = await asyncio.to_thread(metrics, server.port)
        (line,) = (line for line in page.splitlines() if line.startswith("voxwire_audio_seconds_total"))
        assert 0 < float(line.split()[1]) < MAX_SOUND_S + 2, "the rest is what the client's kernel took"
        survivor.reset()
        await survivor.connect()
        hearing = survivor.hearings["u"]
        await survivor.until(lambda: hearing.is_over)
        assert (hearing.is_whole, hearing.proof.faults) == (True, [])
        survivor.leave()
