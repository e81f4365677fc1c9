"""The thread that owns the engine. Everybody else posts commands and receives steps."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from models.engine import Command, Engine, Prospects, Step

log = logging.getLogger(__name__)

IDLE_WAIT_S = 1.0

COMMANDS_S = 0.004
"""So long a turn may obey commands before it takes a step: a crowd that arrives does not silence those who speak."""


class EngineThread:
    """Steps while there is work, sleeps otherwise.

    `deliver` is called on this thread after each step that has something to tell, `ended` once, when the thread is
    over: because of `stop`, or because the engine is broken. The command queue has no bound of its own: what a client
    may have in flight is bounded by the session's limits.
    """

    def __init__(
        self,
        engine: Engine,
        deliver: Callable[[Step], None],
        ended: Callable[[], None],
        *,
        name: str = "engine",
    ) -> None:
        self._engine = engine
        self._deliver = deliver
        self._ended = ended
        self._commands: deque[Command] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def post(self, commands: Iterable[Command]) -> None:
        with self._changed:
            self._commands.extend(commands)
            self._changed.notify()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the present step and release the model."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)

    @property
    def step_age_s(self) -> float:
        """How long the present step or command has been running; 0 while idle. What a watchdog looks at."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def healthy_step_s(self) -> float:
        """How long a step or a command may take, by those before it."""
        return self._engine.healthy_step_s

    @property
    def told_tempo(self) -> Prospects:
        """How fast the engine is, and what a newcomer may expect of it."""
        return self._engine.prospects

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_broken(self) -> bool:
        return self._engine.is_broken

    @property
    def num_errors(self) -> int:
        """What the model should not have done, so far."""
        return self._engine.num_errors

    def _run(self) -> None:
        try:
            while not (self._stopping or self._engine.is_broken):
                self._sleep()
                if self._stopping:
                    break
                self._busy_since = time.monotonic()
                self._turn(self._busy_since + COMMANDS_S)
                self._busy_since = None
            if self._engine.is_broken:
                log.error("every step fails: the engine is given up")
            self._busy_since = time.monotonic()  # a shutdown may hang, too
            self._engine.shutdown()
            self._busy_since = None
        finally:
            self._ended()

    def _turn(self, commands_until: float) -> None:
        engine, commands = self._engine, self._commands
        while commands:
            engine.apply(commands.popleft())
            if time.monotonic() > commands_until:
                break
        step = engine.step()
        if step is not None:
            self._deliver(step)

    def _sleep(self) -> None:
        wake = self._engine.next_wake()
        with self._changed:
            if self._commands or self._stopping:
                return
            wait_s = IDLE_WAIT_S if wake is None else min(IDLE_WAIT_S, wake - time.monotonic())
            if wait_s > 0:
                self._changed.wait(wait_s)
