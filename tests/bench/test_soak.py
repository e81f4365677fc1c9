"""`python -m bench.soak`, for real and short, and what it would find."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bench.churn import Sample
from bench.processes import Usage
from bench.soak import Soak, judged, main, rows
from bench.soak_ledger import Ledger

SECONDS = 8.0


def test_twenty_seconds_of_trouble_leave_no_utterance_unaccounted_for(tmp_path: Path) -> None:
    arguments = ["--minutes", str(SECONDS / 60), "--listeners", "20", "--every", "0.7", "--resume-ms", "4000"]
    status = main([*arguments, "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    assert (result["examples"], result["left"]) == ([], {})
    assert (status, result["verdict"]) == (0, "ok")
    assert len(result["faults"]) >= 9
    assert result["accepted_by_end"]["complete"] > 20
    assert result["samples_compared"] > 1_000_000
    assert result["opus_packets"] > 0


def test_a_fault_meets_those_who_are_there_and_those_who_come_while_it_lasts() -> None:
    ledger = Ledger()
    early, elsewhere = ledger.open("door 1"), ledger.open("")
    with ledger.fault("link slow", "door 1"):
        late = ledger.open("door 1")
    after = ledger.open("door 1")
    with ledger.fault("engine killed"):
        pass
    assert early.exposed_to == late.exposed_to == {"link slow", "engine killed"}
    assert elsewhere.exposed_to == after.exposed_to == {"engine killed"}
    ledger.close(early, "complete", accepted=True)
    ledger.close(late, "wrong", accepted=True, sentence="expected this, got that")
    ledger.close(elsewhere, "error: busy", accepted=False, sentence="no room")
    assert ledger.live == {after}
    assert ledger.examples == ["wrong: expected this, got that (engine killed, link slow)"]
    assert ledger.sentences == {"error: busy": "no room"}
    slow = next(row for row in rows(ledger) if row["fault"] == "link slow")
    assert slow == {"fault": "link slow", "times": 1, "complete": 1, "wrong": 1, "refused: error: busy": 0}


def test_what_is_silent_wrong_or_left_is_named() -> None:
    def verdict(ends: dict[str, int], **changes: object) -> str:
        soak = Soak(slots=8, free_slots=8, seconds=600.0)
        soak.samples = [
            Sample(60.0 * minute, {"web": Usage(0.0, mib << 20)}, {"web": 5})
            for minute, mib in enumerate((50, 100, 105, 108))
        ]
        soak.ledger.ends = Counter(ends)
        for name, value in changes.items():
            setattr(soak, name, value)
        return judged(soak)

    assert verdict({"complete": 5, "cancelled": 1, "error: engine_failed": 1}) == "ok"
    assert verdict({"complete": 5, "silent": 1, "wrong": 1}) == "2 utterances silent or wrong, 0 without an end"
    assert verdict({"cancelled": 5}) == "nothing was heard"
    assert verdict({"complete": 5}, left={"tasks": 2.0}) == "left behind: 2 tasks"
    assert verdict({"complete": 5}, free_slots=7) == "1 slots are not free"
    assert verdict({"complete": 5}, counters={"voxwire_internal_errors_total": 1.0}) == "1 internal errors"
    heavy = [Sample(60.0 * minute, {"web": Usage(0.0, mib << 20)}, {"web": 5}) for minute, mib in enumerate((1, 1, 2))]
    assert verdict({"complete": 5}, samples=heavy) == "the web process grew by a factor of 2.0"
