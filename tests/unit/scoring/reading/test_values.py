import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axia.lexicon import VALUES
from services.scoring.reading.model import OnnxReader
from services.scoring.reading.schwartz import GROUPS
from services.scoring.reading.values import NOTHING_AT_STAKE, ValueAttributor


@pytest.fixture(scope="module")
def attributor(reader: OnnxReader) -> ValueAttributor:
    return ValueAttributor(reader)


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("A burglar breaks in through the back door.", "security"),
        ("The girl comforts her crying friend.", "benevolence"),
        ("Chemical waste poisons the river and its animals.", "universalism"),
        ("monks praying in a temple", "tradition"),
        ("The old man is lying on the floor.", "benevolence"),
        ("The water has been spilled on the floor.", "security"),
    ],
)
def test_the_heaviest_value(attributor: ValueAttributor, sentence: str, value: str) -> None:
    (result,) = attributor.attribute([sentence])
    assert max(result.values, key=lambda name: result.values[name]) == value


@pytest.mark.parametrize("sentence", ["none", "The image is blurry.", "a wooden chair", "", "🔥", "孩子靠近炉子"])
def test_nothing_at_stake_is_all_zero(attributor: ValueAttributor, sentence: str) -> None:
    assert attributor.attribute([sentence]) == (NOTHING_AT_STAKE,)
    assert not any(NOTHING_AT_STAKE.values.values())


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
