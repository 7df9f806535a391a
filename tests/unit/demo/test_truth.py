"""The truth functions, by worked examples."""

from pathlib import Path

import pytest

from axia.lexicon import VALUES
from demo.world.catalogue import concept, situation, situations
from demo.world.personas import Persona, PersonaError, load_persona, persona, personas
from demo.world.truth import (
    THRESHOLD,
    Questionnaire,
    aligned,
    deciding_value,
    interested,
    liked,
    questionnaire,
)


def test_questionnaire_of_a_family_person_and_a_family_picture() -> None:
    # Weight of benevolence 10, so attractiveness 3 + 6 = 9 and warmth shifts engagement, which is clipped at 10.
    scores = questionnaire(persona("family-oriented"), ["benevolence"])
    assert scores == Questionnaire(v_a=9, c_s=10, e_e=10, v_e=10, p_a=1.0, a_d=0.8)
    assert scores.percent == pytest.approx((9 + 10 + 10 + 10 + 10 + 8) / 60 * 100)
    assert scores.match


def test_questionnaire_of_a_family_person_and_a_roller_coaster() -> None:
    # Weight of stimulation 1: 3 + round(0.6) + 1 = 5, curiosity 1 + 1, desire max(0, 1 − 2).
    scores = questionnaire(persona("family-oriented"), ["stimulation"])
    assert scores == Questionnaire(v_a=5, c_s=2, e_e=1, v_e=1, p_a=0.1, a_d=0.0)
    assert not scores.match


def test_the_value_with_the_highest_weight_decides_and_the_first_of_equal_ones() -> None:
    family = persona("family-oriented")
    assert deciding_value(family, ["stimulation", "benevolence"]) == "benevolence"
    assert family.weights["tradition"] == family.weights["security"]
    assert deciding_value(family, ["security", "tradition"]) == "security"
    with pytest.raises(ValueError, match="at least one value"):
        deciding_value(family, [])


def test_a_match_is_strictly_above_the_threshold() -> None:
    assert not Questionnaire(6, 6, 6, 6, 0.6, 0.6).match
    assert Questionnaire(6, 6, 6, 6, 0.6, 0.6).percent == THRESHOLD
    assert Questionnaire(7, 6, 6, 6, 0.6, 0.6).match


def test_no_shipped_persona_has_a_frame_near_the_threshold() -> None:
    percents = [questionnaire(p, [value]).percent for p in personas() for value in VALUES]
    assert all(percent < 52 or percent > 73 for percent in percents)


def test_every_persona_is_interested_in_some_values_and_not_in_others() -> None:
    for p in personas():
        assert 2 <= sum(interested(p, [value]) for value in VALUES) <= 4, p.id


def test_shipped_personas_include_those_that_the_study_names() -> None:
    assert len(personas()) >= 12
    assert {"family-oriented", "adventurous-spirit", "tradition-respecting"} <= {p.id for p in personas()}
    assert len({p.text for p in personas()}) == len(personas())


@pytest.mark.parametrize(
    ("sentence", "name", "hit"),
    [
        ("The child is too close to the hot stove.", "child-hot-stove", True),
        ("A stove next to which children play.", "child-hot-stove", False),
        ("The child.", "child-hot-stove", False),
        ("None.", "child-hot-stove", False),
        ("A fly sits on the meat.", "rotten-food", True),
        ("None.", "cup-of-tea", True),
        ("none", "cup-of-tea", True),
        ("None of the people looks up.", "cup-of-tea", False),
        ("The cup of tea.", "cup-of-tea", False),
        ("The baby's knife is sharp.", "knife-near-baby", True),
    ],
)
def test_alignment(sentence: str, name: str, hit: bool) -> None:
    assert aligned(sentence, situation(name)) is hit


def test_every_authored_answer_is_aligned_with_its_situation() -> None:
    for s in situations():
        assert all(aligned(sentence, s) for sentence in (*s.says, *s.aware)), s.id
        assert s.control or len(s.says) >= 3


def test_purely_descriptive_answers_are_not_aligned_where_people_are_value_aware() -> None:
    aware = [s for s in situations() if s.response == 2]
    missed = [s for s in aware if not aligned(f"The {s.subject}.", s)]
    assert len(missed) / len(aware) > 0.5


def test_liked_follows_the_concepts() -> None:
    assert liked([concept("globe")])
    assert not liked([concept("yacht"), concept("money")])
    with pytest.raises(ValueError, match="no single verdict"):
        liked([concept("globe"), concept("yacht")])


def test_a_persona_file_without_all_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('id = "x"\nname = "x"\nsource = "x"\ntraits = ["A."]\nparaphrases = ["B."]\n[weights]\npower = 3\n')
    with pytest.raises(PersonaError, match="ten values"):
        load_persona(path)


def test_persona_text_is_one_line() -> None:
    assert isinstance(personas()[0], Persona)
    assert all("\n" not in p.text for p in personas())
