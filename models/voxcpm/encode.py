"""`python -m models.voxcpm.encode CHECKPOINT PROMPT CACHE`: encode a voice's recording, in a process of its own.

The encoder's memory and its pauses stay out of the engine, which then finds the latents in the cache. One JSON line is
printed: `{"key": ..., "num_patches": ...}`, or `{"error": sentence}` with exit code 2.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ..base import ModelError
from .config import read_config
from .prompt import encode_prompt
from .prompt_cache import PromptCache, checkpoint_fingerprint
from .recording import read_recording
from .vae_encoder import AudioVaeEncoder
from .weights import Weights


def encode_file(checkpoint: Path, prompt: Path, folder: Path) -> tuple[str, int]:
    """Key of the cache entry, which is there then, and its patches. Raises ModelError, naming file and field."""
    recording = read_recording(prompt)
    config = read_config(checkpoint)
    cache = PromptCache(folder, checkpoint_fingerprint(checkpoint))
    key = cache.key_of_recording(recording)
    latents = cache.read(key)
    if latents is None:
        with Weights(checkpoint, config) as weights:
            encoder = AudioVaeEncoder(config.vae, weights)
        audio = torch.from_numpy(recording.at(config.sample_rate))
        with torch.inference_mode():
            latents = encode_prompt(encoder, audio, patch_samples=config.patch_samples)
        cache.write(key, latents)
    return key, len(latents)


def main(arguments: Sequence[str]) -> int:
    try:
        if len(arguments) != 3:
            raise ModelError(f"CHECKPOINT, PROMPT and CACHE were expected, but {len(arguments)} arguments came.")
        key, num_patches = encode_file(*map(Path, arguments))
    except ModelError as error:
        print(json.dumps({"error": str(error)}, ensure_ascii=False))
        return 2
    print(json.dumps({"key": key, "num_patches": num_patches}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
