"""Names the state of a local checkpoint by its content, so that two fine-tunes of one model differ.

A hash of everything that decides what the model says: configuration, tokenizer, templates, code, and weights. Up to
1 GiB of weights are read whole. Of larger ones a block every so often is read, at least `_BLOCKS` of each tensor, which
is about 30 MiB for 70 GB: training changes a tensor nearly everywhere, so a few blocks tell.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TEXT_FILES = (
    *("config.json", "generation_config.json", "params.json", "*preprocessor_config.json", "processor_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tekken.json"),
    *("chat_template*", "additional_chat_templates/*", "*.index.json", "*.py"),
)
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
_OF_TRAINING = ("optimizer*", "scheduler*", "rng_state*", "training_args*", "trainer_state*")
"""Files of these kinds that a training leaves behind, and no engine loads."""
_WHOLE_BYTES = 2**30
"""Weights that are read whole, together."""
_BLOCKS, _BLOCK_BYTES = 8, 4096
"""Blocks of a tensor that are read where weights are larger, and their size."""
_FILE_BLOCKS = 4096
"""Blocks of a file whose tensors aren't known."""
_LARGEST_HEADER = 2**28
"""Bytes of a safetensors header at most; what claims more is read as any other file."""


def local_revision(checkpoint: Path) -> str:
    """Names a checkpoint's state.

    Args:
        checkpoint: A folder in the Hugging Face layout, or one file of weights.

    Returns:
        "sha256:" and twelve hexadecimal digits.

    Raises:
        OSError: A file can't be read.
    """
    folder, patterns = (checkpoint, _WEIGHTS) if checkpoint.is_dir() else (checkpoint.parent, (checkpoint.name,))
    weights = _found(folder, patterns)
    whole = sum(path.stat().st_size for path in weights) <= _WHOLE_BYTES
    digest = hashlib.sha256()
    for path in _found(folder, _TEXT_FILES) if checkpoint.is_dir() else ():
        digest.update(_named(path, folder) + hashlib.sha256(path.read_bytes()).digest())
    for path in weights:
        digest.update(_named(path, folder) + (_whole_hash(path) if whole else _sampled_hash(path)))
    return "sha256:" + digest.hexdigest()[:12]


def _found(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not any(path.match(pattern) for pattern in _OF_TRAINING))


def _named(path: Path, folder: Path) -> bytes:
    return f"\0{path.relative_to(folder)}\0{path.stat().st_size}\0".encode()


def _whole_hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _sampled_hash(path: Path) -> bytes:
    """Hash of a file's header and of blocks of each of its tensors."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for begin, end in _tensors(file, size):
            blocks = _BLOCKS if begin or end < size else _FILE_BLOCKS
            step = max(_BLOCK_BYTES, (end - begin - _BLOCK_BYTES) // max(1, blocks - 1))
            for place in (*range(begin, end - _BLOCK_BYTES, step), max(begin, end - _BLOCK_BYTES)):
                file.seek(place)
                digest.update(file.read(min(_BLOCK_BYTES, end - place)))
    return digest.digest()


def _tensors(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Where a file's header and its tensors begin and end, in bytes; the whole file if it isn't in safetensors."""
    length = int.from_bytes(file.read(8), "little")
    header = file.read(length) if length <= min(size - 8, _LARGEST_HEADER) else b""
    try:
        entries = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        places = sorted(tuple(entry["data_offsets"]) for entry in entries)
    except (ValueError, AttributeError, KeyError, TypeError):
        yield 0, size
        return
    yield 0, 8 + length
    for begin, end in places:
        yield 8 + length + begin, 8 + length + end
