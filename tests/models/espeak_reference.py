"""What espeak itself makes of a whole text, in one synthesis: the measure for joins."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from models.base import Pcm
from models.espeak_process import installed_files

_PROGRAM = """
import sys
from pathlib import Path
from models.espeak_library import EspeakLibrary
library, data, voice, rate, text = sys.argv[1:]
espeak = EspeakLibrary(Path(library), Path(data))
espeak.set_voice(voice)
sys.stdout.buffer.write(espeak.speak(text, int(rate), 100, one_clause=False).pcm)
"""


def whole_text(voice: str, text: str, *, rate: int = 175) -> Pcm:
    """22050 Hz; `voice` is espeak's name, `rate` in words a minute."""
    files = installed_files()
    command = [sys.executable, "-c", _PROGRAM, str(files.library), str(files.data), voice, str(rate), text]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.int16)
