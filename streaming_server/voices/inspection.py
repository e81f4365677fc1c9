"""A recording is decoded in a process of its own (`prompt`); what comes back can be trusted."""

from __future__ import annotations

import json
import os
import sys
from typing import IO

import numpy as np

from .process import run
from .prompt import Prompt, check_kind
from .refusal import VoiceRefused, bad_audio

INSPECT_S = 30.0


async def inspect(file: IO[bytes], *, timeout_s: float = INSPECT_S) -> Prompt:
    """The recording in a file on disk (it has a `fileno`). Raises VoiceRefused."""
    check_kind(file)
    position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    command = (sys.executable, "-P", "-m", "streaming_server.voices.prompt")
    try:
        ended = await run(command, timeout_s=timeout_s, stdin=file)
    finally:
        os.lseek(file.fileno(), position, os.SEEK_SET)  # where this side's buffer takes it to be
    status, output = ended or (1, b"")
    if status != 0:
        raise bad_audio("the file cannot be read: its decoder gave up.")
    head, _, samples = output.partition(b"\n")
    told = json.loads(head)
    if "message" in told:
        raise VoiceRefused(told["status"], told["code"], told["message"])
    return Prompt(np.frombuffer(samples, "<i2").astype(np.int16), told["rate_hz"], told["sound_s"])
