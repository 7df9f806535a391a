import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.embedder import Embedder
from services.scoring.schwartz import GROUPS, VALUES
from services.scoring.train_language import read_labelled
from services.scoring.values import LABELLED, NOTHING_AT_STAKE, ValueAttributor


@pytest.fixture(scope="module")
def attributor(embedder: Embedder) -> ValueAttributor:
    return ValueAttributor(embedder)


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("A burglar breaks in through the back door.", "security"),
        ("The girl comforts her crying friend.", "benevolence"),
        ("Chemical waste poisons the river and its animals.", "universalism"),
        ("a golden cup for the winner of the race", "achievement"),
        ("monks praying in a temple", "tradition"),
        ("a roller coaster", "stimulation"),
        ("a king with a crown", "power"),
        ("The child is drawing on the wall.", "conformity"),
    ],
)
def test_the_heaviest_value(attributor: ValueAttributor, sentence: str, value: str) -> None:
    (result,) = attributor.attribute([sentence])
    assert max(result.values, key=lambda name: result.values[name]) == value


@pytest.mark.parametrize("sentence", ["none", "The image is blurry.", "a wooden chair", "", "🔥", "孩子靠近炉子"])
def test_nothing_at_stake_is_all_zero(attributor: ValueAttributor, sentence: str) -> None:
    assert attributor.attribute([sentence]) == (NOTHING_AT_STAKE,)
    assert not any(NOTHING_AT_STAKE.values.values())


def test_most_held_out_sentences_get_their_value(attributor: ValueAttributor) -> None:
    rows = [row for row in read_labelled(LABELLED, "held-out") if row["values"]]
    results = attributor.attribute([row["text"] for row in rows])
    hits = sum(max(r.values, key=lambda v: r.values[v]) in row["values"] for row, r in zip(rows, results, strict=True))
    assert hits / len(rows) >= 0.75


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_weights_sum_to_one_or_are_all_zero(attributor: ValueAttributor, sentences: list[str]) -> None:
    for result in attributor.attribute(sentences):
        assert tuple(result.values) == VALUES
        assert set(result.groups) == set(GROUPS)
        total = 1 if result.at_stake else 0
        assert sum(result.values.values()) == pytest.approx(total)
        assert sum(result.groups.values()) == pytest.approx(total)
        assert all(0 <= weight <= 1 for weight in result.values.values())
