"""The tone model as a device would run it: a step is over when the clock says so, and whoever waits for it lets time
pass. It insists on what `models.base.Pending` promises to models, and misbehaves where the text says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from models.base import Failure, History, ModelError, ModelInfo, Patch, SpeechParams, Voice
from models.engine import Engine
from models.tone import INFO, ToneModel

from .stage import Stage

SUBMIT_RAISES = "!"
STOPS_RAISE = "^"
PATCHES_RAISE = "%"
FAILS = "?"  # this slot alone, and unforeseen
STOPS_LIE = "<"

PATCH = INFO.patch_samples
PATCH_S = PATCH / INFO.sample_rate


class LateTone:
    """`step_s(rows)` is how long a step takes; a share of it is over when its stops are known. One device: a step
    begins when the one before it is over."""

    def __init__(
        self,
        stage: Stage,
        *,
        max_slots: int = 8,
        max_batch: int = 4,
        buckets: tuple[int, ...] = (),
        step_s: Callable[[int], float] = lambda num_rows: 0.01,
        stops_share: float = 0.2,
        drops_closed: bool = False,
    ) -> None:
        self._stage = stage
        self._tone = ToneModel()
        self._info = replace(
            INFO,
            max_slots=max_slots,
            max_batch=max_batch,
            buckets=buckets,
            voices=(Voice(name="actor", language="und"),),
            default_voice="actor",
        )
        self._step_s = step_s
        self._stops_share = stops_share
        self._drops_closed = drops_closed
        self._faults: dict[int, str] = {}
        self._owners: dict[int, int] = {}  # slot -> generation
        self._free_at = 0.0
        self._awaiting: set[int] = set()  # slots whose stop nobody has asked for
        self.under_way: list[_Late] = []
        self.steps: list[list[int]] = []
        """The slots of each step."""
        self.busy_s = 0.0
        self.is_shut_down = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        self._tone.open(slot, generation, INFO.default_voice, params, history)
        self._owners[slot] = generation
        self._faults[slot] = ""
        self._awaiting.discard(slot)

    def extend(self, slot: int, text: str) -> None:
        self._faults[slot] += text
        self._tone.extend(slot, text)

    def expect(self, slot: int, text: str) -> None:
        self._tone.expect(slot, text)

    def seal(self, slot: int) -> None:
        self._tone.seal(slot)

    def submit(self, slots: Sequence[int]) -> _Late:
        if len(self.under_way) == 2:
            raise ModelError("At most two steps under way were expected.")
        if self._awaiting.intersection(slots):
            raise ModelError("Slots whose stop has been read were expected.")
        faults = {fault for slot in slots for fault in self._faults[slot]}
        if SUBMIT_RAISES in faults:
            raise RuntimeError("the launch failed")
        self.steps.append(list(slots))
        self._awaiting.update(slots)
        seconds = self._step_s(len(slots))
        begins_at = max(self._stage.now, self._free_at)
        self._free_at = begins_at + seconds
        self.busy_s += seconds
        step = _Late(self, begins_at + self._stops_share * seconds, self._free_at, faults)
        step.results = [self._fate(patch) for patch in self._tone.submit(slots).patches()]
        self.under_way.append(step)
        return step

    def close(self, slot: int) -> None:
        self._tone.close(slot)
        del self._owners[slot]
        self._awaiting.discard(slot)

    def reload_voices(self) -> None:
        pass

    def shutdown(self) -> None:
        self._tone.shutdown()
        self.is_shut_down = True

    def wait(self, until: float) -> None:
        self._stage.now = max(self._stage.now, until)

    def is_over(self, at: float) -> bool:
        return self._stage.now >= at

    def heed(self, stops: Mapping[int, bool]) -> None:
        self._awaiting.difference_update(stops)

    def keep(self, results: Sequence[Patch | Failure]) -> Sequence[Patch | Failure]:
        if not self._drops_closed:
            return results
        return [each for each in results if self._owners.get(each.slot) == each.generation]

    def _fate(self, patch: Patch | Failure) -> Patch | Failure:
        if FAILS not in self._faults[patch.slot]:
            return patch
        return Failure(slot=patch.slot, generation=patch.generation, message="This cannot be said.")


class _Late:
    """A step under way. Its results are there, for whoever waits until it is over."""

    def __init__(self, model: LateTone, stops_at: float, over_at: float, faults: set[str]) -> None:
        self._model = model
        self._stops_at = stops_at
        self._over_at = over_at
        self._faults = faults
        self.results: Sequence[Patch | Failure] = ()

    @property
    def is_done(self) -> bool:
        return self._model.is_over(self._over_at)

    def stops(self) -> Mapping[int, bool]:
        self._model.wait(self._stops_at)
        if STOPS_RAISE in self._faults:
            self._model.under_way.remove(self)
            raise RuntimeError("the device is lost")
        lies = STOPS_LIE in self._faults
        stops = {each.slot: each.last is not lies for each in self.results if isinstance(each, Patch)}
        self._model.heed(stops)
        return stops

    def patches(self) -> Sequence[Patch | Failure]:
        assert self._model.under_way[0] is self, "expected the steps to be read in the order of their submission"
        self._model.wait(self._over_at)
        self._model.under_way.remove(self)
        self._model.heed({each.slot: True for each in self.results})  # who reads the patches needs no stops
        if PATCHES_RAISE in self._faults:
            raise RuntimeError("the copy failed")
        return self._model.keep(self.results)


class LateStage(Stage):
    """A stage whose model is a `LateTone`."""

    def __init__(
        self,
        *,
        max_slots: int = 8,
        max_batch: int = 4,
        buckets: tuple[int, ...] = (),
        step_s: Callable[[int], float] = lambda num_rows: 0.01,
        stops_share: float = 0.2,
        drops_closed: bool = False,
    ) -> None:
        super().__init__()
        self.late = LateTone(
            self,
            max_slots=max_slots,
            max_batch=max_batch,
            buckets=buckets,
            step_s=step_s,
            stops_share=stops_share,
            drops_closed=drops_closed,
        )
        self.engine = Engine(self.late, clock=lambda: self.now)
