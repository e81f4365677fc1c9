"""An engine under a virtual clock, and an audience that writes down what it hears."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random

from models.base import History, SpeechParams
from models.engine import (
    Cancel,
    Closed,
    Command,
    Engine,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reading,
    Seal,
    Spoke,
    Step,
    Suspend,
)

from .scripted import PATCH, ScriptedModel


class Stage:
    """Streams are named by small integers, which are their seeds too. `step_s(rows)` is how long a step takes."""

    def __init__(
        self, *, max_slots: int = 8, max_batch: int = 4, step_s: Callable[[int], float] = lambda num_rows: 0.0
    ) -> None:
        self.now = 100.0
        self._step_s = step_s
        self.model = ScriptedModel(max_slots=max_slots, max_batch=max_batch, spend=self._spend)
        self.engine = Engine(self.model, clock=lambda: self.now)
        self.heard: defaultdict[int, list[Spoke]] = defaultdict(list)
        self.heard_at: defaultdict[int, list[float]] = defaultdict(list)
        self.ends: defaultdict[int, list[Closed | Failed]] = defaultdict(list)

    def tell(self, *commands: Command) -> None:
        for command in commands:
            self.engine.apply(command)

    def open(
        self,
        key: int,
        text: str | None = None,
        *,
        lead: int | None = 10 * PATCH,
        session: int | None = None,
        held: bool = False,
        voice: str = "actor",
        finish: bool = True,
        history: History | None = None,
    ) -> None:
        """A stream that speaks a text, patch by patch of it, to its end."""
        params = SpeechParams(seed=key)
        self.tell(Open(key, key if session is None else session, voice, params, lead, held, history))
        if text is not None:
            self.tell(Extend(key, text), Seal(key))
            if finish:
                self.tell(Finish(key))

    def say(self, key: int, text: str) -> None:
        self.tell(Extend(key, text), Seal(key))

    def finish(self, key: int) -> None:
        self.tell(Finish(key))

    def pace(self, key: int, position: int, since: float | None) -> None:
        self.tell(Pace(key, Reading(position, since)))

    def suspend(self, key: int, suspended: bool = True) -> None:
        self.tell(Suspend(key, suspended))

    def cancel(self, key: int) -> None:
        self.tell(Cancel(key))

    def step(self) -> Step | None:
        """One turn of the engine, whether it is awake or not."""
        step = self.engine.step()
        for event in step.events if step is not None else ():
            key = event.stream
            assert isinstance(key, int)
            match event:
                case Spoke():
                    self.heard[key].append(event)
                    self.heard_at[key].append(self.now)
                case Closed() | Failed():
                    self.ends[key].append(event)
        return step

    def rows(self) -> list[int]:
        """The streams of the next step."""
        num_steps = len(self.model.steps)
        self.step()
        return self.model.steps[-1] if len(self.model.steps) > num_steps else []

    def run(self, seconds: float = 1e6) -> None:
        """Let the engine work until it sleeps for ever, or that time has passed."""
        until = self.now + seconds
        while self.now <= until:
            wake = self.engine.next_wake()
            if wake is None or wake > until:
                break
            self.now = max(self.now, wake)
            self.step()
        if seconds < 1e6:
            self.now = max(self.now, until)

    def hold_open_house(
        self, draw: Random, num_listeners: int, seconds: float, come: Callable[[int], None]
    ) -> dict[int, float]:
        """So many at most come, alone or in crowds, and go; then whoever is left is heard out. When each came, by key.

        `come` opens the stream of that key.
        """
        live: set[int] = set()
        came_at: dict[int, float] = {}
        until = self.now + seconds
        while self.now < until:
            live = {key for key in live if not self.ends[key]}
            crowd = num_listeners - len(live) if draw.random() < 0.1 else min(1, num_listeners - len(live))
            for _ in range(crowd):
                key = len(came_at)
                come(key)
                live.add(key)
                came_at[key] = self.now
            self.run(draw.random() * 0.1)
        self.run(20.0)
        return came_at

    def num_patches(self, key: int) -> int:
        return len(self.heard[key])

    def messages(self, key: int) -> list[str]:
        return [end.message if isinstance(end, Failed) else "closed" for end in self.ends[key]]

    def reasons(self, key: int) -> list[str]:
        """Why it was not let in, without what is expected then."""
        refusals = [end for end in self.ends[key] if isinstance(end, Failed) and end.busy]
        assert all(250 <= refusal.retry_after_ms <= 30_000 for refusal in refusals)
        return [refusal.message.partition("; first audio is expected in about ")[0] for refusal in refusals]

    def underrun_s(self, key: int) -> float:
        """The longest that this listener, who plays from the first audio on, waited for a patch."""
        worst, dry_at = 0.0, float("inf")
        for patch, at in zip(self.heard[key], self.heard_at[key], strict=True):
            worst = max(worst, at - dry_at)
            dry_at = (at if dry_at == float("inf") else max(at, dry_at)) + len(
                patch.pcm
            ) / 2 / self.engine.info.sample_rate
        return worst

    def _spend(self, num_rows: int) -> None:
        self.now += self._step_s(num_rows)
