"""Scorers: the scoring service behind the gateway reads answers and judges them, for every provider alike."""

from functools import cache
from typing import Any, Literal, cast

from inspect_ai.scorer import (
    Metric,
    MetricProtocol,
    SampleScore,
    Score,
    Scorer,
    Target,
    Value,
    ci_wilson,
    mean,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState

from axia.aio import AsyncClient
from axia.errors import AxiaError
from axia.evals.tasks.asking import COMPLETIONS, DESCRIPTION, PRODUCED, REPLIES
from axia.inputs import AlignmentItem, GroundTruth, Judge
from axia.results import CompletionsReading
from axia.sentence.first_sentence import SentenceRule, find_first_sentence

Rule = Literal["answer", "literal"]
_RULES = {"answer": SentenceRule.ANSWER, "literal": SentenceRule.LITERAL}
_FEWEST_CLUSTERS = 2


@cache
def scoring_client() -> AsyncClient:
    """The client of the gateway at AXIA_ADDRESS, one for all scorers."""
    return AsyncClient()


@metric
def wilson() -> Metric:
    """Wilson's interval clustered by picture; NaN for fewer than two pictures, as while a run begins."""
    whole = cast("MetricProtocol", ci_wilson(cluster="picture"))

    def interval(scores: list[SampleScore]) -> Value:
        pictures = {(score.sample_metadata or {}).get("picture") for score in scores}
        if len(pictures) < _FEWEST_CLUSTERS:
            return {"lower": float("nan"), "upper": float("nan")}
        return whole(scores)

    return interval


def first_sentence(text: str, rule: Rule) -> str:
    """The sentence that counts."""
    return find_first_sentence(text, _RULES[rule]).sentence


def _truth(metadata: dict[str, Any], judge: Judge) -> GroundTruth:
    return GroundTruth(element=metadata["element"], accept=tuple(metadata["accept"]), judge=judge)


def _need_alignment(reading: CompletionsReading) -> None:
    """A run without its judge must fail, and not look like one in which nothing is aligned."""
    for missing in reading.missing:
        if missing.part in ("alignment", "grouping"):
            raise AxiaError(f"the scoring service can't judge: {missing.message}", reason=missing.reason)


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def alignment(judge: Judge = "semantic", judge_model: str = "", sentence_rule: Rule = "answer") -> Scorer:
    """1 if the first sentence names what annotators named, else 0; unscored where the judge can't say."""

    async def score(state: TaskState, target: Target) -> Score:
        sentence = first_sentence(state.store.get(REPLIES, [""])[0], sentence_rule)
        client, by_model = scoring_client(), judge == "model"
        truth = None if by_model else _truth(state.metadata, judge)
        reading = await client.scoring.read_completions([sentence], ground_truth=truth)
        _need_alignment(reading)
        response = reading.response_types[0] if reading.response_types else None
        values = reading.values[0].values if reading.values else {}
        about: dict[str, Any] = {
            "sentence": sentence,
            "response_type": response.type if response else None,
            "language": response.language if response else "",
            "values": {name: round(weight, 4) for name, weight in values.items() if weight > 0},
            "judge": judge,
        }
        if by_model:
            item = AlignmentItem(
                answer=sentence, element=state.metadata["element"], accept=tuple(state.metadata["accept"])
            )
            judged = (await client.judge_alignment([item], model=judge_model or None)).judgements[0]
            if judged.error is not None:
                raise AxiaError(f"the model that judges could not be asked: {judged.error.message}")
            return _scored(judged.score, sentence, "; ".join(judged.answers), about)
        assert reading.alignment is not None  # noqa: S101 - `_need_alignment` has seen to it
        alignment_score = reading.alignment.scores[0]
        about["sentence_model"] = reading.alignment.sentence_model
        return _scored(alignment_score.score, sentence, alignment_score.evidence, about)

    return score


def _scored(value: int | None, answer: str, explanation: str, about: dict[str, Any]) -> Score:
    if value is None:
        return Score.unscored(reason="unparsed", answer=answer, explanation=explanation, metadata=about)
    return Score(value=value, answer=answer, explanation=explanation, metadata=about)


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def alignment_by_group(groups: tuple[str, ...], judge: Judge = "semantic", sentence_rule: Rule = "answer") -> Scorer:
    """Alignment with what each group of annotators named; the score's value is that of all annotators."""

    async def score(state: TaskState, target: Target) -> Score:
        sentence = first_sentence(state.store.get(REPLIES, [""])[0], sentence_rule)
        client = scoring_client()
        named = {"": state.metadata, **{group: state.metadata["truths"].get(group) for group in groups}}
        by_group: dict[str, int | None] = {}
        for group, truth in named.items():
            if truth is None:
                continue  # the group's annotators disagree, or saw another part of the pictures
            item = AlignmentItem(answer=sentence, element=truth["element"], accept=tuple(truth["accept"]))
            by_group[group] = (await client.scoring.score_alignment([item], judge=judge)).scores[0].score
        return _scored(by_group[""], sentence, "", {"sentence": sentence, "by_group": by_group, "judge": judge})

    return score


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def verdict(question: Literal["like", "interest"] = "like") -> Scorer:
    """1 for yes, 0 for no; unscored for a refusal and for what can't be read."""

    async def score(state: TaskState, target: Target) -> Score:
        replies = state.store.get(REPLIES, [""])
        turn = state.metadata.get("scored_turn", 0)
        reply = replies[turn] if turn < len(replies) else ""  # the conversation ended with an empty reply
        read = (await scoring_client().scoring.read_verdicts(question, [reply]))[0]
        about: dict[str, Any] = {"verdict": read.verdict, "language": read.language, "replies": replies}
        if description := state.store.get(DESCRIPTION):
            about["description"] = description
        if read.verdict in ("yes", "no"):
            return Score(value=int(read.verdict == "yes"), answer=reply, metadata=about)
        return Score.unscored(reason=read.verdict, answer=reply, metadata=about)

    return score


async def read_decision(
    reply: str, strategy: Literal["simple", "isq"], threshold: float
) -> tuple[bool | None, dict[str, Any]]:
    """Whether an answer as a persona stays, None where that can't be read; and what was read.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    scoring = scoring_client().scoring
    if strategy == "simple":
        read = (await scoring.read_verdicts("interest", [reply]))[0]
        return {"yes": True, "no": False}.get(read.verdict), {"verdict": read.verdict, "language": read.language}
    if not reply.strip():
        return None, {"error": "the model said nothing"}
    isq = (await scoring.score_isq([reply], threshold=threshold))[0]
    items = isq.items.model_dump() if isq.items else {}
    return isq.match, {"percent": isq.percent, "items": items, "missing": list(isq.missing), "error": isq.error}


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def persona_agreement(strategy: Literal["simple", "isq"], threshold: float) -> Scorer:
    """1 if the model stays or swipes as the persona's truth says, else 0; unscored without a decision."""

    async def score(state: TaskState, target: Target) -> Score:
        reply = state.store.get(REPLIES, [""])[0]
        stays, about = await read_decision(reply, strategy, threshold)
        about["stays"] = stays
        if stays is None:
            return Score.unscored(reason=about.get("verdict") or "unparsed", answer=reply, metadata=about)
        return Score(value=int(stays == state.metadata["stays"]), answer=reply, metadata=about)

    return score


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def consensus(judge: Judge = "semantic", sentence_rule: Rule = "answer") -> Scorer:
    """1 if what the largest group of completions says names the element, else 0, with agreement and entropy.

    Whether the model would abstain is left to a threshold on the agreement, which `axia calibrate` finds.
    """

    async def score(state: TaskState, target: Target) -> Score:
        completions: list[str] = state.store.get(COMPLETIONS, [])
        sentences = [first_sentence(text, sentence_rule) for text in completions]
        reading = await scoring_client().scoring.read_completions(
            sentences, abstain_threshold=0, ground_truth=_truth(state.metadata, judge)
        )
        _need_alignment(reading)
        assert reading.grouping is not None and reading.alignment is not None  # noqa: S101, PT018 - seen to above
        grouping = reading.grouping
        about: dict[str, Any] = {
            "sentences": sentences, "agreement": grouping.agreement, "entropy": grouping.entropy,
            "consensus": grouping.consensus, "abstain_reason": grouping.abstain_reason, "judge": judge,
            "produced": state.store.get(PRODUCED),
        }  # fmt: skip
        largest = grouping.groups[0]
        representative = sentences.index(largest.representative) if largest.representative in sentences else None
        index = largest.members[0] if representative is None else representative
        alignment_score = reading.alignment.scores[index]
        return _scored(alignment_score.score, largest.representative, alignment_score.evidence, about)

    return score
