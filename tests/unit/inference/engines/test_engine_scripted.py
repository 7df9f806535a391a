from pathlib import Path

import pytest

from services.inference.engines.engine import Sampling
from services.inference.engines.scripted import Script, load_script
from services.serving.errors import FailedPrecondition


def sampling(seed: int, temperature: float = 1.0) -> Sampling:
    return Sampling(seed, temperature, 1.0, 100)


SCRIPT = Script.model_validate(
    {"answers": [{"when": "stove", "say": ["One.", {"text": "Two.", "weight": 3}]}, {"say": ["Otherwise."]}]}
)


def test_the_first_matching_answer_is_said_at_temperature_0() -> None:
    assert SCRIPT.choose("the stove", sampling(5, 0)) == "One."
    assert SCRIPT.choose("the dog", sampling(5, 0)) == "Otherwise."


def test_a_seed_always_draws_the_same_text_and_weights_count() -> None:
    drawn = [SCRIPT.choose("stove", sampling(seed)) for seed in range(400)]
    assert drawn == [SCRIPT.choose("stove", sampling(seed)) for seed in range(400)]
    assert 0.65 < drawn.count("Two.") / 400 < 0.85


def test_nothing_is_said_where_nothing_matches() -> None:
    assert Script.model_validate({"answers": [{"when": "x", "say": ["y"]}]}).choose("z", sampling(1)) == ""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("answers: []", "answers"),
        ("answers: [{say: []}]", "answers.0.say"),
        ("answers: [{say: [x], when: '('}]", "answers.0.when"),
        ("answers: [{say: [{text: x, weight: 0}]}]", "answers.0.say.0.weight"),
        ("answer: x", "answer"),
        ("[1, 2", "YAML"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_of_the_fault(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text)
    with pytest.raises(FailedPrecondition, match=place.replace(".", r"\.")):
        load_script(path)


def test_a_missing_file_is_refused_with_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_ANSWERS"):
        load_script(tmp_path / "none.yaml")
