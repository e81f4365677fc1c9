"""What is to be told, shuffled, and those who tell it: some with bad first messages, some in the midst of sessions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from .fuzz_caller import Caller, Findings
from .fuzz_fields import Field, all_fields
from .fuzz_messages import right_message
from .fuzz_mutations import MUTATIONS, Probe, mutated, written
from .fuzz_scenes import BAD_STATE, OPENINGS, SCENES
from .websocket import Address, ConnectionFailed

SEQUENCE = "wrong time"
"""What is wrong with a message that is right in itself."""


@dataclass(frozen=True, slots=True)
class Task:
    """One message to be made, or one scene to be played, from this seed."""

    seed: int
    spoilt: tuple[Field, str] | None = None
    scene: str = ""


def schedule(num_messages: int, seed: int) -> tuple[deque[Task], deque[Task]]:
    """Shuffled: what stands in a connection's first message, and all else."""
    fields = all_fields()
    names = [*SCENES, *OPENINGS]
    num_each = -(-num_messages // (len(fields) * len(MUTATIONS) + len(names)))
    random = Random(seed)
    tasks = [
        *(Task(random.getrandbits(64), (each, mutation)) for each in fields for mutation in MUTATIONS * num_each),
        *(Task(random.getrandbits(64), scene=name) for name in names * num_each),
    ]
    random.shuffle(tasks)
    openings = deque(task for task in tasks if _is_opening(task))
    return openings, deque(task for task in tasks if not _is_opening(task))


async def open_badly(
    address: Address, random: Random, buffer: bytearray, tasks: deque[Task], findings: Findings
) -> None:
    """Connection after connection, each with a first message from the tasks."""
    while tasks:
        task = tasks.popleft()
        caller = Caller(address, random, buffer, is_json=random.random() < 0.5)
        findings.num_connections += 1
        try:
            await caller.connect(address)
            if task.spoilt is None:
                message, is_json = OPENINGS[task.scene], Random(task.seed).random() < 0.5
                probe = Probe(written(message, is_json), is_json, BAD_STATE)
                await _pose(caller, probe, (task.scene, SEQUENCE), findings, is_opening=True)
            else:
                await _pose(caller, _spoil(task, caller), _cell(task), findings, is_opening=True)
            await caller.leave()
        except ConnectionFailed as error:
            findings.fault(f"a connection: {error}")


async def talk_badly(
    address: Address, random: Random, buffer: bytearray, tasks: deque[Task], findings: Findings
) -> None:
    """Session after session, each as long as the server lets it be."""
    caller: Caller | None = None
    while tasks:
        task = tasks.popleft()
        try:
            if caller is None or not caller.is_usable:
                caller = Caller(address, random, buffer, is_json=random.random() < 0.5)
                findings.num_connections += 1
                await caller.open()
            await caller.settle()
            if task.spoilt is not None:
                await _pose(caller, _spoil(task, caller), _cell(task), findings, is_goodbye=_is_goodbye(task))
                if task.spoilt[0].message == "end" or task.spoilt[1] == "bits":
                    caller.live = ""  # it may have been ended
            else:
                is_json = Random(task.seed).random() < 0.5
                for message, due in SCENES[task.scene](caller.fresh_name(), caller.fresh_name()):
                    probe = Probe(written(message, is_json), is_json, due)
                    await _pose(caller, probe, (task.scene, SEQUENCE), findings)
        except ConnectionFailed as error:
            findings.fault(f"a connection: {error}")
            caller = None
    if caller is not None:
        await caller.leave()


async def _pose(
    caller: Caller,
    probe: Probe,
    cell: tuple[str, str],
    findings: Findings,
    *,
    is_opening: bool = False,
    is_goodbye: bool = False,
) -> None:
    answer = await caller.pose(probe)
    findings.cells[cell] += 1
    findings.outcomes[cell[1], answer.told] += 1
    findings.encodings["json" if probe.is_text else "msgpack"] += 1
    fault = caller.judge(probe.due, answer, is_opening=is_opening, is_goodbye=is_goodbye)
    if fault is not None:
        findings.fault(f"{cell[0]}, {cell[1]}: {fault}; {probe.due}; {probe.payload[:160]!r}")


def _spoil(task: Task, caller: Caller) -> Probe:
    assert task.spoilt is not None, "expected a field and what is to be done to it"
    random = Random(task.seed)
    field, mutation = task.spoilt
    message = right_message(field, random, fresh=caller.fresh_name(), live=caller.live)
    return mutated(field, message, mutation, random, is_json=random.random() < 0.5)


def _cell(task: Task) -> tuple[str, str]:
    assert task.spoilt is not None, "expected a field and what is to be done to it"
    return task.spoilt[0].name, task.spoilt[1]


def _is_opening(task: Task) -> bool:
    return task.scene in OPENINGS if task.spoilt is None else task.spoilt[0].message == "hello"


def _is_goodbye(task: Task) -> bool:
    return task.spoilt is not None and task.spoilt[0].message == "close"
