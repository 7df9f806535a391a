"""The name of a local checkpoint's state follows from what decides its answers, and from nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from services.inference.engines.vllm import checkpoint_revision
from services.inference.engines.vllm.checkpoint_revision import local_revision

MODELS = Path(__file__).parents[4] / "demo" / "models"


@pytest.fixture(params=["whole", "sampled"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tensors of 1 MiB, read whole or in blocks."""
    if request.param == "sampled":
        monkeypatch.setattr(checkpoint_revision, "_WHOLE_BYTES", 0)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_file({"a": np.zeros((512, 512), np.float32), "b": np.ones((512, 512), np.float32)}, folder / "m.safetensors")
    return folder


def test_is_the_same_wherever_the_checkpoint_lies(checkpoint: Path) -> None:
    first = local_revision(checkpoint)
    assert first.startswith("sha256:")
    assert local_revision(checkpoint.rename(checkpoint.with_name("moved"))) == first


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "modeling_own.py"])
def test_changes_with_every_file_that_decides_answers(checkpoint: Path, name: str) -> None:
    first = local_revision(checkpoint)
    (checkpoint / name).write_text("changed")
    assert local_revision(checkpoint) != first


def test_stays_where_a_file_changes_that_decides_nothing(checkpoint: Path) -> None:
    first = local_revision(checkpoint)
    (checkpoint / "README.md").write_text("a card")
    (checkpoint / "figures.json").write_text("{}")
    for name in ("optimizer.pt", "training_args.bin", "rng_state_0.pth"):
        (checkpoint / name).write_bytes(b"of a training")
    assert local_revision(checkpoint) == first


def test_tells_a_fine_tune_from_its_base(checkpoint: Path) -> None:
    first = local_revision(checkpoint)
    changed = np.ones((512, 512), np.float32)
    changed += np.random.default_rng(0).normal(0, 1e-4, changed.shape).astype(np.float32)
    save_file({"a": np.zeros((512, 512), np.float32), "b": changed}, checkpoint / "m.safetensors")
    assert local_revision(checkpoint) != first


@pytest.mark.parametrize("content", [b"", b"1234", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]" + b"x" * 100])
def test_reads_weights_that_are_no_safetensors(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "m.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(content)
    first = local_revision(checkpoint)
    (checkpoint / "pytorch_model.bin").write_bytes(content + b"1")
    assert local_revision(checkpoint) != first


def test_takes_a_file_of_weights(checkpoint: Path) -> None:
    file = checkpoint / "model.gguf"
    file.write_bytes(b"GGUF" * 10_000)
    first = local_revision(file)
    (checkpoint / "config.json").write_text("of something else")
    assert local_revision(file) == first
    file.write_bytes(b"GGUF" * 9_999 + b"FUGG")
    assert local_revision(file) != first


def test_tells_the_demo_models_apart() -> None:
    assert local_revision(MODELS / "vlm") != local_revision(MODELS / "vlm-early")
