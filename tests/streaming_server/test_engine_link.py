from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import History, ModelInfo, ModelOptions, ParamRange, SpeechParams, Voice, Word
from models.engine import (
    Cancel,
    Closed,
    Command,
    Event,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reading,
    Reloaded,
    ReloadVoices,
    Seal,
    Spoke,
    Suspend,
    Trial,
)
from streaming_server.engine_frames import MAX_FRAME_BYTES, FrameLink
from streaming_server.engine_link import (
    pack_command,
    pack_event,
    pack_info,
    pack_options,
    unpack_command,
    unpack_event,
    unpack_info,
    unpack_options,
)

NAMES = st.integers(1, 2**40)
TEXTS = st.text(max_size=20)
SAMPLES = st.integers(0, 2**40)
SECONDS = st.floats(allow_nan=False)

PARAMS = st.builds(
    SpeechParams, language=TEXTS, speed=SECONDS, volume=SECONDS, seed=NAMES, knobs=st.dictionaries(TEXTS, SECONDS)
)
LATENTS = st.lists(st.binary(max_size=30), max_size=3).map(tuple)
HISTORIES = st.builds(
    History,
    segment=NAMES,
    index=NAMES,
    segment_start=SAMPLES,
    position=SAMPLES,
    text=TEXTS,
    before=LATENTS,
    latents=LATENTS,
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        Open,
        NAMES,
        TEXTS | st.tuples(TEXTS, NAMES),
        TEXTS,
        PARAMS,
        st.none() | SAMPLES,
        st.booleans(),
        st.none() | HISTORIES,
        st.none() | st.builds(Trial, SAMPLES, st.booleans()),
    ),
    st.builds(Extend, NAMES, TEXTS),
    st.builds(Seal, NAMES),
    st.builds(Finish, NAMES),
    st.builds(Pace, NAMES, st.builds(Reading, SAMPLES, st.none() | SECONDS)),
    st.builds(Suspend, NAMES, st.booleans()),
    st.builds(Cancel, NAMES),
    st.builds(ReloadVoices, NAMES),
)
WORDS = st.lists(st.builds(Word, SAMPLES, SAMPLES, SAMPLES, SAMPLES), max_size=3).map(tuple)
BYTES = st.binary(max_size=30)
VOICE = st.builds(Voice, name=TEXTS, language=TEXTS, description=TEXTS, own=st.booleans())
VOICES = st.lists(VOICE, max_size=3).map(tuple)
INFOS = st.builds(
    ModelInfo,
    name=TEXTS,
    sample_rate=SAMPLES,
    patch_samples=SAMPLES,
    languages=st.just(("en", "zh")),
    voices=VOICES,
    default_voice=TEXTS,
    max_slots=NAMES,
    max_batch=NAMES,
    adapters=st.lists(TEXTS, max_size=4).map(tuple),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Spoke, NAMES, NAMES, NAMES, BYTES, WORDS, BYTES, st.booleans(), SECONDS),
    st.builds(Closed, NAMES),
    st.builds(Failed, NAMES, TEXTS, st.booleans(), st.integers(0, 30_000)),
    st.builds(Reloaded, NAMES, INFOS),
)


@given(COMMANDS, st.integers(1, 99))
def test_command_arrives_under_its_workers_name(command: Command, worker: int) -> None:
    arrived = unpack_command(msgpack.unpackb(msgpack.packb(pack_command(command)), use_list=False), worker)
    assert arrived.stream == (worker, command.stream)
    if isinstance(command, Open):
        assert isinstance(arrived, Open)
        assert arrived.session == (worker, command.session)
        hash(arrived.session)
        assert replace(arrived, stream=command.stream, session=command.session) == command
    else:
        assert pack_command(arrived)[2:] == pack_command(command)[2:]
        assert type(arrived) is type(command)


@given(EVENTS)
def test_event_arrives_as_it_was_sent(event: Event) -> None:
    assert isinstance(event.stream, int)
    packed = msgpack.packb(pack_event(event, event.stream))
    assert unpack_event(msgpack.unpackb(packed, use_list=False)) == event


@pytest.mark.parametrize("data", [(), ("z", 1), ("o", 1), ("a", 1, 2), 7, None, ("p", 1)])
def test_what_is_no_command_or_event_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="expected an engine command"):
        unpack_command(data, 1)
    with pytest.raises(ValueError, match="expected an engine event"):
        unpack_event(data)


def test_model_info_arrives_as_it_was_sent() -> None:
    info = ModelInfo(
        name="m",
        sample_rate=44_100,
        patch_samples=7056,
        languages=("en", "zh"),
        voices=(Voice(name="a", language="en"), Voice(name="b", language="zh", gender="female", description="soft")),
        default_voice="a",
        max_slots=7,
        max_batch=3,
        neural=True,
        params={"cfg_value": ParamRange(min=1.0, max=4.0, default=2.0)},
    )
    assert unpack_info(msgpack.unpackb(msgpack.packb(pack_info(info)), use_list=False)) == info


@pytest.mark.parametrize(
    "options",
    [
        ModelOptions(),
        ModelOptions(
            device="cuda:1",
            dtype="bfloat16",
            quantize="int8",
            num_threads=3,
            num_slots=5,
            voices=Path("/v"),
            cache=Path("/c"),
            adapters=(Path("/a"), Path("/b c")),
            merge_adapter=Path("/m"),
            gpu_memory=0.5,
            deterministic=True,
        ),
    ],
)
def test_model_options_arrive_as_they_were_sent(options: ModelOptions) -> None:
    assert unpack_options(pack_options(options)) == options


def test_a_relative_folder_arrives_absolute() -> None:
    assert unpack_options(pack_options(ModelOptions(voices=Path("v")))).voices == Path.cwd() / "v"


class _End(FrameLink):
    """A link without a socket: what it receives, and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[object] = []
        self.is_cut = False

    def received(self, message: object) -> None:
        if message == "refused":
            raise ValueError("expected anything else")
        self.messages.append(message)

    def cut(self) -> None:
        self.is_cut = True

    def feed(self, data: bytes, num_bytes: int) -> None:
        """In pieces of at most so many bytes, or as many as the link takes at once."""
        while data and not self.is_cut:
            room = self.get_buffer(-1)
            taken = min(len(room), num_bytes, len(data))
            assert taken > 0
            room[:taken] = data[:taken]
            data = data[taken:]
            self.buffer_updated(taken)


def frame(value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return struct.pack("<I", len(body)) + body


@given(
    sizes=st.lists(st.one_of(st.integers(0, 40), st.sampled_from([1000, 262_140, 262_144, 600_000])), max_size=8),
    num_bytes=st.one_of(st.integers(1, 20), st.integers(1000, 700_000)),
)
@settings(max_examples=60, deadline=None)
def test_messages_arrive_whole_however_the_bytes_do(sizes: list[int], num_bytes: int) -> None:
    if sum(sizes) > 50_000:
        num_bytes = max(num_bytes, 1000)
    messages = [{"number": number, "data": bytes([number]) * size} for number, size in enumerate(sizes)]
    end = _End()
    end.feed(b"".join(map(frame, messages)), num_bytes)
    assert end.messages == messages
    assert not end.is_cut


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", MAX_FRAME_BYTES + 1),
        struct.pack("<I", 1) + b"\xc1",
        frame("refused"),
        frame([1])[:-1] + b"\xd9",
    ],
)
def test_torn_stream_is_cut(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    end = _End()
    end.feed(frame("first") + data, 1000)
    assert end.messages == ["first"]
    assert end.is_cut
    assert "cut" in caplog.text
