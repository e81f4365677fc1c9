"""The simulator: the step models, what a run tells, and that a run is what its seed says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import simulate
from bench.simulate_model import PATCH_S, SEGMENT_TOKENS, SimulatedModel, VirtualClock
from bench.simulate_run import RAMP_S, START_S, Scenario, arrivals
from bench.simulate_run import simulate as run
from bench.simulate_times import BUCKETS, StepModelError, computed_h200, measured
from models.base import SpeechParams

H200 = computed_h200()


def test_computed_steps_are_those_of_the_roofline() -> None:
    """The table of the design at 60 %: 1.01 ms for 8 rows, 6.26 for 64, 12.3 for 128, without gaps between kernels."""
    gaps_s = 560 * 1.2e-6
    step_s = dict(zip(H200.rows, H200.step_s, strict=True))
    assert step_s[7] - gaps_s == pytest.approx(0.00092, rel=0.05)
    assert step_s[56] - gaps_s == pytest.approx(0.00626 * 56 / 64, rel=0.03)
    assert step_s[112] - gaps_s == pytest.approx(0.0123 * 112 / 128, rel=0.03)
    assert H200.rows == BUCKETS
    assert not H200.is_measured
    assert "not measured" in H200.note
    assert all(0 < early < whole for early, whole in zip(H200.early_s, H200.step_s, strict=True))


def test_reading_in_grows_with_the_tokens() -> None:
    assert H200.reading_s(183) == pytest.approx(0.00028)
    assert 0.00028 < H200.reading_s(400) < 0.00114 < H200.reading_s(2000)


def test_measured_steps_are_read_from_what_the_bench_wrote(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    steps = [{"rows": 8, "ms": 2.0}, {"rows": 1, "ms": 1.5}]
    path.write_text(json.dumps({"steps": steps, "prefill": [{"tokens": 64, "ms": 0.3}, {"tokens": 256, "ms": 0.5}]}))
    model = measured(path)
    assert (model.rows, model.step_s, model.is_measured) == ((1, 8), (0.0015, 0.002), True)
    assert model.bucket(3) == 1
    assert model.rows_per_s == 4000
    assert model.reading_s(160) == pytest.approx(0.0004)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"steps": [], "prefill": []}', '{"steps": [{"rows": 1, "ms": 0}], "prefill": [1, 2]}', "[1]"]
)
def test_what_is_no_measurement_is_refused_in_a_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gpu.json"
    path.write_text(text)
    with pytest.raises(StepModelError, match="expected"):
        measured(path)
    assert simulate.main(["--step-model", str(path), "--quick"]) == 1
    assert "expected" in capsys.readouterr().err


def test_simulated_step_takes_what_the_step_model_says() -> None:
    clock = VirtualClock()
    model = SimulatedModel(H200, clock, max_slots=4, host_s=0.0)
    for slot in range(3):
        model.open(slot, 1, "nobody", SpeechParams())
        model.extend(slot, "xx")
        model.seal(slot)
    first = model.submit([0, 1, 2])
    assert not first.is_done
    assert first.stops() == {0: False, 1: False, 2: False}
    stops_at = clock.now
    second = model.submit([0, 1, 2])
    assert len(first.patches()) == 3
    reading_s = H200.reading_s(3 * SEGMENT_TOKENS)
    assert clock.now == pytest.approx(reading_s + H200.step_s[2])
    assert stops_at == pytest.approx(reading_s + H200.early_s[2])
    assert [(patch.index, patch.last) for patch in second.patches()] == [(1, True)] * 3
    assert clock.now == pytest.approx(reading_s + 2 * H200.step_s[2])


def test_arrivals_are_a_poisson_process_with_lengths_of_that_mean() -> None:
    scenario = Scenario(num_gpus=1, num_arrivals=20_000, rate=100.0, seed=3, mean_s=8.0)
    times, lengths, flags = zip(*arrivals(scenario), strict=True)
    assert list(times) == sorted(times)
    assert sum(flags) == 20_000
    assert len(flags) - sum(flags) == pytest.approx(800, abs=120)
    assert min(times) >= START_S - RAMP_S
    gaps = np.diff([START_S, *times[-20_000:]])
    assert gaps.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps.std() == pytest.approx(0.01, rel=0.05)
    assert np.mean(lengths[-20_000:]) == pytest.approx(8.0, rel=0.03)


def test_listeners_within_capacity_are_all_heard_without_a_gap_and_soon() -> None:
    outcome = run(H200, Scenario(num_gpus=2, num_arrivals=300, rate=60.0, seed=1, mean_s=2.0))
    assert len(outcome.listeners) == 300
    assert not any(listener.refused for listener in outcome.listeners)
    assert all(listener.num_gaps == 0 for listener in outcome.listeners)
    first_s = [listener.first_at - listener.asked_at for listener in outcome.listeners]
    assert min(first_s) >= H200.step_s[0]
    assert np.percentile(first_s, 99) < 0.02
    heard_s = [listener.dry_at - listener.first_at for listener in outcome.listeners]
    assert np.mean(heard_s) == pytest.approx(2.0 + PATCH_S / 2, rel=0.15)
    assert 0 < outcome.utilisation < 1


def test_listeners_beyond_capacity_are_refused_and_the_others_hear_no_gap() -> None:
    outcome = run(H200, Scenario(num_gpus=1, num_arrivals=600, rate=1000.0, seed=1, mean_s=2.0))
    refused = sum(listener.refused for listener in outcome.listeners)
    assert 0.1 < refused / 600 < 0.6
    assert all(listener.num_gaps == 0 for listener in outcome.listeners if not listener.refused)


def test_run_is_what_its_seed_says() -> None:
    scenario = Scenario(num_gpus=2, num_arrivals=60, rate=30.0, seed=5, mean_s=1.0)
    told = [simulate.told(run(H200, scenario)) for _ in range(2)]
    assert told[0] == told[1]


def test_command_writes_runs_and_says_whether_there_is_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--arrivals", "50", "--rate", "20", "40", "--mean-s", "1", "--output", str(tmp_path)]
    assert simulate.main(arguments) == 0
    (path,) = tmp_path.glob("simulate-h200-1gpu-*.json")
    report = json.loads(path.read_text())
    assert report["step_model"]["is_measured"] is False
    assert [run["rate"] for run in report["runs"]] == [20, 40]
    assert all(run["listeners_with_gaps"] == 0 for run in report["runs"])
    told = capsys.readouterr().err
    assert path.with_suffix(".png").exists() or "matplotlib" in told
