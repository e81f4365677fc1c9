"""A client of voxwire.v1 written from protocol/PROTOCOL.md alone; it holds every message to what that page promises.

It shares no line with the server or with `protocol`. A broken promise is an `AssertionError` at the next wait.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
from websockets import ConnectionClosed, Subprotocol
from websockets.asyncio.client import connect

Message = dict[str, Any]
WAIT_S = 30
COUNTED = {"start", "text", "flush", "end", "cancel", "format"}
WIDTH = {"pcm_s16le": 2, "pcm_f32le": 4}


def opus_packet_ms(packet: bytes) -> float:
    """How long one Opus packet lasts (RFC 6716, section 3.1)."""
    config, code = packet[0] >> 3, packet[0] & 3
    durations = (10, 20, 40, 60) if config < 12 else (10, 20) if config < 16 else (2.5, 5, 10, 20)
    return durations[config % len(durations)] * (packet[1] & 63 if code == 3 else min(code + 1, 2))


@dataclass
class Run:
    """Audio of one coder state: its payloads cover its ticks, less a delay while it lasts and exactly in the end."""

    audio: Message
    model: Message
    ticks: int = 0
    samples: int = 0
    payloads: list[bytes] = field(default_factory=list)

    def take(self, message: Message) -> None:
        opus, rate = self.audio["codec"] == "opus", self.audio["sample_rate"]
        assert {"data", "packets"} & set(message) == {"packets" if opus else "data"}, f"expected {self.audio}"
        for payload in message["packets"] if opus else [message["data"]]:
            if opus:
                assert opus_packet_ms(payload) == self.audio["frame_ms"], f"expected {self.audio}"
            else:
                assert not len(payload) % WIDTH[self.audio["codec"]], f"expected whole samples of {self.audio}"
            self.samples += self.frame if opus else len(payload) // WIDTH[self.audio["codec"]]
            self.payloads.append(payload)
        self.ticks += message["samples"]
        exact = not opus and rate == self.model["sample_rate"]
        bound = 1 if exact else rate * self.model["patch_ms"] / 1000
        assert -bound < self.over < self.frame, f"{self.over} samples over, in {self.audio}, at {message['seq']}"

    @property
    def frame(self) -> int:
        """The samples that come at once."""
        return int(self.audio["frame_ms"] * self.audio["sample_rate"] / 1000) if self.audio["codec"] == "opus" else 1

    @property
    def over(self) -> int:
        """Samples beyond those that the ticks make, rounded up to one."""
        pre_skip = self.audio["pre_skip"] if self.samples else 0
        due = -(-self.ticks * self.audio["sample_rate"] // self.model["sample_rate"])
        return int(self.samples - pre_skip - due)

    def close(self) -> None:
        assert 0 <= self.over < self.frame, f"expected {self.ticks} ticks to be covered, {self.over} samples over"


@dataclass
class Utterance:
    """What one utterance was given and has told, held to its order."""

    model: Message
    text: str = ""
    messages: list[Message] = field(default_factory=list)
    segments: list[Message] = field(default_factory=list)
    words: list[list[int]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    again: list[Message] = field(default_factory=list)
    next_seq: int = 0
    samples: int = 0
    done: Message = field(default_factory=dict)
    refused: Message = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return bool(self.done or self.refused)

    def take(self, message: Message) -> None:
        assert not self.over, f"expected nothing after the end, got {message}"
        if message["type"] == "error" and "seq" not in message:
            self.refused = message
        elif self.again:
            assert message == self.again.pop(0), f"expected the held message again, got {message}"
        else:
            assert (message["type"] == "started") == (not self.messages), f"expected started first, got {message}"
            assert message["seq"] == self.next_seq, f"expected seq {self.next_seq}, got {message}"
            self.messages.append(message)
            if message["type"] != "error":
                getattr(self, f"_{message['type']}")(message)

    def _started(self, message: Message) -> None:
        self.runs.append(Run(message["audio"], self.model))

    def _format(self, message: Message) -> None:
        self.runs[-1].close()
        self._started(message)

    def _segment(self, message: Message) -> None:
        self._end_segment()
        last_end = self.segments[-1]["text_end"] if self.segments else 0
        assert message["index"] == len(self.segments), f"expected index {len(self.segments)}, got {message}"
        assert last_end <= message["text_start"] < message["text_end"] <= len(self.text), f"not the next: {message}"
        assert message["pts"] == self.samples, f"expected pts {self.samples}, got {message}"
        self.segments.append(message)

    def _end_segment(self) -> None:
        late = [word for word in self.words if word[3] > self.samples]
        assert not late, f"expected words before the end of their segment, {self.samples}, got {late}"

    def _words(self, message: Message) -> None:
        segment = self.segments[-1]
        for start, end, pts, pts_end in message["words"]:
            inside = segment["text_start"] <= start < end <= segment["text_end"] and segment["pts"] <= pts <= pts_end
            assert inside, f"expected words within {segment}, got {message}"
            correction = message["estimated"] and any(start == earlier[0] for earlier in self.words)
            assert correction or pts >= self.samples, f"expected words before their audio, {self.samples}: {message}"
            self.words.append([start, end, pts, pts_end])

    def _audio(self, message: Message) -> None:
        assert self.segments, f"expected a segment before its audio, got {message}"
        assert message["pts"] == self.samples, f"expected pts {self.samples}, got {message['pts']}"
        self.samples += message["samples"]
        self.next_seq += 1
        self.runs[-1].take(message)

    def _done(self, message: Message) -> None:
        self.done = message
        assert message["samples"] == self.samples, f"expected {self.samples} samples, got {message}"
        if message["reason"] == "end":
            self.runs[-1].close()
            self._end_segment()


class Client:
    """One session, over one connection at a time."""

    def __init__(self, url: str, *, as_json: bool = False, listens: bool = False) -> None:
        self.url, self.as_json, self.listens = url, as_json, listens
        self.ready: Message = {}
        self.utterances: dict[str, Utterance] = {}
        self.loose: list[Message] = []
        self._counted: list[Message] = []
        self._news = asyncio.Event()

    async def open(self) -> None:
        protocol = [Subprotocol("voxwire.v1")]
        self.socket = await connect(self.url, subprotocols=protocol, compression=None, max_size=None)
        assert (self.socket.subprotocol, self.socket.protocol.extensions) == ("voxwire.v1", [])
        self._reader = asyncio.create_task(self._read())

    async def greet(self, **hello: Any) -> Client:
        await self.open()
        await self.put({"type": "hello"} | hello)
        self.ready = await self.hear("ready")
        return self

    async def resume(self, **hello: Any) -> None:
        """A new connection for the same session: what either side lacks comes again."""
        lacking = {id: utterance for id, utterance in self.utterances.items() if not utterance.over}
        for utterance in lacking.values():
            utterance.again = [message for message in utterance.messages if message["seq"] >= utterance.next_seq]
        wanted = {id: utterance.next_seq for id, utterance in lacking.items()}
        resume = {"session": self.ready["session"], "token": self.ready["resume_token"], "received": wanted}
        await self.greet(resume=resume, **hello)
        missed, self._counted = self._counted[self.ready["client_messages"] :], []
        for message in missed if self.ready["resumed"] else []:
            if message["utterance"] not in self.utterances or not self.utterances[message["utterance"]].over:
                await self.put(message)

    async def send(self, type: str, utterance: str, **fields: Any) -> None:
        """A message, and in the books what it does to its utterance."""
        if type == "start":
            self.utterances[utterance] = Utterance(self.ready["model"])
        if "text" in fields:
            self.utterances[utterance].text += fields["text"]
        await self.put({"type": type, "utterance": utterance} | fields)

    async def put(self, message: Message) -> None:
        if message["type"] in COUNTED:
            self._counted.append(message)
        await self.socket.send(json.dumps(message) if self.as_json else msgpack.packb(message))

    async def say(self, utterance: str, text: str, **fields: Any) -> Utterance:
        """A one-shot, to its end."""
        await self.send("start", utterance, text=text, end=True, **fields)
        return await self.end_of(utterance)

    async def end_of(self, utterance: str) -> Utterance:
        await self.when(lambda: self.utterances[utterance].over)
        return self.utterances[utterance]

    async def hear(self, type: str) -> Message:
        """The next message of that type that belongs to the stream of no utterance."""
        await self.when(lambda: any(message["type"] == type for message in self.loose))
        return self.loose.pop([message["type"] for message in self.loose].index(type))

    async def when(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                assert not self._reader.done(), f"closed with {self._reader.result()}, last {self.loose[-1:]}"
                self._news.clear()
                await self._news.wait()

    async def close_code(self) -> int | None:
        """What the server closes with."""
        return await asyncio.wait_for(self._reader, WAIT_S)

    async def _read(self) -> int | None:
        try:
            async for data in self.socket:
                assert isinstance(data, str) == self.as_json, "expected the encoding of hello"
                await self._take(json.loads(data) if isinstance(data, str) else msgpack.unpackb(data))
                self._news.set()
        except ConnectionClosed:
            pass  # without a goodbye; the code tells
        finally:
            self._news.set()
        return self.socket.close_code

    async def _take(self, message: Message) -> None:
        if isinstance(message.get("data"), str):
            message["data"] = base64.b64decode(message["data"], validate=True)
        if self.as_json and "packets" in message:
            message["packets"] = [base64.b64decode(packet, validate=True) for packet in message["packets"]]
        utterance = self.utterances.get(message.get("utterance", ""))
        if not utterance or (message["type"] == "error" and "seq" not in message and utterance.messages):
            self.loose.append(message)
            return
        utterance.take(message)
        if self.listens and message["type"] in {"audio", "done"}:
            heard = {"played": utterance.samples, "received": message["seq"] + 1}
            await self.put({"type": "playhead", "utterance": message["utterance"]} | heard)
