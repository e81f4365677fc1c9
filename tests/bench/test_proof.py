"""The account of what arrives: it accepts what PROTOCOL.md promises, and says what is missing or out of place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bench.proof import MAX_FAULTS, Proof
from models.tone import tone_samples

RATE_HZ = 44_100
PATCH = 7_056


def tone(seq: int, *, pts: int | None = None, samples: int = PATCH, seed: int = 7) -> dict[str, Any]:
    start = PATCH * seq if pts is None else pts
    data = tone_samples(seed, start, samples).tobytes()
    return {"type": "audio", "seq": seq, "pts": start, "samples": samples, "data": data}


def opus(seq: int, num_packets: int) -> dict[str, Any]:
    return {"type": "audio", "seq": seq, "pts": PATCH * seq, "samples": PATCH, "packets": [b"x"] * num_packets}


def started(pre_skip: int = 0) -> dict[str, Any]:
    return {"type": "started", "seq": 0, "audio": {"pre_skip": pre_skip}}


def done(seq: int, samples: int, reason: str = "end") -> dict[str, Any]:
    return {"type": "done", "seq": seq, "samples": samples, "reason": reason}


def proof_of(messages: Iterable[dict[str, Any]], **options: Any) -> Proof:
    proof = Proof(rate_hz=RATE_HZ, **options)
    for message in messages:
        proof.take(message)
    return proof


def test_a_whole_utterance_has_no_fault() -> None:
    segment = {"type": "segment", "seq": 1, "pts": PATCH}
    frames = [tone(0), segment, tone(1), tone(2, samples=100)]
    proof = proof_of([started(), *frames, done(3, 2 * PATCH + 100)], tone_seed=7)
    assert proof.faults == []
    assert proof.num_checked == 3
    assert proof.is_done


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([tone(0), tone(2)], "expected audio with seq 1, got 2"),
        ([tone(0), tone(0)], "expected audio with seq 1, got 0"),
        ([tone(0), tone(1, pts=3 * PATCH)], "expected audio with pts 7056, got 21168"),
        ([{**tone(0), "samples": 7000}], "expected 14000 bytes of PCM, got 14112"),
        ([tone(0, seed=8)], "expected the tone's samples from 0 on, got others"),
        ([{"type": "segment", "seq": 0, "pts": 5}], "expected segment with pts 0, got 5"),
        ([tone(0), done(1, PATCH + 1)], "expected done with 7056 samples, got 7057"),
        ([tone(0), done(2, PATCH)], "expected done with seq 1, got 2"),
        ([done(0, 0), tone(0)], "expected nothing after done, got audio"),
        ([{"type": "error", "seq": 0, "code": "busy", "message": "full"}], "error busy: full"),
    ],
)
def test_what_breaks_the_promise_is_a_fault(messages: list[dict[str, Any]], fault: str) -> None:
    assert fault in proof_of([started(), *messages], tone_seed=7).faults


def test_a_loss_is_one_fault_and_the_rest_is_checked_from_there() -> None:
    proof = proof_of([started(), tone(0), tone(2), tone(3)], tone_seed=7)
    assert proof.num_faults == 2  # its seq and its pts


def test_samples_are_compared_in_one_frame_of_so_many() -> None:
    frames = [tone(seq, seed=7 if seq % 4 else 9) for seq in range(8)]
    proof = proof_of(frames, tone_seed=7, check_every=4)
    assert (proof.num_checked, proof.num_faults) == (2, 2)


@pytest.mark.parametrize(("num_packets", "num_faults"), [(7, 1), (8, 1), (9, 0), (10, 1)])
def test_opus_packets_cover_their_run(num_packets: int, num_faults: int) -> None:
    """160 ms are eight packets of 20 ms; with 312 samples to skip, a ninth holds the end."""
    proof = proof_of([started(312), opus(0, num_packets), done(1, PATCH)], frame_ms=20)
    assert proof.num_faults == num_faults


def test_each_opus_run_is_counted_for_itself() -> None:
    change = {"type": "format", "seq": 1, "audio": {"pre_skip": 312}}
    assert proof_of([started(312), opus(0, 9), change, opus(1, 9), done(2, 2 * PATCH)], frame_ms=20).faults == []
    proof = proof_of([started(312), opus(0, 8), change, opus(1, 10), done(2, 2 * PATCH)], frame_ms=20)
    assert proof.num_faults == 2


def test_a_cancelled_opus_run_need_not_be_whole() -> None:
    assert proof_of([started(312), opus(0, 3), done(1, PATCH, "cancelled")], frame_ms=20).faults == []


def test_many_faults_are_counted_and_a_few_are_worded() -> None:
    proof = proof_of([done(0, 0), *[tone(0)] * 20])
    assert proof.num_faults == 20
    assert len(proof.faults) == MAX_FAULTS
