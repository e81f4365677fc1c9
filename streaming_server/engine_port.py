"""One web process at the engine's host: its streams, and whether it takes what they speak."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.base import ModelInfo
from models.engine import Audience, Cancel, Closed, Command, Ear, Event, Failed, Open, StreamKey, Suspend

from .engine_frames import FrameLink
from .engine_link import pack_event, pack_info, unpack_command
from .engine_thread import EngineThread

log = logging.getLogger(__name__)

STUCK_S = 10.0
"""A web process that reads nothing for this long is cut, and its streams end."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Files that an engine's host shares with web processes: `engine_record`, `engine_faults`, `engine_lifeline`."""

    steps: Path
    faults: Path
    lifeline: Path

    @classmethod
    def beside(cls, socket_path: Path) -> Shared:
        """Faults are of all engines that follow each other there, under names `engine0`, `engine0.1`..."""
        name = socket_path.name
        return cls(
            steps=socket_path.with_name(f"{name}.steps"),
            faults=socket_path.with_name(f"{name.partition('.')[0]}.faults"),
            lifeline=socket_path.with_name(f"{name}.lifeline"),
        )


class EnginePort(FrameLink):
    """Lives as long as the connection; `on_lost` is called at its end, `on_crowd` when it has more streams or fewer.

    A worker that falls behind is not spoken to: its streams are suspended until it has read what waits for it. So the
    engine makes what is being taken, and a newcomer's first patch does not queue behind seconds of others' speech.
    """

    def __init__(
        self,
        number: int,
        info: ModelInfo,
        thread: EngineThread,
        on_lost: Callable[[int], None],
        on_crowd: Callable[[], None] = lambda: None,
        shared: Shared | None = None,
    ) -> None:
        super().__init__()
        self._shared = shared
        self._number = number
        self._info = info
        self._thread = thread
        self._on_lost = on_lost
        self._on_crowd = on_crowd
        self._audience = Audience()
        self._ears: dict[StreamKey, tuple[Hashable, Ear]] = {}  # of the streams below: whose, and what they do
        self._elsewhere: tuple[int, int] | None = None  # before the connection stands
        self._streams: dict[StreamKey, bool] = {}  # those not over -> suspended by the web process itself
        self._is_slow = False
        self._stuck: asyncio.TimerHandle | None = None

    @property
    def crowd(self) -> tuple[int, int]:
        """Its streams that are not over, and how many listeners those have."""
        return len(self._streams), self._audience.num_listeners

    def tell(self, events: list[tuple[Event, int]], num_rows: int, seconds: float) -> None:
        """One step's events for this worker, each with its stream's name there."""
        for event, _ in events:
            if isinstance(event, Closed | Failed):
                self._forget(event.stream)
        self.send(
            {
                "events": [pack_event(event, stream) for event, stream in events],
                "rows": num_rows,
                "s": seconds,
                "errors": self._thread.num_errors,
                "tempo": self._thread.told_tempo,
            }
        )

    def tell_tempo(self) -> None:
        """It has become slow, or fast enough, with others' steps."""
        self.send({"tempo": self._thread.told_tempo})

    def tell_elsewhere(self, num_streams: int, num_listeners: int) -> None:
        """What other web processes have. Nothing is said of what is known there."""
        if self._elsewhere not in (None, (num_streams, num_listeners)):
            self._elsewhere = num_streams, num_listeners
            self.send({"elsewhere": self._elsewhere, "tempo": self._thread.told_tempo})

    def tell_info(self, info: ModelInfo) -> None:
        """Of voices that another web process had looked for."""
        self._info = info
        self.send({"info": pack_info(info)})

    def opened(self) -> None:
        self.tell_tempo()
        self.send({"info": pack_info(self._info), "shared": self._share()})
        self._elsewhere = 0, 0  # until others are told of
        self._on_crowd()

    def received(self, message: Any) -> None:
        match message:
            case {"ping": nonce}:
                thread = self._thread
                self.send({"pong": nonce, "step_age_s": thread.step_age_s, "healthy_s": thread.healthy_step_s})
            case {"commands": commands}:
                self._thread.post(self._follow([unpack_command(data, self._number) for data in commands]))
            case _:
                raise ValueError(f"expected commands or a ping, {str(message)[:40]} came")

    def slowed(self, is_slow: bool) -> None:
        self._is_slow = is_slow
        self._thread.post([Suspend(stream, is_slow or own) for stream, own in self._streams.items()])
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        if is_slow:
            self._stuck = asyncio.get_running_loop().call_later(STUCK_S, self._cut_stuck)

    def lost(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
        self._thread.post([Cancel(stream) for stream in self._streams])
        self._streams.clear()
        self._on_lost(self._number)
        self._on_crowd()

    def _follow(self, commands: list[Command]) -> list[Command]:
        """Keep account of its streams; what is posted may be a little more, or less."""
        posted: list[Command] = []
        for command in commands:
            match command:
                case Open(stream=stream):
                    self._admit(command)
                    posted.append(command)
                    if self._is_slow:
                        posted.append(Suspend(stream, True))
                    continue
                case Cancel(stream=stream):
                    self._forget(stream)
                case Suspend(stream=stream, suspended=suspended) if stream in self._streams:
                    self._streams[stream] = suspended
                    if self._is_slow:
                        continue
            posted.append(command)
        return posted

    def _share(self) -> dict[str, str | int] | None:
        files = self._shared
        if files is None:
            return None
        paths = {"steps": str(files.steps), "faults": str(files.faults), "lifeline": str(files.lifeline)}
        return {"port": self._number, "pid": os.getpid(), **paths}

    def _admit(self, command: Open) -> None:
        self._forget(command.stream)  # of a web process that names two streams the same, the former ends
        ear = Ear.of(command.lead_samples, command.held)
        self._streams[command.stream] = False
        self._ears[command.stream] = command.session, ear
        self._audience.join(command.session, ear)
        self._on_crowd()

    def _forget(self, stream: StreamKey) -> None:
        if stream in self._streams:
            del self._streams[stream]
            self._audience.leave(*self._ears.pop(stream))
            self._on_crowd()

    def _cut_stuck(self) -> None:
        log.error("web process %d cut: it does not read what the engine speaks", self._number)
        self.cut()
