"""A small linear classifier on sentence embeddings: softmax(W x + b), trained once and stored as a data file.

Its weights were trained by ``python -m services.scoring.train_language`` from the labelled sentences in data/.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
"""Labelled sentences and trained weights."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SoftmaxModel:
    """Multinomial logistic regression.

    Attributes:
        classes: Names, one for each row of `weights`.
        weights: Shape (classes, dimensions).
        bias: Shape (classes,).
    """

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats

    def probabilities(self, vectors: NDArray[np.float32]) -> Floats:
        """Shape (sentences, classes); rows sum to 1."""
        scores = vectors.astype(np.float64) @ self.weights.T + self.bias
        return softmax(scores)

    def save(self, path: Path) -> None:
        """Writes the weights as 32-bit floats."""
        np.savez(
            path,
            classes=np.array(self.classes),
            weights=self.weights.astype(np.float32),
            bias=self.bias.astype(np.float32),
        )


def softmax(scores: Floats) -> Floats:
    """exp(s_k) / Σ_j exp(s_j) for each row, computed so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@functools.cache
def load_softmax_model(path: Path) -> SoftmaxModel:
    """Reads what `SoftmaxModel.save` wrote, once a process."""
    with np.load(path) as stored:
        return SoftmaxModel(
            classes=tuple(str(name) for name in stored["classes"]),
            weights=stored["weights"].astype(np.float64),
            bias=stored["bias"].astype(np.float64),
        )


def train_softmax_model(
    classes: Sequence[str], vectors: NDArray[np.float32], targets: Floats, c: float
) -> SoftmaxModel:
    """Minimises C Σ_i Σ_k −t_ik ln p_ik + ½ ‖W‖² by L-BFGS from zero, so that the result is the same each time.

    Args:
        classes: Names of the classes.
        vectors: Shape (sentences, dimensions).
        targets: Shape (sentences, classes): each row a distribution over the classes.
        c: C, the weight of the data against the penalty.
    """
    from scipy.optimize import minimize

    x = np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])
    penalised = np.ones(x.shape[1])
    penalised[-1] = 0.0  # the bias isn't

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(len(classes), -1)
        p = softmax(x @ w.T)
        value = -c * float((targets * np.log(p + 1e-300)).sum()) + 0.5 * float((w * w * penalised).sum())
        gradient = c * (p - targets).T @ x + w * penalised
        return value, gradient.ravel()

    start = np.zeros(len(classes) * x.shape[1])
    w = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x.reshape(len(classes), -1)
    return SoftmaxModel(tuple(classes), w[:, :-1], w[:, -1])
