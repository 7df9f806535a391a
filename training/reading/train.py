"""Trains the reader model from a seed: python -m training.reading.train --out FOLDER.

Fine-tunes the packaged all-MiniLM-L6-v2 on four tasks at once; `export` turns the result into what the service loads.
A training that was stopped resumes from FOLDER/state.pt when the command is run again.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.reading.base import BASE_MODEL, base_folder
from training.reading.corpus import TRAINED
from training.reading.examples import (
    NO_TARGET,
    NOT_SAME,
    AnswerExample,
    PairExample,
    PairSampler,
    SentenceExample,
    TripleExample,
    answer_examples,
    sentence_examples,
)
from training.reading.network import Outputs, ReaderNetwork
from training.reading.older import older_pairs, older_sentences
from training.reading.perturb import perturbed
from training.saving import save_state

ExampleT = TypeVar("ExampleT")

PAIRS, TRIPLES, SENTENCES, ANSWERS = 32, 6, 16, 24
"""Examples of each task in a step."""
LEARNING_RATE = 8e-5
MAX_TOKENS = 128
VECTOR_WEIGHT, VECTOR_SCALE = 0.3, 20.0
"""Weight of the vectors' loss, and what cosines are multiplied by, as in the base model's own training."""
_TINY = 1e-6
_BUCKETS = 16
"""Steps whose examples are drawn together and sorted by length."""
_SAVED_EVERY = 6 * _BUCKETS
"""Steps between saved states: whole buckets, so that no drawn example has to be saved."""


class Tokens:
    """Turns texts into tensors."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def __call__(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        """Ids, mask and segments of a batch."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
            "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
            "token_type_ids": torch.tensor([encoding.type_ids for encoding in encodings]),
        }


def relation_loss(logits: Tensor, relations: Tensor) -> Tensor:
    """Cross-entropy; for NOT_SAME, of the two relations that are not SAME together."""
    known = relations != NOT_SAME
    log = functional.log_softmax(logits, -1)
    loss = functional.nll_loss(log, relations.clamp(max=2), reduction="none")
    different = -torch.log((1 - log[:, 1].exp()).clamp(min=_TINY))
    return torch.where(known, loss, different).mean()


def vector_loss(vectors: Tensor, triples: int) -> Tensor:
    """Cross-entropy of each triple's second text among all second and other texts, by the cosine with its first."""
    cosines = VECTOR_SCALE * vectors[:triples] @ vectors[triples : 3 * triples].T
    return functional.cross_entropy(cosines, torch.arange(triples))


def _halves(examples: Sequence[ExampleT], first: int) -> tuple[Sequence[ExampleT], Sequence[ExampleT]]:
    return examples[:first], examples[first:]


def step_loss(network: ReaderNetwork, tokens: Tokens, batch: "Batch") -> Tensor:
    """The loss of one step: the sum over the tasks."""
    read = network(**tokens([(pair.first, pair.second) for pair in batch.pairs]))
    loss = relation_loss(read.relation, torch.tensor([pair.relation for pair in batch.pairs]))
    if batch.sentences:
        columns = zip(*batch.triples, strict=True)
        sentences = [sentence for column in columns for sentence in column] + list(batch.sentences)
        # Apart, since each batch is as long as its longest text.
        parts = [
            network(**tokens([sentence.text for sentence in part]))
            for part in _halves(sentences, 3 * len(batch.triples))
        ]
        loss = loss + VECTOR_WEIGHT * vector_loss(parts[0].vector, len(batch.triples))
        read = Outputs(*(torch.cat(outputs) for outputs in zip(*parts, strict=True)))
        loss = loss + functional.cross_entropy(
            read.type, torch.tensor([sentence.type for sentence in sentences]), ignore_index=NO_TARGET
        )
        valued = [row for row, sentence in enumerate(sentences) if sentence.values is not None]
        targets = torch.tensor([sentences[row].values for row in valued])
        loss = loss + functional.cross_entropy(read.values[valued], targets)
    if batch.answers:
        read = network(**tokens([(answer.question, answer.answer) for answer in batch.answers]))
        loss = loss + functional.cross_entropy(read.verdict, torch.tensor([answer.verdict for answer in batch.answers]))
    return loss


class Trainer:
    """A reader in training, with all that a saved state holds.

    Args:
        authors: Whose texts.
        steps: Of PAIRS pairs, TRIPLES triples, SENTENCES sentences and ANSWERS answers.
        seed: Of the weights and of the order of examples.
        pairs_only: Leave out the other tasks, as the learning curve does.
        bfloat16: Compute in 16-bit floats where that loses little. Weights stay in 32 bits.
    """

    def __init__(
        self, authors: Sequence[int], steps: int, seed: int, *, pairs_only: bool = False, bfloat16: bool = False
    ) -> None:
        torch.manual_seed(seed)
        self._recipe = {
            "authors": list(authors),
            "steps": steps,
            "seed": seed,
            "pairs_only": pairs_only,
            "bfloat16": bfloat16,
        }
        self._bfloat16 = bfloat16
        self._rng = random.Random(seed)
        folder = base_folder()
        self._network, self._tokens = ReaderNetwork(folder).train(), Tokens(folder)
        self._sampler = PairSampler(authors, older_pairs(), self._rng)
        self._sentences = [] if pairs_only else sentence_examples(authors, older_sentences())
        self._answers = [] if pairs_only else answer_examples(authors)
        # Words that no author used keep the meaning that they had.
        self._network.encoder.embeddings.word_embeddings.weight.requires_grad_(requires_grad=False)
        self._learned = [parameter for parameter in self._network.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learned, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
        )
        self._step, self._steps, self.seconds = 0, steps, 0.0

    def run(self, state: Path | None = None) -> ReaderNetwork:
        """Trains to the end.

        Args:
            state: File to save the state to, and to resume from where it exists.

        Raises:
            SystemExit: The state was made with another recipe.
        """
        if state and state.exists():
            self._resume(state)
        began, earlier, total = time.monotonic(), self.seconds, 0.0
        batches: list[Batch] = []
        while self._step < self._steps:
            bucket = self._step % _BUCKETS
            if state and self._step % _SAVED_EVERY == 0:
                self._save(state)
            if bucket == 0:
                batches = _batches(self._sampler, self._sentences, self._answers, self._rng)
            total += self._learn(batches[bucket])
            self._step += 1
            self.seconds = earlier + time.monotonic() - began
            if self._step % _SAVED_EVERY == 0:
                loss = total / _SAVED_EVERY
                sys.stderr.write(f"step {self._step}/{self._steps}  loss {loss:.3f}  {self.seconds:.0f} s\n")
                sys.stderr.flush()
                total = 0.0
        return self._network.eval()

    def _learn(self, batch: "Batch") -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            loss = step_loss(self._network, self._tokens, batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        torch.nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    def _save(self, path: Path) -> None:
        state = {
            "recipe": self._recipe,
            "step": self._step,
            "seconds": self.seconds,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "order": self._rng.getstate(),
            "dropout": torch.get_rng_state(),
        }
        save_state(state, path)

    def _resume(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        if state["recipe"] != self._recipe:
            raise SystemExit(f"{path} was made with another recipe; remove it to start over, or give another --out")
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        version, internal, gauss = state["order"]
        self._rng.setstate((version, tuple(internal), gauss))
        torch.set_rng_state(state["dropout"])
        self._step, self.seconds = state["step"], state["seconds"]
        sys.stderr.write(f"resumed at step {self._step}\n")


class Batch(NamedTuple):
    """The examples of one step."""

    pairs: Sequence[PairExample]
    triples: Sequence[TripleExample]
    sentences: Sequence[SentenceExample]
    answers: Sequence[AnswerExample]


def _batches(
    sampler: PairSampler, sentences: Sequence[SentenceExample], answers: Sequence[AnswerExample], rng: random.Random
) -> list[Batch]:
    """The examples of some steps; those of a step are of like length, so that little of it is padding."""
    pairs = [sampler.draw() for _ in range(_BUCKETS * PAIRS)]
    pairs = [pair._replace(first=perturbed(pair.first, rng), second=perturbed(pair.second, rng)) for pair in pairs]
    some = [
        sentence._replace(text=perturbed(sentence.text, rng))
        for sentence in _some(sentences, _BUCKETS * SENTENCES, rng)
    ]
    answered = [
        answer._replace(answer=perturbed(answer.answer, rng)) for answer in _some(answers, _BUCKETS * ANSWERS, rng)
    ]
    triples = [sampler.triple() for _ in range(_BUCKETS * TRIPLES)] if sentences else []
    parts = [
        _shuffled_slices(sorted(pairs, key=lambda pair: len(pair.first) + len(pair.second)), rng),
        _shuffled_slices(sorted(triples, key=lambda triple: max(len(text.text) for text in triple)), rng),
        _shuffled_slices(sorted(some, key=lambda sentence: len(sentence.text)), rng),
        _shuffled_slices(sorted(answered, key=lambda answer: len(answer.answer)), rng),
    ]
    return [Batch(*batch_parts) for batch_parts in zip(*parts, strict=True)]


def _shuffled_slices(examples: Sequence[ExampleT], rng: random.Random) -> list[Sequence[ExampleT]]:
    size = len(examples) // _BUCKETS
    slices = [examples[start * size : (start + 1) * size] for start in range(_BUCKETS)]
    rng.shuffle(slices)
    return slices


def _some(examples: Sequence[ExampleT], number: int, rng: random.Random) -> Sequence[ExampleT]:
    return rng.sample(examples, min(number, len(examples)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and writes the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--authors", default=",".join(map(str, TRAINED)), help="numbers, separated by commas")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compute in 16-bit floats, which takes two thirds of the time on a processor that has them",
    )
    parser.add_argument("--pairs-only", action="store_true", help="train the relation of two texts alone")
    given = parser.parse_args(arguments)
    authors = [int(number) for number in given.authors.split(",")]
    trainer = Trainer(authors, given.steps, given.seed, pairs_only=given.pairs_only, bfloat16=given.bfloat16)
    network = trainer.run(given.out / "state.pt")
    torch.save(network.state_dict(), given.out / "reader.pt")
    recipe = {
        "base": BASE_MODEL,
        "authors": authors,
        "steps": given.steps,
        "seed": given.seed,
        "bfloat16": given.bfloat16,
        "learning_rate": LEARNING_RATE,
        "batch": {"pairs": PAIRS, "triples": TRIPLES, "sentences": SENTENCES, "answers": ANSWERS},
        "minutes": round(trainer.seconds / 60, 1),
    }
    (given.out / "training.json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    (given.out / "state.pt").unlink()


if __name__ == "__main__":
    main()
