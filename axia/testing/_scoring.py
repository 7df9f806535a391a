"""ScoringService of the fake: plain counts, without statistics beyond the Wilson interval."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sized
from statistics import fmean, pstdev, stdev
from typing import NoReturn

import grpc
from google.protobuf.message import Message

from axia.judges.figures import share_interval
from axia.lexicon import VALUES
from axia.testing import _scoring_figures
from axia.testing._answers import read_verdict, summarize
from axia.testing._calls import Calls, abort
from axia.v1 import gateway_pb2, scoring_pb2, scoring_pb2_grpc

_ITEMS = tuple(field.name for field in scoring_pb2.IsqItems.DESCRIPTOR.fields)
_HIGHEST = dict(zip(_ITEMS, (10.0, 10.0, 10.0, 10.0, 1.0, 1.0), strict=True))
_DECIDED = (scoring_pb2.PREFERENCE_VERDICT_YES, scoring_pb2.PREFERENCE_VERDICT_NO)
_REAL = "let this test call a real gateway with the scoring service, such as one that `axia up` starts"
"""What to do about a call that the fake has not."""
READER = "fake-reader@1"
"""Name and revision of what compares meanings."""


class FakeScoring(scoring_pb2_grpc.ScoringServiceServicer):
    """What follows from counting and from comparing texts; the other calls say that they need the real service."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ClassifyResponses(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ClassifyResponsesRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ClassifyResponsesResponse:
        """ "none" or descriptive."""
        self._calls.begin("ClassifyResponses", request, context)
        return scoring_pb2.ClassifyResponsesResponse(scores=[_kind(sentence) for sentence in request.sentences])

    def AttributeValues(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.AttributeValuesRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.AttributeValuesResponse:
        """Fails, as a server without a reader model does."""
        self._calls.begin("AttributeValues", request, context)
        message = f"values need a reader model, and the fake gateway has none: {_REAL}"
        abort(context, grpc.StatusCode.FAILED_PRECONDITION, message, "READER_MISSING")

    def SummarizeCompletions(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.SummarizeCompletionsRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.SummarizeCompletionsResponse:
        """Groups of equal sentences."""
        self._calls.begin("SummarizeCompletions", request, context)
        _refuse_none(context, "sentences", request.sentences)
        response = scoring_pb2.SummarizeCompletionsResponse()
        threshold = request.abstain_threshold if request.HasField("abstain_threshold") else 0.5
        summarize(response, request.sentences, threshold)
        return response

    def ReadCompletions(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ReadCompletionsRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ReadCompletionsResponse:
        """Groups of equal sentences, kinds of answers and alignment; values are missing."""
        self._calls.begin("ReadCompletions", request, context)
        _refuse_none(context, "sentences", request.sentences)
        response = scoring_pb2.ReadCompletionsResponse(
            response_types=scoring_pb2.ClassifyResponsesResponse(
                scores=[_kind(sentence) for sentence in request.sentences]
            ),
            missing=[
                scoring_pb2.MissingPart(
                    part="values", reason="READER_MISSING", message="the fake gateway has no reader model"
                )
            ],
        )
        threshold = request.abstain_threshold if request.HasField("abstain_threshold") else 0.5
        summarize(response.grouping, request.sentences, threshold)
        if request.HasField("ground_truth"):
            truth = request.ground_truth
            scores = [_alignment(sentence, truth.element, list(truth.accept)) for sentence in request.sentences]
            response.alignment.scores.extend(scores)
            response.alignment.mean = fmean(score.score for score in scores)
        return response

    def ScoreAlignment(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ScoreAlignmentRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ScoreAlignmentResponse:
        """Whether the answer has the element's words, or what a model said of it."""
        self._calls.begin("ScoreAlignment", request, context)
        if request.judge == scoring_pb2.JUDGE_MODEL:
            scores = [_said(answer) for answer in request.model_answers]
        else:
            scores = [_alignment(item.answer, item.element, list(item.accept)) for item in request.items]
        known = [score.score for score in scores if score.HasField("score")]
        by_meaning = request.judge in {scoring_pb2.JUDGE_SEMANTIC, scoring_pb2.JUDGE_UNSPECIFIED}
        return scoring_pb2.ScoreAlignmentResponse(
            scores=scores,
            mean=fmean(known) if known else None,
            unparsed=len(scores) - len(known),
            sentence_model=READER if by_meaning else "",
        )

    def ReadVerdicts(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ReadVerdictsRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ReadVerdictsResponse:
        """Yes, no or a refusal by how the answer begins."""
        self._calls.begin("ReadVerdicts", request, context)
        verdicts = [scoring_pb2.ReadVerdict(verdict=read_verdict(answer), confidence=1.0) for answer in request.answers]
        return scoring_pb2.ReadVerdictsResponse(verdicts=verdicts)

    def ScorePreference(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ScorePreferenceRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ScorePreferenceResponse:
        """Counts yes and no."""
        self._calls.begin("ScorePreference", request, context)
        return self.preference(request)

    def ScoreIsq(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ScoreIsqRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ScoreIsqResponse:
        """S% of items and texts."""
        self._calls.begin("ScoreIsq", request, context)
        threshold = request.threshold if request.HasField("threshold") else 60.0
        scores = [
            self.isq(answer.text, threshold) if answer.HasField("text") else _isq(answer.items, threshold)
            for answer in request.answers
        ]
        return scoring_pb2.ScoreIsqResponse(scores=scores)

    def ScorePersona(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ScorePersonaRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ScorePersonaResponse:
        """I and I_avg, without intervals."""
        self._calls.begin("ScorePersona", request, context)
        _refuse_none(context, "outcomes", request.outcomes)
        return _scoring_figures.persona(request.outcomes)

    def ClassifyMisalignments(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ClassifyMisalignmentsRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ClassifyMisalignmentsResponse:
        """Classes by the types that were given, or else by whether a text is "none"."""
        self._calls.begin("ClassifyMisalignments", request, context)
        _refuse_none(context, "items", request.items)
        types = [
            (item.answer_type or _kind(item.answer).type, item.element_type or _kind(item.element).type)
            for item in request.items
        ]
        level = request.confidence_level if request.HasField("confidence_level") else 0.95
        return _scoring_figures.misalignments(request.items, types, level)

    def ComparePreferences(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.ComparePreferencesRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.ComparePreferencesResponse:
        """Fails: its tests and intervals are the real service's."""
        self._refuse("ComparePreferences", request, context)

    def CompareModels(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.CompareModelsRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.CompareModelsResponse:
        """Fails likewise."""
        self._refuse("CompareModels", request, context)

    def MeasureAgreement(  # noqa: N802 - named by the contract
        self, request: scoring_pb2.MeasureAgreementRequest, context: grpc.ServicerContext
    ) -> scoring_pb2.MeasureAgreementResponse:
        """Fails likewise."""
        self._refuse("MeasureAgreement", request, context)

    def _refuse(self, method: str, request: Message, context: grpc.ServicerContext) -> NoReturn:
        self._calls.begin(method, request, context)
        message = f"{method} needs statistics that the fake gateway doesn't have: {_REAL}"
        abort(context, grpc.StatusCode.UNIMPLEMENTED, message, "NOT_IN_FAKE")

    def reading(
        self, sentence: str, request: gateway_pb2.DetectValuesRequest, judge_said: str = ""
    ) -> gateway_pb2.CompletionReading:
        """What one completion says, and whether it names the truth: by what a judge model said, or by its words."""
        reading = gateway_pb2.CompletionReading(response_type=_kind(sentence))
        if request.HasField("ground_truth"):
            truth = request.ground_truth
            alignment = _said(judge_said) if judge_said else _alignment(sentence, truth.element, list(truth.accept))
            reading.alignment.CopyFrom(alignment)
        return reading

    def isq(self, text: str, threshold: float) -> scoring_pb2.IsqScore:
        """Reads answers such as "visual attractiveness: 8"."""
        items = scoring_pb2.IsqItems()
        for name in _ITEMS:
            if found := re.search(name.replace("_", "[ _]") + r"\D*([0-9.]+)", text, re.I):
                number, most = float(found[1]), _HIGHEST[name]
                if number > most:
                    return scoring_pb2.IsqScore(error=f"{name} must be from 0 to {most:g}, and is {number:g}")
                setattr(items, name, number)
        return _isq(items, threshold)

    def preference(self, request: scoring_pb2.ScorePreferenceRequest) -> scoring_pb2.ScorePreferenceResponse:
        """Percentages of yes."""
        verdicts = [read_verdict(answer.answer) for answer in request.answers]
        scores = []
        for value in VALUES:
            said = [v for v, answer in zip(verdicts, request.answers, strict=True) if answer.value == value]
            if not said:
                continue
            yes = said.count(scoring_pb2.PREFERENCE_VERDICT_YES)
            no = said.count(scoring_pb2.PREFERENCE_VERDICT_NO)
            refusals = said.count(scoring_pb2.PREFERENCE_VERDICT_REFUSAL)
            unparsed = len(said) - yes - no - refusals
            score = scoring_pb2.PreferenceScore(
                value=value, answers=len(said), yes=yes, no=no, refusals=refusals, unparsed=unparsed,
                percentage_of_all=100 * yes / len(said), refusal_rate=refusals / len(said),
                unparsed_rate=unparsed / len(said),
            )  # fmt: skip
            level = request.confidence_level if request.HasField("confidence_level") else 0.95
            by_keyword = Counter(
                (answer.keyword, verdict)
                for verdict, answer in zip(verdicts, request.answers, strict=True)
                if answer.value == value
            )
            if yes + no:
                score.percentage = 100 * yes / (yes + no)
                _fill_interval(score.interval, by_keyword, _DECIDED, level)
                score.keywords = len({keyword for keyword, verdict in by_keyword if keyword and verdict in _DECIDED})
            _fill_interval(score.interval_of_all, by_keyword, scoring_pb2.PreferenceVerdict.values(), level)
            scores.append(score)
        known = [score for score in scores if score.HasField("percentage")]
        for score in known:
            score.rank = 1 + sum(other.percentage > score.percentage for other in known)
        for score in scores:
            score.rank_of_all = 1 + sum(other.percentage_of_all > score.percentage_of_all for other in scores)
        of_all = [score.percentage_of_all for score in scores]
        percentages = [score.percentage for score in known]
        return scoring_pb2.ScorePreferenceResponse(
            scores=scores,
            verdicts=verdicts,
            mean=fmean(percentages) if known else None,
            standard_deviation=stdev(percentages) if len(known) > 1 else None,
            population_standard_deviation=pstdev(percentages) if known else None,
            range=max(percentages) - min(percentages) if known else None,
            ranking=[score.value for score in sorted(known, key=lambda score: -score.percentage)],
            refusal_rate=verdicts.count(scoring_pb2.PREFERENCE_VERDICT_REFUSAL) / len(verdicts) if verdicts else 0.0,
            unparsed_rate=verdicts.count(scoring_pb2.PREFERENCE_VERDICT_UNPARSED) / len(verdicts) if verdicts else 0.0,
            of_all=scoring_pb2.PreferenceSpread(
                mean=fmean(of_all),
                standard_deviation=stdev(of_all) if len(of_all) > 1 else None,
                range=max(of_all) - min(of_all),
                ranking=[score.value for score in sorted(scores, key=lambda score: -score.percentage_of_all)],
            )
            if of_all
            else None,
        )


def _refuse_none(context: grpc.ServicerContext, field: str, given: Sized) -> None:
    if not given:
        code = grpc.StatusCode.INVALID_ARGUMENT
        abort(context, code, f"{field}: must not be empty", "EMPTY", field=field)


def _kind(sentence: str) -> scoring_pb2.ResponseTypeScore:
    none = sentence.strip(" .").casefold() == "none"
    kind = scoring_pb2.RESPONSE_TYPE_NONE if none else scoring_pb2.RESPONSE_TYPE_DESCRIPTIVE
    return scoring_pb2.ResponseTypeScore(
        type=kind, confidence=1.0, probabilities=[float(kind == number) for number in range(1, 5)]
    )


def _alignment(answer: str, element: str, accept: list[str]) -> scoring_pb2.AlignmentScore:
    matched = next((phrase for phrase in (element, *accept) if phrase.casefold() in answer.casefold()), "")
    score = int(bool(matched))
    return scoring_pb2.AlignmentScore(score=score, strength=score, evidence=matched, matched=matched or element)


def _said(answer: str) -> scoring_pb2.AlignmentScore:
    yes, no = scoring_pb2.PREFERENCE_VERDICT_YES, scoring_pb2.PREFERENCE_VERDICT_NO
    score = {yes: 1, no: 0}.get(read_verdict(answer))
    return scoring_pb2.AlignmentScore(score=score, strength=score or 0, evidence=answer)


def _isq(items: scoring_pb2.IsqItems, threshold: float) -> scoring_pb2.IsqScore:
    missing = [name for name in _ITEMS if not items.HasField(name)]  # type: ignore[arg-type]  # names of its fields
    if missing:
        return scoring_pb2.IsqScore(items=items, missing=missing)
    tens = sum(getattr(items, name) for name in _ITEMS[:4])
    percent = (tens + 10 * items.preference_alignment + 10 * items.action_desire) / 60 * 100
    return scoring_pb2.IsqScore(percent=percent, match=percent > threshold, items=items)


def _fill_interval(
    interval: scoring_pb2.Interval,
    by_keyword: Mapping[tuple[str, scoring_pb2.PreferenceVerdict.ValueType], int],
    divisor: Collection[scoring_pb2.PreferenceVerdict.ValueType],
    level: float,
) -> None:
    """Sets Wilson's interval of the share of yes among the verdicts of the divisor, clustered by keyword."""
    clusters: dict[str, tuple[int, int]] = {}
    for (keyword, verdict), count in by_keyword.items():
        yes, answers = clusters.get(keyword, (0, 0))
        is_yes = verdict == scoring_pb2.PREFERENCE_VERDICT_YES
        clusters[keyword] = (yes + count * is_yes, answers + count * (verdict in divisor))
    if found := share_interval(list(clusters.values()), clustered=any(clusters), unit="keyword", level=level):
        interval.low, interval.high = 100 * found.low, 100 * found.high
        interval.level, interval.method = found.level, found.method
