"""The walls of the house (ARCHITECTURE.md): who may import whom, how long a file may be, which names it may have."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("protocol", "models", "streaming_server", "bench", "tests")
SHIPPED = ("protocol", "models", "streaming_server")

MAY_IMPORT = {
    "protocol": {"protocol"},
    "models": {"models"},
    "streaming_server": {"protocol", "models", "streaming_server"},
    "bench": {"protocol", "models", "streaming_server", "bench"},
    "tests": set(FLOORS),
}
NOT_FOR_MODELS = {
    "asyncio",
    "uvloop",
    "socket",
    "select",
    "selectors",
    "ssl",
    "http",
    "websockets",
    "starlette",
    "uvicorn",
}
KNOWS_BOTH = {"streaming_server/utterance.py"}
"""The only file above that may import both `protocol` and `models`."""

MAX_LINES = 300
MAX_TEST_LINES = 460
"""A test module mirrors its module, and reads as its whole specification."""
LONGER_FOR_A_REASON: dict[str, str] = {
    "tests/streaming_server/text/cases.py": "a table of hard cases, one a line",
    "web_client/style.css": "one page, one style sheet, both colour schemes",
}
"""File -> why one room holds it all."""

GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "shared"}


def python_files(*folders: str) -> Iterator[tuple[str, str]]:
    """Path from the root, and source."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def imported(path: str, source: str) -> set[str]:
    """The dotted names that a file imports anywhere in it, relative ones resolved against its package."""
    package = path.split("/")[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                names |= {module} if module not in FLOORS else {f"{module}.{alias.name}" for alias in node.names}
    return names


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def wrong_edges(path: str, source: str) -> list[str]:
    """What this file imports and must not, each as a sentence."""
    floor = path.split("/")[0]
    found = top(imported(path, source))
    wrong = [f"{path} imports {name}" for name in sorted(found & set(FLOORS) - MAY_IMPORT[floor])]
    match floor:
        case "protocol":
            free = set(sys.stdlib_module_names) | {"protocol", "msgpack"}
            free |= {"websockets"} if path in ("protocol/dial.py", "protocol/link.py") else set()
            wrong += [f"{path} imports {name}: stdlib and msgpack only" for name in sorted(found - free)]
        case "models":
            wrong += [f"{path} imports {name}: models never wait" for name in sorted(found & NOT_FOR_MODELS)]
        case "streaming_server":
            if found >= {"protocol", "models"} and path not in KNOWS_BOTH:
                wrong.append(f"{path} imports protocol and models: only {', '.join(KNOWS_BOTH)} knows both")
            if "torch" in found:
                wrong.append(f"{path} imports torch: nothing above models does")
    return wrong


def test_imports_point_down_only() -> None:
    assert [sentence for path, source in python_files(*FLOORS) for sentence in wrong_edges(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("protocol/wire.py", "from models.base import Patch", "protocol/wire.py imports models"),
        ("protocol/wire.py", "import numpy", "protocol/wire.py imports numpy: stdlib and msgpack only"),
        ("protocol/wire.py", "import websockets", "protocol/wire.py imports websockets: stdlib and msgpack only"),
        ("models/engine/engine.py", "def f():\n    import asyncio.queues", "imports asyncio: models never wait"),
        ("models/tone.py", "from protocol import messages", "models/tone.py imports protocol"),
        ("models/tone.py", "import tests.speaking", "models/tone.py imports tests"),
        ("streaming_server/app.py", "import protocol.wire\nfrom models import base", "knows both"),
        ("streaming_server/audio/pcm.py", "from torch import nn", "nothing above models does"),
        ("streaming_server/app.py", "import bench.load", "streaming_server/app.py imports bench"),
        ("bench/load.py", "from tests import speaking", "bench/load.py imports tests"),
    ],
)
def test_a_forbidden_import_is_seen(path: str, source: str, complaint: str) -> None:
    assert any(complaint in sentence for sentence in wrong_edges(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/link.py", "import asyncio\nimport msgpack\nimport websockets\nfrom .wire import decode"),
        ("models/engine/engine.py", "import torch\nfrom ..base import Patch\nfrom . import slots"),
        ("streaming_server/utterance.py", "from protocol.messages import Text\nfrom models.base import Patch"),
        ("bench/load.py", "from protocol.client import SpeechClient\nfrom streaming_server.config import Config"),
    ],
)
def test_a_lawful_import_is_let_through(path: str, source: str) -> None:
    assert wrong_edges(path, source) == []


def test_protocol_imports_itself_relatively() -> None:
    """So that the same folder can also be built as a client distribution under another name."""
    absolute = [
        path
        for path, source in python_files("protocol")
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "protocol")
        or (isinstance(node, ast.Import) and "protocol" in {alias.name.split(".")[0] for alias in node.names})
    ]
    assert absolute == []


def test_importing_a_module_runs_nothing() -> None:
    """Only definitions, assignments, imports and docstrings at the top; an `if` or `try` around those."""
    busy = []
    for path, source in python_files(*SHIPPED, "bench"):
        for node in ast.parse(source).body:
            if isinstance(node, ast.For | ast.While | ast.With | ast.Assert) or (
                isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
            ):
                busy.append(f"{path}:{node.lineno}")
    assert busy == []


@pytest.mark.parametrize("floor", FLOORS)
def test_the_generic_package_names_are_ours(floor: str) -> None:
    """Another distribution's `protocol` or `models` on the path would be imported in silence."""
    file = importlib.import_module(floor).__file__
    assert file is not None
    assert Path(file).resolve() == ROOT / floor / "__init__.py"


def test_every_python_folder_is_a_package() -> None:
    """A tests/protocol without tests/__init__.py shadows the real protocol under pytest."""
    folders = {(ROOT / path).parent for path, _ in python_files(*FLOORS)}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def written_files() -> Iterator[Path]:
    for folder in (*FLOORS, "web_client"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".js", ".mjs", ".css"} and not {"node_modules", "vendor"} & set(path.parts):
                yield path
    yield from ROOT.glob("*.sh")


def test_no_file_outgrows_its_room() -> None:
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines()) for path in written_files()}
    long = {
        path: count
        for path, count in lines.items()
        if count > (MAX_TEST_LINES if Path(path).name.startswith("test_") else MAX_LINES)
    }
    assert set(long) == set(LONGER_FOR_A_REASON), f"over its lines, or listed without need: {long}"


def test_no_file_is_a_grab_bag() -> None:
    stems = {path: path.stem.lower() for path in written_files()}
    assert [path for path, stem in stems.items() if stem in GRAB_BAGS or stem.endswith("_v2")] == []
