"""A training of the reader that is stopped and resumed gives the weights of an unbroken one."""

from pathlib import Path

import pytest
import torch

from training.reading import train


class Stopped(Exception):
    """What ends a training in the middle."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAIRS", "SENTENCES", "ANSWERS", "_BUCKETS", "_SAVED_EVERY"):
        monkeypatch.setattr(train, name, 2)
    monkeypatch.setattr(train, "TRIPLES", 1)


def test_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = train.Trainer([1], 6, seed=3).run().state_dict()
    state = tmp_path / "state.pt"
    learn = train.Trainer._learn
    taken: list[train.Batch] = []

    def stops(trainer: train.Trainer, batch: train.Batch) -> float:
        if len(taken) == 3:
            raise Stopped
        taken.append(batch)
        return learn(trainer, batch)

    with monkeypatch.context() as patched:
        patched.setattr(train.Trainer, "_learn", stops)
        with pytest.raises(Stopped):
            train.Trainer([1], 6, seed=3).run(state)
    again = train.Trainer([1], 6, seed=3).run(state).state_dict()

    assert all(torch.equal(again[name], weight) for name, weight in unbroken.items())


def test_refuses_the_state_of_another_recipe(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    train.Trainer([1], 2, seed=3).run(state)
    with pytest.raises(SystemExit, match=r"made with another recipe; remove it to start over, or give another --out"):
        train.Trainer([1], 2, seed=4).run(state)
