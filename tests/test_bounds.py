"""The table of bounds in ARCHITECTURE.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.tone import ToneModel
from streaming_server.engine_client import LocalEngine
from streaming_server.metrics import Metrics
from streaming_server.settings import Config

ROOT = Path(__file__).parents[1]
FLOORS = ("streaming_server", "protocol", "models", "web_client")


@pytest.fixture(scope="module")
def section() -> str:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return text.partition("\n## Bounds\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def rows(section: str) -> list[list[str]]:
    """The cells of the first table."""
    table = section.partition("\nAnd what befalls")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


async def test_every_metric_is_named_and_every_name_is_a_metric(section: str) -> None:
    engine = LocalEngine(ToneModel())
    page = Metrics(engine).page().decode()
    await engine.close()
    there_are = {family.name for family in text_string_to_metric_families(page)}
    named = set(re.findall(r"`(voxwire_\w+)`", section))
    assert named == {name for name in there_are if not name.endswith("_created")}


def test_every_bound_says_where_it_is_and_what_happens_there(rows: list[list[str]]) -> None:
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 5
        assert all(row), f"expected every cell filled: {row}"
        for name in re.findall(r"`([a-z_/]+)`", row[1]):
            assert any(
                (ROOT / floor / f"{name}{ending}").exists() for floor in (".", *FLOORS) for ending in ("", ".py", ".js")
            ) or list(ROOT.glob(f"*/*/{name}.py")), f"expected a file for {name}"


def test_every_setting_that_limits_something_is_in_the_table(rows: list[list[str]]) -> None:
    told = set(re.findall(r"`([a-z_]+)`", " ".join(row[2] for row in rows)))
    bounds = {
        name
        for name, field in Config.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] in ("limits", "sockets")
    }
    untold = bounds - told - {"lead_ms", "limit_keys", "limit_loopback", "ping_interval_ms"}
    assert not untold
