"""Which judge is recommended, and what is said against it."""

import random
from collections.abc import Sequence

import pytest

from axia.inputs import AlignmentItem
from axia.judges.asking import JudgeName, Verdicts
from axia.judges.card import Estimate, as_markdown, make_card
from axia.judges.choice import Candidate, Choice, choose
from axia.judges.figures import measure, signed
from axia.judges.labels import Row, Rows
from axia.results.scoring import Interval

TRUTH = [place % 2 for place in range(300)]


def labels(people: Sequence[int] = TRUTH, model: str = "") -> Rows:
    item = AlignmentItem(answer="a pot", element="pot")
    return Rows([Row(item, label, "", model, {}) for label in people], "0" * 64)


def judge(name: str, error: float, people: Sequence[int] = TRUTH, missing: float = 0) -> Candidate:
    """A model that errs in a share of the answers."""
    draw = random.Random(name)
    scores = [None if draw.random() < missing else label ^ (draw.random() < error) for label in people]
    verdicts = Verdicts(JudgeName(judge="model", model=name), "r1", "", scores, 0, 0, "")
    return Candidate(verdicts, measure(scores, people, None))


def told(choice: Choice) -> str:
    return "\n".join(choice.warnings)


def test_the_judge_with_the_highest_kappa_is_recommended() -> None:
    choice = choose([judge("poor", 0.3), judge("good", 0.03), judge("fair", 0.12)], labels())
    assert choice.best is not None
    assert choice.best.verdicts.name.model == "good"
    assert choice.warnings == ()


def test_two_judges_that_the_labels_cannot_tell_apart_are_named() -> None:
    choice = choose([judge("one", 0.1), judge("other", 0.11)], labels())
    assert "the choice between" in told(choice)
    assert "is not clear: their κ differ by" in told(choice)


def test_a_judge_below_the_level_is_recommended_with_a_warning() -> None:
    choice = choose([judge("poor", 0.3), judge("worse", 0.45)], labels())
    assert choice.best is not None
    assert choice.best.verdicts.name.model == "poor"
    assert "no judge reaches κ 0.6" in told(choice)


def test_a_judge_that_may_be_below_the_level_is_told() -> None:
    few = TRUTH[:60]
    scores = [label ^ (place % 7 == 0) for place, label in enumerate(few)]
    verdicts = Verdicts(JudgeName(judge="lexical"), "", "", scores, 0, 0, "")
    choice = choose([Candidate(verdicts, measure(scores, few, None))], labels(few))
    assert choice.best is not None
    assert choice.best.low < 0.6 < choice.best.kappa
    assert "κ may be below 0.6" in told(choice)


def test_a_judge_that_is_surely_good_goes_before_one_that_may_be() -> None:
    choice = choose([judge("sure", 0.1), judge("often silent", 0.0, missing=0.3)], labels())
    assert choice.best is not None
    assert choice.best.verdicts.name.model == "sure"
    assert "often silent can't be recommended: it has no verdict on" in told(choice)


def test_no_judge_is_recommended_where_kappa_is_not_defined() -> None:
    people = [1] * 60
    choice = choose([judge("any", 0.0, people)], labels(people))
    assert choice.best is None
    assert "all labels are the same" in told(choice)
    assert "no judge can be recommended" in told(choice)


def test_few_labels_and_a_model_that_judges_itself_are_told() -> None:
    few = TRUTH[:20]
    choice = choose([judge("llava", 0.05, few)], labels(few, model="llava"))
    assert "only 20 labels: intervals are not exact with fewer than 50" in told(choice)
    assert "llava judges 20 of its own answers, so it may be biased" in told(choice)


def test_a_card_in_markdown_breaks_out_of_no_cell() -> None:
    from pathlib import Path

    known, candidates = labels(), [judge("evil|`<b>\n# name", 0.1)]
    card = make_card(Path("a`b.jsonl"), known, candidates, choose(candidates, known), seed=0)
    text = as_markdown(card)
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert len(rows) == 3
    assert "evil\\|\\`&lt;b> # name" in rows[2]
    assert "`a'b.jsonl`" in text


@pytest.mark.parametrize(("value", "text"), [(-0.5, "−0.50"), (-0.001, "0.00"), (0.256, "0.26")])
def test_figures_have_a_minus_sign_that_is_no_dash(value: float, text: str) -> None:
    assert signed(value) == text
    interval = Interval(low=value, high=1, level=0.95, method="wilson")
    assert Estimate(value=1, interval=interval).text() == f"1.00 [{text}, 1.00]"
    assert Estimate(value=1, interval=interval).lines() == f"1.00\n{text}–1.00"
    assert Estimate(value=None, interval=None).text() == Estimate(value=None, interval=None).lines() == "—"
