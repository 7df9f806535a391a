"""Builds requests to the scoring service, for the sync and the async client alike."""

from collections.abc import Sequence

from axia import _requests
from axia.errors import InvalidRequest
from axia.inputs import (
    AlignmentItem,
    GroundTruth,
    IsqItems,
    Judge,
    MisalignmentItem,
    ModelScores,
    PersonaOutcome,
    PreferenceAnswer,
    Rating,
)
from axia.results.scoring import Question
from axia.v1 import scoring_pb2


def classify(sentences: Sequence[str]) -> scoring_pb2.ClassifyResponsesRequest:
    """The request of ClassifyResponses."""
    fields = {"sentences": _requests.texts("sentences", sentences)}
    return _requests.build(scoring_pb2.ClassifyResponsesRequest, fields)


def attribute_values(sentences: Sequence[str]) -> scoring_pb2.AttributeValuesRequest:
    """The request of AttributeValues."""
    fields = {"sentences": _requests.texts("sentences", sentences)}
    return _requests.build(scoring_pb2.AttributeValuesRequest, fields)


def summarize(sentences: Sequence[str], abstain_threshold: float | None) -> scoring_pb2.SummarizeCompletionsRequest:
    """The request of SummarizeCompletions."""
    fields = {"sentences": _requests.texts("sentences", sentences), "abstain_threshold": abstain_threshold}
    return _requests.build(scoring_pb2.SummarizeCompletionsRequest, fields)


def read_completions(
    sentences: Sequence[str],
    abstain_threshold: float | None,
    ground_truth: GroundTruth | None,
    model_answers: Sequence[str],
) -> scoring_pb2.ReadCompletionsRequest:
    """The request of ReadCompletions."""
    fields = {"sentences": _requests.texts("sentences", sentences), "abstain_threshold": abstain_threshold}
    request = _requests.build(scoring_pb2.ReadCompletionsRequest, fields)
    if ground_truth is not None:
        if ground_truth.judge_model:
            raise InvalidRequest.of(
                "ground_truth.judge_model",
                "is not used here, because this call asks no model; remove it and give model_answers",
            )
        truth = {
            "element": ground_truth.element,
            "accept": ground_truth.accept,
            "judge": f"JUDGE_{ground_truth.judge.upper()}",
            "model_answers": _requests.texts("model_answers", model_answers),
        }
        request.ground_truth.CopyFrom(_requests.build(scoring_pb2.AnnotatedElement, truth))
    elif model_answers:
        raise InvalidRequest.of("model_answers", "need a ground_truth: give ground_truth too")
    return request


def alignment(
    items: Sequence[AlignmentItem],
    judge: Judge,
    model_answers: Sequence[str],
    human_labels: Sequence[int],
    confidence_level: float | None,
) -> scoring_pb2.ScoreAlignmentRequest:
    """The request of ScoreAlignment."""
    fields = {
        "items": list(items),
        "judge": judge_name(judge),
        "model_answers": _requests.texts("model_answers", model_answers),
        "human_labels": list(human_labels),
        "confidence_level": confidence_level,
    }
    return _requests.build(scoring_pb2.ScoreAlignmentRequest, fields)


def verdicts(question: Question, answers: Sequence[str]) -> scoring_pb2.ReadVerdictsRequest:
    """The request of ReadVerdicts."""
    name = f"QUESTION_{question.upper()}"
    if name not in scoring_pb2.Question.keys():  # noqa: SIM118 - an enum's wrapper is no mapping
        raise InvalidRequest.of("question", "must be like, interest or judge")
    fields = {"question": name, "answers": _requests.texts("answers", answers)}
    return _requests.build(scoring_pb2.ReadVerdictsRequest, fields)


def preference(
    answers: Sequence[PreferenceAnswer], confidence_level: float | None, resamples: int | None, seed: int | None
) -> scoring_pb2.ScorePreferenceRequest:
    """The request of ScorePreference."""
    fields = {
        "answers": list(answers), "confidence_level": confidence_level, "resamples": resamples, "seed": seed,
    }  # fmt: skip
    return _requests.build(scoring_pb2.ScorePreferenceRequest, fields)


def compare_preferences(
    first: Sequence[PreferenceAnswer], second: Sequence[PreferenceAnswer], confidence_level: float | None
) -> scoring_pb2.ComparePreferencesRequest:
    """The request of ComparePreferences."""
    fields = {"first": list(first), "second": list(second), "confidence_level": confidence_level}
    return _requests.build(scoring_pb2.ComparePreferencesRequest, fields)


def isq(answers: Sequence[IsqItems | str], threshold: float | None) -> scoring_pb2.ScoreIsqRequest:
    """The request of ScoreIsq."""
    request = _requests.build(scoring_pb2.ScoreIsqRequest, {"threshold": threshold})
    for answer in answers:
        fields = {"text": answer} if isinstance(answer, str) else {"items": answer}
        request.answers.append(_requests.build(scoring_pb2.IsqAnswer, fields))
    return request


def persona(
    outcomes: Sequence[PersonaOutcome], confidence_level: float | None, resamples: int | None, seed: int | None
) -> scoring_pb2.ScorePersonaRequest:
    """The request of ScorePersona."""
    fields = {
        "outcomes": list(outcomes), "confidence_level": confidence_level, "resamples": resamples, "seed": seed,
    }  # fmt: skip
    return _requests.build(scoring_pb2.ScorePersonaRequest, fields)


def misalignments(
    items: Sequence[MisalignmentItem], confidence_level: float | None
) -> scoring_pb2.ClassifyMisalignmentsRequest:
    """The request of ClassifyMisalignments."""
    request = _requests.build(scoring_pb2.ClassifyMisalignmentsRequest, {"confidence_level": confidence_level})
    for item in items:
        fields = dict(item)
        for name in ("answer_type", "element_type"):
            fields[name] = None if fields[name] is None else f"RESPONSE_TYPE_{fields[name].upper()}"
        request.items.append(_requests.build(scoring_pb2.MisalignmentItem, fields))
    return request


def compare_models(
    models: Sequence[ModelScores],
    confidence_level: float | None,
    permutations: int | None,
    seed: int | None,
    target_power: float | None,
    target_difference: float | None,
) -> scoring_pb2.CompareModelsRequest:
    """The request of CompareModels."""
    fields = {
        "models": list(models),
        "confidence_level": confidence_level,
        "permutations": permutations,
        "seed": seed,
        "target_power": target_power,
        "target_difference": target_difference,
    }
    return _requests.build(scoring_pb2.CompareModelsRequest, fields)


def agreement(
    ratings: Sequence[Rating], confidence_level: float | None, judge: Judge | None
) -> scoring_pb2.MeasureAgreementRequest:
    """The request of MeasureAgreement."""
    fields = {
        "ratings": list(ratings),
        "confidence_level": confidence_level,
        "judge": None if judge is None else judge_name(judge),
    }
    return _requests.build(scoring_pb2.MeasureAgreementRequest, fields)


def judge_name(judge: Judge) -> str:
    """A judge as the contract names it."""
    name = f"JUDGE_{judge.upper()}"
    if name not in scoring_pb2.Judge.keys():  # noqa: SIM118 - an enum's wrapper is no mapping
        raise InvalidRequest.of("judge", "must be lexical, semantic or model")
    return name
