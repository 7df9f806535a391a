"""Maps between the contract (axia.v1) and what the statistics take and give."""

from collections.abc import Sequence

from axia.v1 import scoring_pb2
from services.scoring.protocols.misalignment import MisalignmentClass, Misalignments, MisalignmentShare
from services.scoring.protocols.persona import PersonaOutcome, PersonaScore, PlatformChange
from services.scoring.protocols.preference import PreferenceAnswer, PreferenceProfile, PreferenceScore, PreferenceSpread
from services.scoring.protocols.preference_pairs import PreferenceComparison, PreferenceDifference
from services.scoring.reading.isq.score import IsqItems, IsqScore
from services.scoring.reading.labels import Verdict
from services.scoring.statistics.agreement import Agreement, Rating
from services.scoring.statistics.cochran import CochranTest, PermutationMethod
from services.scoring.statistics.intervals import Interval
from services.scoring.statistics.model_comparison import ModelComparison, ModelPair, ModelScores
from services.serving.errors import InvalidArgument
from services.serving.limits import check_text

_MISALIGNMENTS = {
    None: scoring_pb2.MISALIGNMENT_CLASS_UNSPECIFIED,
    MisalignmentClass.DESCRIPTIVE_DEFAULT: scoring_pb2.MISALIGNMENT_CLASS_DESCRIPTIVE_DEFAULT,
    MisalignmentClass.FALSE_NONE: scoring_pb2.MISALIGNMENT_CLASS_FALSE_NONE,
    MisalignmentClass.COMPLEMENTARY: scoring_pb2.MISALIGNMENT_CLASS_COMPLEMENTARY,
    MisalignmentClass.HALLUCINATED_CONCERN: scoring_pb2.MISALIGNMENT_CLASS_HALLUCINATED_CONCERN,
    MisalignmentClass.OTHER: scoring_pb2.MISALIGNMENT_CLASS_OTHER,
    MisalignmentClass.REFUSAL: scoring_pb2.MISALIGNMENT_CLASS_REFUSAL,
}
VERDICTS = {
    Verdict.YES: scoring_pb2.PREFERENCE_VERDICT_YES,
    Verdict.NO: scoring_pb2.PREFERENCE_VERDICT_NO,
    Verdict.REFUSAL: scoring_pb2.PREFERENCE_VERDICT_REFUSAL,
    Verdict.UNPARSED: scoring_pb2.PREFERENCE_VERDICT_UNPARSED,
}
_PREFERENCE_INTERVALS = ("interval", "interval_of_all", "keyword_interval")
_PERMUTATION_METHODS = {
    None: scoring_pb2.PERMUTATION_METHOD_UNSPECIFIED,
    PermutationMethod.EXACT: scoring_pb2.PERMUTATION_METHOD_EXACT,
    PermutationMethod.RANDOM: scoring_pb2.PERMUTATION_METHOD_RANDOM,
}


def from_interval(interval: Interval | None) -> scoring_pb2.Interval | None:
    """Writes an interval, or nothing."""
    return scoring_pb2.Interval(**interval._asdict()) if interval else None


def to_preference_answers(
    field: str, answers: Sequence[scoring_pb2.PreferenceAnswer], max_chars: int
) -> list[PreferenceAnswer]:
    """Reads preference answers."""
    read = [PreferenceAnswer(answer.value, answer.answer, answer.keyword, answer.item_id) for answer in answers]
    for index, answer in enumerate(read):
        if len(answer.answer) > max_chars:
            check_text(f"{field}[{index}].answer", answer.answer, max_chars)
    return read


def from_profile(profile: PreferenceProfile) -> scoring_pb2.ScorePreferenceResponse:
    """Writes preference by value."""
    return scoring_pb2.ScorePreferenceResponse(
        scores=[_from_preference(score) for score in profile.scores],
        verdicts=[VERDICTS[verdict] for verdict in profile.verdicts],
        mean=profile.mean,
        standard_deviation=profile.standard_deviation,
        population_standard_deviation=profile.population_standard_deviation,
        range=profile.range,
        ranking=profile.ranking,
        groups=[scoring_pb2.PreferenceGroup(**vars(group)) for group in profile.groups],
        refusal_rate=profile.refusal_rate,
        unparsed_rate=profile.unparsed_rate,
        of_all=_from_spread(profile.of_all),
    )


def _from_spread(spread: PreferenceSpread) -> scoring_pb2.PreferenceSpread:
    groups = [scoring_pb2.PreferenceGroup(**vars(group)) for group in spread.groups]
    return scoring_pb2.PreferenceSpread(**{**vars(spread), "groups": groups})


def _from_preference(score: PreferenceScore) -> scoring_pb2.PreferenceScore:
    intervals = {name: from_interval(getattr(score, name)) for name in _PREFERENCE_INTERVALS}
    return scoring_pb2.PreferenceScore(**{**vars(score), **intervals})


def from_comparison(comparison: PreferenceComparison) -> scoring_pb2.ComparePreferencesResponse:
    """Writes differences of two sets of preference answers."""
    return scoring_pb2.ComparePreferencesResponse(
        differences=[_from_difference(difference) for difference in comparison.differences],
        overall=_from_difference(comparison.overall) if comparison.overall else None,
        mean_absolute_difference=comparison.mean_absolute_difference,
        unpaired_first=comparison.unpaired_first,
        unpaired_second=comparison.unpaired_second,
        undecided_pairs=comparison.undecided_pairs,
    )


def _from_difference(difference: PreferenceDifference) -> scoring_pb2.PreferenceDifference:
    return scoring_pb2.PreferenceDifference(**{**vars(difference), "interval": from_interval(difference.interval)})


def to_isq_answer(field: str, answer: scoring_pb2.IsqAnswer, max_chars: int) -> IsqItems | str:
    """Reads a questionnaire: its numbers, of which all six are needed, or the text that has them."""
    kind = answer.WhichOneof("answer")
    if kind == "items":
        items = answer.items
        # Written out because this is the most frequent call. A missing number reads as 0, so each is looked at.
        read = IsqItems(
            items.visual_attractiveness,
            items.curiosity_stimulation,
            items.emotional_engagement,
            items.value_expectation,
            items.preference_alignment,
            items.action_desire,
        )
        for name, value in zip(IsqItems._fields, read, strict=True):
            if not value and not items.HasField(name):  # type: ignore[arg-type] # the names are those of the items
                raise InvalidArgument(f"{field}.items.{name}", "is missing; all six items are needed", reason="MISSING")
        return read
    if kind == "text":
        check_text(f"{field}.text", answer.text, max_chars)
        return answer.text
    raise InvalidArgument(field, "must have items or a text", reason="MISSING")


def from_isq(score: IsqScore) -> scoring_pb2.IsqScore:
    """Writes the score of a questionnaire."""
    return scoring_pb2.IsqScore(
        percent=score.percent,
        match=score.match,
        items=_from_isq_items(score.items),
        missing=score.missing,
        error=score.error,
    )


def _from_isq_items(items: IsqItems) -> scoring_pb2.IsqItems:
    attractiveness, curiosity, engagement, expectation, alignment, desire = items
    return scoring_pb2.IsqItems(
        visual_attractiveness=attractiveness,
        curiosity_stimulation=curiosity,
        emotional_engagement=engagement,
        value_expectation=expectation,
        preference_alignment=alignment,
        action_desire=desire,
    )


def to_outcomes(outcomes: Sequence[scoring_pb2.PersonaOutcome], max_chars: int) -> list[PersonaOutcome]:
    """Reads what personas' feeds showed."""
    for index, outcome in enumerate(outcomes):
        check_text(f"outcomes[{index}].persona", outcome.persona, max_chars)
        check_text(f"outcomes[{index}].platform", outcome.platform, max_chars)
    return [PersonaOutcome(outcome.persona, outcome.platform, outcome.before, outcome.after) for outcome in outcomes]


def from_persona(score: PersonaScore) -> scoring_pb2.ScorePersonaResponse:
    """Writes how feeds moved."""
    return scoring_pb2.ScorePersonaResponse(
        changes=[scoring_pb2.PersonaChange(**change._asdict()) for change in score.changes],
        platforms=[_from_platform(platform) for platform in score.platforms],
    )


def _from_platform(platform: PlatformChange) -> scoring_pb2.PlatformChange:
    intervals = {name: from_interval(getattr(platform, name)) for name in ("interval", "points_interval")}
    return scoring_pb2.PlatformChange(**{**vars(platform), **intervals})


def from_misalignments(found: Misalignments) -> scoring_pb2.ClassifyMisalignmentsResponse:
    """Writes how answers miss."""
    return scoring_pb2.ClassifyMisalignmentsResponse(
        classes=[_MISALIGNMENTS[kind] for kind in found.classes],
        shares=list(map(_from_misalignment_share, found.shares)),
        aligned=found.aligned,
        misaligned=found.misaligned,
        shares_without_refusals=list(map(_from_misalignment_share, found.shares_without_refusals)),
    )


def _from_misalignment_share(share: MisalignmentShare) -> scoring_pb2.MisalignmentShare:
    return scoring_pb2.MisalignmentShare(
        misalignment_class=_MISALIGNMENTS[share.misalignment_class],
        count=share.count,
        share=share.share,
        interval=from_interval(share.interval),
        pictures=share.pictures,
    )


def to_models(models: Sequence[scoring_pb2.ModelScores], max_chars: int) -> list[ModelScores]:
    """Reads the scores of models."""
    for index, model in enumerate(models):
        check_text(f"models[{index}].model", model.model, max_chars)
    return [ModelScores(model.model, list(model.picture_ids), list(model.scores)) for model in models]


def from_models(comparison: ModelComparison) -> scoring_pb2.CompareModelsResponse:
    """Writes how models compare."""
    return scoring_pb2.CompareModelsResponse(
        models=[
            scoring_pb2.ModelAlignment(**{**vars(model), "interval": from_interval(model.interval)})
            for model in comparison.models
        ],
        majority=_from_cochran(comparison.majority),
        completion_replica=_from_cochran(comparison.completion_replica),
        pairs=[_from_pair(pair) for pair in comparison.pairs],
        pictures=comparison.pictures,
    )


def _from_cochran(test: CochranTest | None) -> scoring_pb2.CochranTest | None:
    if test is None:
        return None
    return scoring_pb2.CochranTest(
        **{**vars(test), "permutation_method": _PERMUTATION_METHODS[test.permutation_method]}
    )


def _from_pair(pair: ModelPair) -> scoring_pb2.ModelPair:
    return scoring_pb2.ModelPair(**{**vars(pair), "interval": from_interval(pair.interval)})


def to_ratings(ratings: Sequence[scoring_pb2.Rating], max_chars: int) -> list[Rating]:
    """Reads the ratings of annotators."""
    read = [Rating(rating.unit, rating.annotator, rating.category) for rating in ratings]
    for index, rating in enumerate(read):
        for name, text in zip(Rating._fields, rating, strict=True):
            if len(text) > max_chars:
                check_text(f"ratings[{index}].{name}", text, max_chars)
    return read


def from_agreement(agreement: Agreement, sentence_model: str) -> scoring_pb2.MeasureAgreementResponse:
    """Writes how far annotators agree, and which reader model judged."""
    return scoring_pb2.MeasureAgreementResponse(
        fleiss_kappa=agreement.fleiss_kappa,
        krippendorff_alpha=agreement.krippendorff_alpha,
        pairs=[
            scoring_pb2.AnnotatorPair(
                **{**vars(pair), "cohen_kappa_interval": from_interval(pair.cohen_kappa_interval)}
            )
            for pair in agreement.pairs
        ],
        annotators=[scoring_pb2.AnnotatorScore(**vars(annotator)) for annotator in agreement.annotators],
        ceiling=agreement.ceiling,
        ceiling_interval=from_interval(agreement.ceiling_interval),
        units=agreement.units,
        pairable_units=agreement.pairable_units,
        fleiss_kappa_interval=from_interval(agreement.fleiss_kappa_interval),
        krippendorff_alpha_interval=from_interval(agreement.krippendorff_alpha_interval),
        sentence_model=sentence_model,
        unjudged=agreement.unjudged,
    )
