from collections.abc import Sequence

import pytest

from services.scoring.reading.alignment import AlignmentItem, Judge
from services.scoring.reading.language import Language
from services.scoring.scorer import score_agreement, score_alignment
from services.scoring.statistics.agreement import Rating
from services.scoring.statistics.ceiling import Pair, human_ceiling
from services.serving.errors import FailedPrecondition, InvalidArgument

KITCHEN = {"ann": "the boiling pot", "ben": "boiling pot", "cat": "the boiling pot", "dan": "a child"}
BATH = {"ann": "wet floor", "ben": "wet floor", "cat": "a razor"}
RATINGS = [
    Rating(unit, name, category)
    for unit, given in (("kitchen", KITCHEN), ("bath", BATH))
    for name, category in given.items()
]


def test_a_judge_takes_other_words_for_the_same_where_equal_texts_do_not() -> None:
    by_text = human_ceiling({"kitchen": KITCHEN}, 0.95)
    asked: list[Pair] = []

    def judged(pairs: Sequence[Pair]) -> list[bool]:
        asked.extend(pairs)
        return ["pot" in one and "pot" in other for one, other in pairs]

    by_judge = human_ceiling({"kitchen": KITCHEN}, 0.95, judged)
    # By text ann and cat meet a tie of three, of which one has their words; ben and dan name what nobody else does.
    assert by_text.ceiling == pytest.approx((1 / 3 + 0 + 1 / 3 + 0) / 4)
    # By the judge the wordings of the pot are one, and a child is none of them.
    assert by_judge.ceiling == pytest.approx((2 / 3 + 1 + 2 / 3 + 0) / 4)
    assert len(asked) == len(set(asked))


def test_ratings_that_the_judge_cannot_read_are_counted_and_left_out() -> None:
    def judged(pairs: Sequence[Pair]) -> list[bool | None]:
        return [None if one == "a razor" else one == other for one, other in pairs]

    found = human_ceiling({"bath": BATH}, 0.95, judged)
    assert found.unjudged == 1
    assert found.ceiling == pytest.approx((1 / 2 + 1 / 2) / 2)
    cat = next(annotator for annotator in found.annotators if annotator.annotator == "cat")
    assert (cat.score, cat.units) == (None, 0)
    nobody = human_ceiling({"bath": BATH}, 0.95, lambda pairs: [None] * len(pairs))
    assert (nobody.ceiling, nobody.ceiling_interval, nobody.unjudged) == (None, None, 3)


def test_people_are_judged_as_a_models_answers_are() -> None:
    language = Language(None)
    people = score_agreement(language, RATINGS, Judge.LEXICAL, 100, 0.95)
    # A model that says what ben says is scored by the same judge against what the others say.
    answers = [AlignmentItem("boiling pot", "the boiling pot"), AlignmentItem("wet floor", "wet floor")]
    model = score_alignment(language, answers, Judge.LEXICAL, ["", ""], [], 0.95)
    ben = next(annotator for annotator in people.annotators if annotator.annotator == "ben")
    assert model.mean == 1
    # In the bath the others are one for the wet floor and one for a razor.
    assert ben.score == pytest.approx((1 + 1 / 2) / 2)
    assert people.fleiss_kappa is None
    assert people.krippendorff_alpha == score_agreement(language, RATINGS, Judge.LEXICAL, 100, 0.5).krippendorff_alpha


def test_a_ceiling_that_cannot_be_judged_is_refused() -> None:
    language = Language(None)
    with pytest.raises(InvalidArgument, match="judge"):
        score_agreement(language, RATINGS, Judge.MODEL, 100, 0.95)
    with pytest.raises(FailedPrecondition):
        score_agreement(language, RATINGS, Judge.SEMANTIC, 100, 0.95)
    with pytest.raises(InvalidArgument, match="different pairs of categories"):
        score_agreement(language, RATINGS, Judge.LEXICAL, 2, 0.95)
    wordless = [Rating("hall", "ann", "?!"), Rating("hall", "ben", "a door")]
    with pytest.raises(InvalidArgument, match="can't take as an element") as raised:
        score_agreement(language, wordless, Judge.LEXICAL, 100, 0.95)
    assert raised.value.violations[0].field == "ratings"
