"""How much sound may lie in a socket, whatever its bitrate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bench.survivor import Survivor
from bench.websocket import BUFFER_BYTES, Address
from protocol.messages import AudioFormat, Start
from streaming_server.audio.opus import opus_available
from streaming_server.socket_queues import Way
from streaming_server.sound_window import GROWTH, LONGEST_WAY_S, MAX_MESSAGES, MAX_SOUND_S, SPEED, SoundWindow
from tests.streaming_server.serving import serving, until
from tests.streaming_server.test_stream_socket import metrics

PATCH_S = 0.16


@dataclass
class Told:
    """What a kernel tells of a connection."""

    untaken: int = 0
    its_way: Way = field(default_factory=Way)
    num_looks: int = 0

    def num_untaken(self) -> int:
        self.num_looks += 1
        return self.untaken

    def way(self) -> Way:
        return self.its_way


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def filled(num_messages: int, told: Told, clock: Clock | None = None, sound_s: float = PATCH_S) -> SoundWindow:
    window = SoundWindow(told, clock or Clock())
    for _ in range(num_messages):
        window.write(100, sound_s)
    return window


def num_until_full(window: SoundWindow, told: Told, most: int = 1000) -> int:
    """So many more messages there is room for, while nothing is acknowledged."""
    for number in range(most):
        if window.is_over(PATCH_S):
            return number
        window.write(100, PATCH_S)
        told.untaken += 100
    return most


def test_there_is_room_until_so_much_sound_is_unacknowledged() -> None:
    told = Told(untaken=700)
    window = filled(7, told)
    assert not window.is_over(0.0)
    assert window.is_over(PATCH_S)
    told.untaken = 601
    assert window.is_over(PATCH_S), "a message of which a byte is missing is not taken"
    told.untaken = 600
    assert not window.is_over(PATCH_S)


def test_what_was_acknowledged_is_forgotten() -> None:
    told = Told(untaken=0)
    window = filled(7, told)
    assert not window.is_over(PATCH_S)
    window.write(100, PATCH_S)
    told.untaken = 900
    assert not window.is_over(PATCH_S), "of so many bytes only those of the last message are sound"


def test_a_message_that_is_longer_than_the_bound_goes_where_no_sound_lies() -> None:
    assert not filled(1, Told(untaken=50), sound_s=0.0).is_over(2 * MAX_SOUND_S)


def test_messages_without_sound_do_not_pile_up() -> None:
    told = Told()
    window = SoundWindow(told, Clock())
    for _ in range(10 * MAX_MESSAGES):
        assert not window.is_over(0.0)
        window.write(100, 0.0)
    assert 8 <= told.num_looks <= 10


def test_on_a_long_way_there_may_be_what_its_listener_plays_meanwhile_and_a_little_more() -> None:
    told = Told(its_way=Way(round_trip_s=3.0, least_round_trip_s=3.0))
    assert num_until_full(filled(0, told), told) == int(SPEED * 3.0 / PATCH_S)


def test_what_is_still_here_is_bounded_however_long_the_way_is() -> None:
    told = Told(untaken=700, its_way=Way(round_trip_s=3.0, least_round_trip_s=3.0, num_unsent=601))
    window = filled(7, told)
    assert window.is_over(PATCH_S)
    told.its_way = Way(round_trip_s=3.0, least_round_trip_s=3.0, num_unsent=600)
    assert not window.is_over(PATCH_S)


def play(told: Told, *, speed: float, least_s: float, trips: int, is_greedy: bool = True) -> float:
    """How much sound is unacknowledged in the end over a link of that speed, in seconds of sound a second: what comes
    faster waits on the way, and makes the round trip longer.
    """
    clock, written_s = Clock(), 0.0
    window = filled(0, told, clock)
    begun_at, acknowledged_s = clock.now, 0.0
    arrivals: list[tuple[float, float]] = []  # of acknowledgements: when, and of how much
    free_at = clock.now
    while clock.now < begun_at + trips * least_s:
        while arrivals and arrivals[0][0] <= clock.now:
            acknowledged_s += arrivals.pop(0)[1]
        told.untaken = round(100 * (written_s - acknowledged_s) / PATCH_S)
        wanted = is_greedy or written_s < clock.now - begun_at + 4.0
        if wanted and not window.is_over(PATCH_S):
            window.write(100, PATCH_S)
            written_s += PATCH_S
            free_at = max(free_at, clock.now) + PATCH_S / speed
            arrivals.append((free_at + least_s, PATCH_S))
            trip_s = free_at + least_s - clock.now
            told.its_way = Way(round_trip_s=min(trip_s, 5.0), least_round_trip_s=least_s)
        else:
            clock.now += 0.02
    return written_s - acknowledged_s


def test_who_fills_a_file_far_away_gets_what_the_link_carries() -> None:
    """Twice as much at every round trip, until twice what the way holds is under way."""
    assert 20.0 * 1.5 <= play(Told(), speed=20.0, least_s=1.5, trips=12) <= 2.2 * 20.0 * 1.5


@pytest.mark.parametrize("speed", [1.3, 2.0, 4.0])
def test_a_queue_on_a_thin_link_does_not_make_room_for_more_of_itself(speed: float) -> None:
    assert play(Told(), speed=speed, least_s=0.06, trips=1000) <= MAX_SOUND_S


def test_a_link_that_chokes_is_given_no_more_than_its_listener_plays_in_the_longest_round_trip() -> None:
    assert play(Told(), speed=0.5, least_s=0.06, trips=2000) <= SPEED * LONGEST_WAY_S


def test_a_clock_that_stands_makes_no_way_fast() -> None:
    """A loop's clock stands for a turn of it, in which a short way brings many acknowledgements."""
    told = Told(untaken=700, its_way=Way(round_trip_s=0.001, least_round_trip_s=0.001))
    window = filled(7, told)
    told.untaken = 0
    assert not window.is_over(PATCH_S)
    assert num_until_full(window, told) == int(GROWTH * 7 * PATCH_S / PATCH_S)


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
