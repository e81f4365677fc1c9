"""The engines that a configuration asks for: a process on each device, watched, and a connection to each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.registry import load_model

from .config import Config, ConfigError
from .engine_client import EngineClient, LocalEngine, RemoteEngine
from .engine_fleet import EngineFleet
from .engine_process import EngineProcess
from .engine_standby import StandbyEngine

STANDBY_SHARE = 0.92
"""Of a GPU that two engines take: as much of it is left as one alone would leave, and what CUDA takes for each."""


@contextlib.asynccontextmanager
async def running_engine(config: Config, model_name: str, directory: Path) -> AsyncIterator[EngineClient]:
    """Until the block is left; sockets are made in `directory`. Raises ModelError, ConfigError."""
    if config.engine == "inprocess":
        async with _local_engine(config, model_name) as local:
            yield local
        return
    processes = _processes(config, model_name, directory)
    try:
        await _start(processes)
        async with _connections(config, directory) as hosts, asyncio.TaskGroup() as tasks:
            watches = [tasks.create_task(each.watch(host)) for each, host in zip(processes, hosts, strict=True)]
            for host in hosts:
                await host.reached()
            try:
                yield _as_one(config, hosts)
            finally:
                for watch in watches:
                    watch.cancel()
    finally:
        for process in processes:
            await process.stop()


@contextlib.asynccontextmanager
async def connected_engine(config: Config, directory: Path) -> AsyncIterator[EngineClient]:
    """What another process runs with that `directory`, once one engine is there; another may be being restarted."""
    async with _connections(config, directory) as hosts, asyncio.TaskGroup() as tasks:
        reaches = [tasks.create_task(host.reached()) for host in hosts]
        await asyncio.wait(reaches, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield _as_one(config, hosts)
        finally:
            for reach in reaches:
                reach.cancel()


@contextlib.asynccontextmanager
async def _local_engine(config: Config, model_name: str) -> AsyncIterator[EngineClient]:
    if config.workers > 1:
        raise ConfigError("several web processes share one engine process: --engine inprocess wants --workers 1")
    if config.standby:
        raise ConfigError("an engine that stands by is a process: --engine inprocess wants no --standby")
    if len(config.engine_devices) > 1:
        raise ConfigError("each device has an engine process: --engine inprocess wants one device")
    local = await LocalEngine.warmed_up(await asyncio.to_thread(load_model, model_name, config.model_options))
    try:
        yield local
    finally:
        await local.close()


@contextlib.asynccontextmanager
async def _connections(config: Config, directory: Path) -> AsyncIterator[list[RemoteEngine]]:
    """Those that stand, and those that are tried again and again."""
    async with asyncio.TaskGroup() as tasks:
        hosts = [RemoteEngine(path) for path in _sockets(config, directory)]
        links = [tasks.create_task(host.run()) for host in hosts]
        try:
            yield hosts
        finally:
            for link in links:
                link.cancel()


async def _start(processes: Sequence[EngineProcess | StandbyEngine]) -> None:
    """The first one alone: what a model makes once for a checkpoint, the others find in its cache."""
    first, *others = processes
    await first.start()
    async with asyncio.TaskGroup() as tasks:
        for process in others:
            tasks.create_task(process.start())


def _processes(config: Config, model_name: str, directory: Path) -> list[EngineProcess | StandbyEngine]:
    devices = config.engine_devices
    processes: list[EngineProcess | StandbyEngine] = []
    for number, (device, path) in enumerate(zip(devices, _sockets(config, directory), strict=True)):
        name = "the voice engine" if len(devices) == 1 else f"voice engine {number} ({device})"
        options = replace(config.model_options, device=device, gpu_memory=_gpu_memory_each(config))
        make = partial(
            EngineProcess,
            model_name,
            start_timeout_s=config.engine_start_timeout_ms / 1000,
            step_timeout_s=config.engine_step_timeout_ms / 1000,
            options=options,
            log_level=config.log_level,
            log_format=config.log_format,
            name=name,
        )
        processes.append(StandbyEngine(make, path, name) if config.standby else make(path))
    return processes


def _gpu_memory_each(config: Config) -> float:
    """Of an engine, as `ModelOptions.gpu_memory`: two share a device where one stands by. Raises ConfigError."""
    if not config.standby:
        return config.gpu_memory
    if 1 < config.gpu_memory <= 2:
        raise ConfigError(
            f"--gpu-memory {config.gpu_memory:g} is for two engines with --standby: more than 2 GiB, or a share up to 1"
        )
    return (config.gpu_memory or STANDBY_SHARE) / 2


def _sockets(config: Config, directory: Path) -> list[Path]:
    return [directory / f"engine{number}" for number in range(len(config.engine_devices))]


def _as_one(config: Config, hosts: Sequence[RemoteEngine]) -> EngineClient:
    return EngineFleet(hosts, patience_s=config.engine_start_timeout_ms / 1000)
