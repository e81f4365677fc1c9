"""The folder of encoded prompts: whole entries or none, as many as there may be, and of this checkpoint only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError
from models.voxcpm.prompt_cache import PromptCache, checkpoint_fingerprint
from models.voxcpm.recording import Recording

LATENTS = torch.randn(5, 4, 16, generator=torch.Generator().manual_seed(7))
SAMPLES = np.linspace(-1, 1, 500, dtype=np.float32)


def recording(samples: np.ndarray = SAMPLES, rate_hz: int = 44_100) -> Recording:
    return Recording(samples=samples, rate_hz=rate_hz)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_was_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path / "new" / "folder", "checkpoint")
    key = cache.key_of_recording(recording())
    assert cache.read(key) is None
    cache.write(key, LATENTS)
    read = PromptCache(tmp_path / "new" / "folder", "checkpoint").read(key)
    assert read is not None
    assert torch.equal(read, LATENTS)


def test_without_a_folder_nothing_is_kept() -> None:
    cache = PromptCache(None, "checkpoint")
    key = cache.key_of_words("alba", "0")
    cache.write(key, LATENTS)
    assert cache.read(key) is None


def test_key_follows_from_checkpoint_samples_and_rate() -> None:
    cache = PromptCache(None, "checkpoint")
    keys = {
        cache.key_of_recording(recording()),
        cache.key_of_recording(recording(rate_hz=16_000)),
        cache.key_of_recording(recording(SAMPLES[1:])),
        cache.key_of_recording(recording(-SAMPLES)),
        PromptCache(None, "other").key_of_recording(recording()),
    }
    assert len(keys) == 5
    assert cache.key_of_recording(recording(SAMPLES.copy())) in keys


@given(first=st.lists(st.text(max_size=3), max_size=4), second=st.lists(st.text(max_size=3), max_size=4))
def test_other_words_are_another_key(first: list[str], second: list[str]) -> None:
    cache = PromptCache(None, "checkpoint")
    assert (cache.key_of_words(*first) == cache.key_of_words(*second)) == (first == second)


@pytest.mark.parametrize("damage", ["emptied", "cut", "bit", "garbage"])
def test_a_damaged_entry_is_removed_and_made_anew(tmp_path: Path, damage: str) -> None:
    cache = PromptCache(tmp_path, "checkpoint")
    key = cache.key_of_words("alba")
    cache.write(key, LATENTS)
    (path,) = entries(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes({"emptied": b"", "cut": data[:-9], "bit": bytes(data), "garbage": b"x" * 300}[damage])
    assert cache.read(key) is None
    assert entries(tmp_path) == []
    cache.write(key, LATENTS)
    assert cache.read(key) is not None


def test_the_entries_not_used_for_longest_make_room(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path, "checkpoint", max_entries=3)
    keys = [cache.key_of_words(str(i)) for i in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.write(key, LATENTS)
        os.utime(tmp_path / f"{key}.safetensors", (1_000 + age, 1_000 + age))
    cache.read(keys[0])  # used now
    cache.write(keys[3], LATENTS)
    assert [cache.read(key) is not None for key in keys] == [True, False, True, True]


def test_an_interrupted_write_leaves_nothing_to_read_and_is_swept(tmp_path: Path) -> None:
    staged = tmp_path / ".new-interrupted"
    staged.write_bytes(b"half")
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not ours")
    cache = PromptCache(tmp_path, "checkpoint", max_entries=1)
    cache.write(cache.key_of_words("a"), LATENTS)
    assert staged.exists()  # perhaps another process is at it
    os.utime(staged, (time.time() - 7_200,) * 2)
    cache.write(cache.key_of_words("a"), LATENTS)
    assert not staged.exists()
    assert foreign.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = PromptCache(tmp_path / "file" / "folder", "checkpoint")
    with pytest.raises(ModelError, match=r"folder: a folder that can be written was expected"):
        cache.write("key", LATENTS)
    assert cache.read("key") is None


def test_an_entry_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path, "checkpoint")
    key = cache.key_of_words("alba")
    (tmp_path / f"{key}.safetensors").mkdir()
    with pytest.raises(ModelError, match=r"a folder that can be written was expected"):
        cache.write(key, LATENTS)
    assert [path.name for path in entries(tmp_path)] == [f"{key}.safetensors"]


class TestFingerprint:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        folder = tmp_path / "checkpoint"
        folder.mkdir()
        (folder / "config.json").write_text('{"a": 1}')
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 30_000)
        (folder / "tokenizer.json").write_bytes(b"x" * 2_500_000)
        (folder / "audiovae.pth").write_bytes(b"short")
        (folder / "README.md").write_text("hello")
        return folder

    def test_is_the_same_wherever_the_checkpoint_lies(
        self, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        other = tmp_path_factory.mktemp("elsewhere")
        for path in checkpoint.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
        (other / "README.md").write_text("changed")
        assert checkpoint_fingerprint(other) == checkpoint_fingerprint(checkpoint)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "audiovae.pth"])
    def test_changes_with_a_byte_of_what_is_read_whole(self, checkpoint: Path, name: str) -> None:
        before = checkpoint_fingerprint(checkpoint)
        data = bytearray((checkpoint / name).read_bytes())
        data[-1] ^= 1
        (checkpoint / name).write_bytes(data)
        assert checkpoint_fingerprint(checkpoint) != before

    @pytest.mark.parametrize("start", [0, 3_000_000, 7_600_000])
    def test_changes_with_a_tensor_anywhere_in_a_large_file(self, checkpoint: Path, start: int) -> None:
        before = checkpoint_fingerprint(checkpoint)
        data = bytearray((checkpoint / "model.safetensors").read_bytes())
        data[start : start + 50_000] = bytes(50_000)
        (checkpoint / "model.safetensors").write_bytes(data)
        assert checkpoint_fingerprint(checkpoint) != before

    def test_of_a_folder_that_is_not_there_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"A readable .*nowhere was expected, but it is not"):
            checkpoint_fingerprint(tmp_path / "nowhere")
