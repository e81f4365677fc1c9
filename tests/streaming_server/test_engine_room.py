"""How the engines of a configuration come to be."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from models.base import ModelError
from streaming_server.config import Config, ConfigError
from streaming_server.engine_room import _processes, _start, running_engine

from .ears import hear, scripted_process, until


async def test_the_first_engine_is_ready_before_the_others_begin(tmp_path: Path) -> None:
    """What it makes once for a checkpoint, they find."""
    processes = [scripted_process(tmp_path / "engine0", "takes its time")]
    processes += [scripted_process(tmp_path / f"engine{number}") for number in (1, 2)]
    try:
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(_start(processes))
            await until(lambda: processes[1].pid is not None)
            assert (tmp_path / "engine0").exists()
            await starting
        assert (tmp_path / "engine2").exists()
    finally:
        for process in processes:
            await process.stop()


async def test_one_engine_that_cannot_start_ends_them_all(tmp_path: Path) -> None:
    processes = [scripted_process(tmp_path / "engine0"), scripted_process(tmp_path / "engine1", "refuses")]
    try:
        with pytest.RaisesGroup(ModelError):
            await _start(processes)
    finally:
        for process in processes:
            await process.stop()
    assert not {"engine0", "engine1"} & set(os.listdir(tmp_path))


def test_each_device_has_a_process_with_a_name_of_its_own(tmp_path: Path) -> None:
    processes = _processes(Config(devices=("0", "cuda:1")), "tone", tmp_path)
    assert [process._name for process in processes] == ["voice engine 0 (cuda:0)", "voice engine 1 (cuda:1)"]
    for number, process in enumerate(processes):
        assert f'"device": "cuda:{number}"' in " ".join(process._command)
    (alone,) = _processes(Config(), "tone", tmp_path)
    assert alone._name == "the voice engine"


@pytest.mark.parametrize("settings", [{"workers": 2}, {"devices": "cpu,cpu"}])
async def test_an_engine_in_this_process_is_one_for_one(settings: dict[str, object], tmp_path: Path) -> None:
    config = Config.model_validate({"engine": "inprocess", **settings})
    with pytest.raises(ConfigError, match="--engine inprocess wants"):
        async with running_engine(config, "tone", tmp_path):
            pass


async def test_an_engine_in_this_process_speaks(tmp_path: Path) -> None:
    async with running_engine(Config(engine="inprocess"), "tone", tmp_path) as engine:
        (await hear(engine, "hello", seed=3)).heard_the_tone(3, "hello")
