from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY, TINY_V1
from models.voxcpm.check import check
from streaming_server.__main__ import main


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_checkpoint(folder, TINY, seed=1)
    return folder


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "checkpoint"))


def voxwire(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streaming_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_whole_checkpoint_is_described(whole: Path) -> None:
    findings = check(whole)
    assert findings.problems == ()
    text = "\n".join(findings.facts)
    assert "architecture voxcpm, 44100 Hz" in text
    assert "6.25 patches a second, of 160 ms" in text
    assert "415 tensors" in text
    assert "float32 in model.safetensors, audiovae.pth" in text
    assert "in bfloat16 it wants" in text


def test_weights_in_pytorch_files_are_described_too(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TINY_V1, seed=1, format="bin", dtype="bfloat16")
    findings = check(tmp_path)
    assert findings.problems == ()
    assert any("bfloat16, float32 in pytorch_model.bin, audiovae.pth" in fact for fact in findings.facts)


def test_all_that_is_wrong_is_named_at_once(checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    del tensors["base_lm.norm.weight"]
    tensors["stop_head.weight"] = torch.zeros(3, 64)
    tensors["stop_proj.bias"][1] = torch.nan
    tensors["residual_lm.norm.weight"][0] = torch.inf
    tensors["more"] = torch.zeros(1)
    save_file(tensors, checkpoint / "model.safetensors")
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "audiovae.pth").write_bytes(b"no codec")
    findings = check(checkpoint)
    assert findings.facts == ()
    problems = "\n".join(findings.problems)
    assert len(findings.problems) == 7, problems
    for said in (
        "tokenizer.json was expected, but it is not: No such file",
        "audiovae.pth: a PyTorch file of nothing but tensors was expected",
        "the tensor 'base_lm.norm.weight' of shape [64] was expected, but it is missing",
        "the tensor 'stop_head.weight' of shape [2, 64] was expected, but [3, 64] came",
        "no tensor 'more' was expected",
        "in the tensor 'stop_proj.bias', but 1 of 64 are NaN",
        "in the tensor 'residual_lm.norm.weight', but 1 of 64 are NaN",
    ):
        assert said in problems


def test_weights_are_looked_through_even_where_the_config_does_not_tell_their_shapes(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    del config["patch_size"], config["lm_config"]["vocab_size"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["stop_proj.bias"][1] = torch.nan
    save_file(tensors, checkpoint / "model.safetensors")
    problems = check(checkpoint).problems
    assert ["vocab_size" in problems[0], "patch_size" in problems[1], "NaN" in problems[2]] == [True] * 3


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model.safetensors"], ["model.safetensors or pytorch_model.bin was expected, but there is neither"]),
        (["audiovae.pth"], ["audiovae.safetensors or audiovae.pth was expected, but there is neither"]),
        (
            ["config.json", "tokenizer.json", "model.safetensors", "audiovae.pth"],
            ["config.json", "tok", "model", "vae"],
        ),
    ],
)
def test_missing_files_are_named(names: list[str], said: list[str], checkpoint: Path) -> None:
    for name in names:
        (checkpoint / name).unlink()
    problems = check(checkpoint).problems
    assert len(problems) == len(said)
    assert all(words in problem for words, problem in zip(said, problems, strict=True))


def test_the_command_ends_with_0_or_2(
    whole: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(whole)]) == 0
    assert capsys.readouterr().out.startswith(f"{whole} is whole.\narchitecture voxcpm")
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "model.safetensors").unlink()
    assert main(["check", str(checkpoint)]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 2  # a line for each
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "A checkpoint directory was expected" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "a whole safetensors file was expected"),
        ("audiovae.pth", b"cos\nsystem\n(S'exit 7'\ntR.", "it was not run"),
        ("config.json", b'{"architecture": "voxcpm2"}', "'architecture' was expected to be one of voxcpm"),
        ("tokenizer.json", None, "was expected, but it is not: No such file"),
    ],
    ids=["truncated", "code", "another", "no tokenizer"],
)
def test_the_server_does_not_start_from_a_bad_checkpoint(
    name: str, content: bytes | None, said: str, checkpoint: Path
) -> None:
    (checkpoint / name).unlink()
    if content is not None:
        (checkpoint / name).write_bytes(content)
    ended = voxwire("serve", "--port", "0", "--model", str(checkpoint))
    assert (ended.returncode, ended.stdout) == (2, "")
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("voxwire: ")
    assert f"{checkpoint}/{name}" in sentence
    assert said in sentence
