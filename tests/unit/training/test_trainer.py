"""A training of the reader that is stopped and resumed gives the weights of an unbroken one."""

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long


class Stopped(Exception):
    """What ends a training in the middle."""


@pytest.fixture(scope="module")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model's tokenizer, and random weights of its architecture in a hundredth of its size."""
    torch = pytest.importorskip("torch", reason="needs torch, which a set-up without an engine leaves out")
    from transformers import BertConfig, BertModel

    from training.reading.base import base_folder

    gc.freeze()  # as after the collection of tests: tests/conftest.py
    folder: Path = tmp_path_factory.mktemp("base")
    base = base_folder()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(base, **sizes), add_pooling_layer=False).save_pretrained(folder)
    shutil.copy(base / "tokenizer.json", folder)
    return folder


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, small_base: Path) -> Iterator[Any]:
    """The module of the training, made small. It imports torch, which every process of the tests would wait for if it
    were imported above."""
    import torch

    from training.reading import train

    for name in ("PAIRS", "SENTENCES", "ANSWERS", "_BUCKETS", "_SAVED_EVERY"):
        monkeypatch.setattr(train, name, 2)
    monkeypatch.setattr(train, "TRIPLES", 1)
    monkeypatch.setattr(train, "base_folder", lambda: small_base)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads of so small a network would wait for each other
    yield train
    torch.set_num_threads(threads)


def test_resumes_to_the_same_weights(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = train.Trainer([1], 6, seed=3).run().state_dict()
    state = tmp_path / "state.pt"
    learn = train.Trainer._learn
    taken: list[Any] = []

    def stops(trainer: Any, batch: Any) -> float:
        if len(taken) == 3:
            raise Stopped
        taken.append(batch)
        loss: float = learn(trainer, batch)
        return loss

    with monkeypatch.context() as patched:
        patched.setattr(train.Trainer, "_learn", stops)
        with pytest.raises(Stopped):
            train.Trainer([1], 6, seed=3).run(state)
    again = train.Trainer([1], 6, seed=3).run(state).state_dict()

    assert all(again[name].equal(weight) for name, weight in unbroken.items())


def test_refuses_the_state_of_another_recipe(train: Any, tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    train.Trainer([1], 2, seed=3).run(state)
    with pytest.raises(SystemExit, match=r"made with another recipe; remove it to start over, or give another --out"):
        train.Trainer([1], 2, seed=4).run(state)
