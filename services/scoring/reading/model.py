"""The reader model: reads one or two texts and says how they relate, what kind of answer one is, and what it says.

A MiniLM that was fine-tuned on labelled texts by many authors (training/reading), in 8-bit integers, computed by ONNX
Runtime. Its card is data/reader/README.md. Probabilities are calibrated on an author to whom nothing else was fitted:

    p = softmax(logits / T), with a temperature T for each task

Each text, or pair of texts, is computed alone: the 8-bit scales of a batch depend on all of it, so a result would else
depend on which texts came with it. Results are remembered, since a model that watches a room says the same sentences
again and again.
"""

import hashlib
import importlib.util
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.scoring import metrics
from services.scoring.reading.labels import QUESTION_TEXTS, TYPES, VALUES_AND_NOTHING, VERDICTS, Question, Relation
from services.scoring.reading.loops import without_loops
from services.serving.errors import FailedPrecondition

if TYPE_CHECKING:
    import onnxruntime
    from tokenizers import Encoding

Floats = NDArray[np.float64]

DEFAULT_READER = "packaged"
"""Names the reader model of this release in settings."""
PACKAGED = Path(__file__).parents[1] / "data" / "reader"
"""Its folder."""
MAX_TOKENS = 128
"""Tokens of a text, or of both texts of a pair together, that count; the rest is cut off, of the longer one first."""
MAX_CHARS = 2048
"""Characters of a text that are tokenised: enough for MAX_TOKENS tokens of 16, and a bound on the cost."""
_LONGEST_REMEMBERED = 1024
"""Characters of a text at most whose results are remembered; longer ones are rare and would only take the room."""
_VECTOR = "vector"
"""The output that is no probability."""
_FILES = ("model.onnx", "tokenizer.json", "reader.json")

INSTALL = (
    "install onnxruntime and tokenizers (pip install onnxruntime tokenizers), or set AXIA_SCORING_READER to a folder "
    "with model.onnx, tokenizer.json and reader.json as `make reader-model` writes them"
)
"""What to do where the reader model is missing."""


class Pair(NamedTuple):
    """Two texts to compare."""

    first: str
    second: str


class Described(NamedTuple):
    """What single sentences say."""

    types: Floats
    """Shape (sentences, 6): probabilities in the order of TYPES."""
    values: Floats
    """Shape (sentences, 11): probabilities in the order of VALUES_AND_NOTHING."""
    vectors: Floats
    """Shape (sentences, width), each of length 1: sentences of like meaning point in like directions."""


@dataclass(frozen=True)
class Thresholds:
    """From which something counts, fitted to the authors that calibrate; probabilities but for `apart`."""

    aligned: float
    """Of the score, from which an answer names an element."""
    same: float
    """Of the nearness, from which two completions mean the same."""
    none: float
    """Of the type "none", from which a sentence says that nothing needs attention."""
    nothing: float
    """Of "no value is at stake", above which a sentence concerns no value."""
    verdict: float
    """Of a verdict, from which it counts; below it an answer is unparsed."""
    apart: float
    """Of the cosine of two sentences' vectors, −1 to 1, below which they mean different things; pairs above it are
    read together."""


class Reader(Protocol):
    """Reads texts."""

    @property
    def name(self) -> str:
        """The model's name, for provenance."""

    @property
    def revision(self) -> str:
        """What tells this model from others of its name: the beginning of its SHA-256."""

    @property
    def thresholds(self) -> Thresholds:
        """What counts."""

    def relate(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (pairs, 3): probabilities in the order of `Relation`."""

    def describe(self, sentences: Sequence[str]) -> Described:
        """What each sentence says: the kind of answer that it is, the values that it concerns, its vector."""

    def decide(self, question: Question, answers: Sequence[str]) -> Floats:
        """Shape (answers, 4): probabilities in the order of VERDICTS."""


class _Settings(NamedTuple):
    """What reader.json holds."""

    name: str
    temperatures: dict[str, float]
    thresholds: Thresholds


def load_reader(folder: Path = PACKAGED, threads: int = 0, remembered: int = 0) -> "OnnxReader":
    """Loads a reader model.

    Args:
        folder: Holds model.onnx, tokenizer.json and reader.json.
        threads: For the computation; 0 takes one a core.
        remembered: Results to remember at most.

    Raises:
        FailedPrecondition: If the model or what computes it isn't there, with what to install.
    """
    for needed in ("onnxruntime", "tokenizers"):
        if importlib.util.find_spec(needed) is None:
            raise _missing(f"the reader model needs the Python package {needed}")
    for file in _FILES:
        if not (folder / file).is_file():
            raise _missing(f"the reader model lacks {file} in its folder {folder}")
    return OnnxReader(folder, threads or os.cpu_count() or 1, remembered)


class OnnxReader:
    """A reader model in a folder, computed by ONNX Runtime; safe to share between threads.

    Args:
        folder: Holds model.onnx, tokenizer.json and reader.json.
        threads: Texts that are computed at once.
        remembered: Results to remember at most; those that were used least recently are forgotten.
    """

    def __init__(self, folder: Path, threads: int = 1, remembered: int = 0) -> None:
        from tokenizers import Tokenizer

        self._settings = _read_settings(folder / "reader.json")
        self._revision = _digest(folder / "model.onnx")
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = _session(folder / "model.onnx")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader") if threads > 1 else None
        self._memory = _Memory(remembered)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._settings.name

    @property
    def revision(self) -> str:
        """The first 12 hexadecimal digits of the model's SHA-256."""
        return self._revision

    @property
    def thresholds(self) -> Thresholds:
        """What counts."""
        return self._settings.thresholds

    def relate(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (pairs, 3): probabilities in the order of `Relation`."""
        (found,) = self._read(("relation",), list(pairs))
        return found.reshape(-1, len(Relation))

    def describe(self, sentences: Sequence[str]) -> Described:
        """What each sentence says: the kind of answer that it is, the values that it concerns, its vector."""
        types, values, vectors = self._read(("type", "values", _VECTOR), list(sentences))
        return Described(
            types.reshape(-1, len(TYPES)),
            values.reshape(-1, len(VALUES_AND_NOTHING)),
            vectors.astype(np.float64).reshape(len(sentences), -1 if sentences else 0),
        )

    def decide(self, question: Question, answers: Sequence[str]) -> Floats:
        """Shape (answers, 4): probabilities in the order of VERDICTS."""
        (found,) = self._read(("verdict",), [Pair(QUESTION_TEXTS[question], answer) for answer in answers])
        return found.reshape(-1, len(VERDICTS))

    def _read(self, tasks: tuple[str, ...], texts: Sequence[str | Pair]) -> list[Floats]:
        distinct = list(dict.fromkeys(texts))
        known = {text: row for text in distinct if (row := self._memory.get((tasks[0], text))) is not None}
        unknown = [text for text in distinct if text not in known]
        metrics.READER_TEXTS.labels(tasks[0], "remembered").inc(len(known))
        metrics.READER_TEXTS.labels(tasks[0], "computed").inc(len(unknown))
        for text, row in zip(unknown, self._compute(tasks, unknown), strict=True):
            known[text] = row
            if len("".join(text)) <= _LONGEST_REMEMBERED:
                self._memory.put((tasks[0], text), row)
        return [np.array([known[text][place] for text in texts]) for place in range(len(tasks))]

    def _compute(self, tasks: tuple[str, ...], texts: Sequence[str | Pair]) -> list[tuple[Floats, ...]]:
        if not texts:
            return []
        bounded = [tuple(map(_bounded, text)) if isinstance(text, Pair) else _bounded(text) for text in texts]
        encodings: list[Encoding] = self._tokenizer.encode_batch(bounded)

        def run(encoding: "Encoding") -> tuple[Floats, ...]:
            feed = {
                "input_ids": np.array([encoding.ids], np.int64),
                "attention_mask": np.array([encoding.attention_mask], np.int64),
                "token_type_ids": np.array([encoding.type_ids], np.int64),
            }
            logits = self._session.run(list(tasks), feed)
            return tuple(
                output[0] if task == _VECTOR else _softmax(output[0] / self._settings.temperatures[task])
                for task, output in zip(tasks, logits, strict=True)
            )

        if self._pool is None or len(encodings) == 1:
            return list(map(run, encodings))
        # The longest first, so that no thread is left with it at the end.
        order = sorted(range(len(encodings)), key=lambda place: -len(encodings[place].ids))
        found = dict(zip(order, self._pool.map(run, [encodings[place] for place in order]), strict=True))
        return [found[place] for place in range(len(encodings))]


class _Memory:
    """Results by task and text, the most recently used ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: OrderedDict[tuple[str, str | Pair], tuple[Floats, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str | Pair]) -> tuple[Floats, ...] | None:
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, key: tuple[str, str | Pair], row: tuple[Floats, ...]) -> None:
        if not self._size:
            return
        with self._lock:
            self._rows[key] = row
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)


def _bounded(text: str) -> str:
    """What of a text is tokenised; half a surrogate pair, which no tokenizer takes, becomes a question mark."""
    words = text.lstrip()[: 4 * MAX_CHARS].split()
    return " ".join(without_loops(words))[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")


def _softmax(logits: NDArray[np.float32]) -> Floats:
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(powers / powers.sum())


def _session(model: Path) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # texts are computed side by side instead
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _read_settings(path: Path) -> _Settings:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        temperatures = {task: float(stored["temperatures"][task]) for task in ("relation", "type", "values", "verdict")}
        return _Settings(str(stored["name"]), temperatures, Thresholds(**stored["thresholds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise FailedPrecondition(
            f"{path} doesn't describe a reader model of this release; {INSTALL}", reason="READER_UNSUPPORTED"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _missing(what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{what}: {INSTALL}", reason="READER_MISSING")
