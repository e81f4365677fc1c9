"""A vocabulary for tests of the page: the real server as a process, real Chromium, and the tape of what sounded."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

from models.tone import tone_samples

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
WAIT_MS = 60_000
POLL_MS = 20
"""A browser on a busy machine may paint no frame for long, and Playwright would look at each."""
FADE_MS = 5
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITHOUT_LIBOPUS = "import ctypes.util; ctypes.util.find_library = lambda name: None"
"""Run before the server: as on a machine that lacks it."""
INSECURE_HOST = "voxwire.test"
"""A name of this machine that no browser takes for a secure origin."""


@dataclass(frozen=True, slots=True)
class Server:
    """`voxwire serve`, running."""

    port: int
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Ends it at once, without a word to anyone."""
        self.process.kill()
        self.process.wait(timeout=60)

    def kill_engines(self) -> None:
        """Ends the processes that it started, and not itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert children, "expected the server to have processes of its own"
        for child in children:
            os.kill(int(child), signal.SIGKILL)


@contextmanager
def serving(*flags: str, port: int = 0, before: str = "") -> Iterator[Server]:
    """The real server on a port of its own. `before`: Python that its process runs first."""
    program = (
        ["-c", f"{before}\nfrom streaming_server.__main__ import main\nmain()"]
        if before
        else ["-m", "streaming_server"]
    )
    command = [sys.executable, *program, "serve", "--port", str(port), *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.strip().startswith("http://"):
                    yield Server(int(line.strip().rstrip("/").rsplit(":", 1)[1]), process)
                    break
            else:
                raise AssertionError(f"expected the server to print its address, it said {''.join(said)}")
        finally:
            process.terminate()
            process.stdout.close()
            process.wait(timeout=60)


def free_port() -> int:
    """For a server that has to know its own address before it starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def launched(playwright: Playwright, *flags: str) -> Browser:
    """Chromium; pages of `INSECURE_HOST` come from this machine, but the browser does not trust them."""
    resolver = f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"
    return playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*FLAGS, resolver, *flags])


def hearing(recording: Path) -> list[str]:
    """Flags for a browser whose microphone hears a WAV file, over and over, and that lets every page use it."""
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    ]


@dataclass(frozen=True, slots=True)
class Tape:
    """What the playing thread put out. `runs`: (frame, track, offset, length)."""

    sample_rate: int
    frame: int
    samples: NDArray[np.float32]
    runs: list[dict[str, int]]
    stops: list[int]

    def played(self, track: int = 0) -> NDArray[np.float32]:
        """The samples of a track as they sounded, joined."""
        at = [(run["frame"] - self.frame, run["length"]) for run in self.runs if run["track"] == track]
        return np.concatenate([self.samples[start : start + length] for start, length in at])

    def assert_tone(self, seed: int, track: int = 0) -> None:
        """Every sample once, in order, each the model's; only the fade-in after an underrun may differ."""
        runs = [run for run in self.runs if run["track"] == track]
        expected_offset = 0
        for run in runs:
            assert run["offset"] == expected_offset, f"expected sample {expected_offset}, got {run['offset']}"
            expected_offset += run["length"]
            faded = 0 if run["offset"] == 0 else FADE_MS * self.sample_rate // 1000 + 1
            start = run["frame"] - self.frame
            heard = self.samples[start : start + run["length"]] * 32768
            expected = tone_samples(seed, run["offset"], run["length"])
            np.testing.assert_array_equal(heard[faded:], expected[faded:])
        assert expected_offset > 0, "expected speech on the tape, got none"


@dataclass
class Visit:
    """One page in a browser profile of its own. Fails at its end if the console has shown an error."""

    browser: Browser
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    tolerated: tuple[str, ...] = ()
    script: str = ""  # runs in the page before its own

    def __enter__(self) -> Self:
        self.context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **self.options})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.add_init_script(self.script)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(self.url)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == [], "expected a quiet console"

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.tolerated):
            self.complaints.append(message.text)

    def until(self, condition: str) -> None:
        """Waits until a JavaScript expression over `state` holds."""
        self.page.wait_for_function(
            f"() => {{ const state = window.voxwire?.state(); return state && ({condition}); }}",
            polling=POLL_MS,
        )

    def ready(self) -> Self:
        self.until("state.link === 'ready'")
        return self

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.page.evaluate("voxwire.state()")
        return state

    def type(self, text: str, delay_ms: float = 15) -> None:
        self.page.locator("#text").press_sequentially(text, delay=delay_ms)

    def paste(self, text: str) -> None:
        """Puts a text into the box that is not said by itself."""
        self.page.locator("#live").uncheck()
        self.page.locator("#text").fill(text)

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def block(self, ms: int) -> None:
        """Keeps the page's thread busy."""
        self.page.evaluate(f"() => {{ const end = performance.now() + {ms}; while (performance.now() < end); }}")

    def tape(self) -> Tape:
        record = self.page.evaluate(
            """async () => {
                const { samples, sampleRate, frame, runs, stops } = await voxwire.tape();
                const bytes = new Uint8Array(samples.buffer);
                let text = "";
                for (let at = 0; at < bytes.length; at += 32768) {
                    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
                }
                return { data: btoa(text), sampleRate, frame, runs, stops };
            }"""
        )
        samples = np.frombuffer(base64.b64decode(record["data"]), dtype="<f4")
        return Tape(record["sampleRate"], record["frame"], samples, record["runs"], record["stops"])
