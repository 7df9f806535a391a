"""Results are named as the contract names its messages, so that the converter finds every field."""

from typing import Any

import pytest

from axia import inputs, results
from axia.results.base import Result
from axia.v1 import gateway_pb2, retrieval_pb2, scoring_pb2

MESSAGES: dict[str, tuple[Any, set[str]]] = {
    "Reading": (gateway_pb2.CompletionReading, set()),
    "ItemFailure": (gateway_pb2.ItemError, set()),
    "AnswerSampling": (gateway_pb2.AnswerSampling, set()),
    "PreferencePlan": (gateway_pb2.PreferencePlan, set()),
    "PreferenceJudgement": (gateway_pb2.PreferenceJudgement, set()),
    "PreferenceSummary": (gateway_pb2.PreferenceSummary, set()),
    "Interest": (gateway_pb2.JudgeInterestResponse, set()),
    "InterestJudgement": (gateway_pb2.InterestJudgement, set()),
    "Indexed": (retrieval_pb2.IndexedImage, {"path"}),
    "Rejected": (retrieval_pb2.RejectedImage, {"path"}),
    "ImageMetadata": (retrieval_pb2.ImageMetadata, set()),
    "SearchResult": (retrieval_pb2.SearchByTextResponse, set()),
    "SearchHit": (retrieval_pb2.SearchHit, set()),
    "SearchProvenance": (retrieval_pb2.SearchProvenance, set()),
    "Encoder": (retrieval_pb2.Encoder, set()),
    "KeywordHits": (retrieval_pb2.KeywordHits, set()),
    "ValueSearchResult": (retrieval_pb2.SearchByValueResponse, set()),
    "Keyword": (retrieval_pb2.Keyword, set()),
    "LexiconValue": (retrieval_pb2.LexiconValue, set()),
    "ValueList": (retrieval_pb2.ListValuesResponse, set()),
    "Deleted": (retrieval_pb2.DeleteImagesResponse, set()),
    "ListedImage": (retrieval_pb2.ListedImage, set()),
    "Updated": (retrieval_pb2.UpdateImagesResponse, set()),
    "Purged": (retrieval_pb2.PurgeImagesResponse, set()),
    "IndexStats": (retrieval_pb2.GetStatsResponse, set()),
    "Reindex": (retrieval_pb2.Reindex, set()),
    "CompletionsReading": (scoring_pb2.ReadCompletionsResponse, set()),
    "Grouping": (scoring_pb2.SummarizeCompletionsResponse, set()),
    "Alignment": (scoring_pb2.ScoreAlignmentResponse, set()),
    "PreferenceScores": (scoring_pb2.ScorePreferenceResponse, set()),
    "PreferenceComparison": (scoring_pb2.ComparePreferencesResponse, set()),
    "ModelComparison": (scoring_pb2.CompareModelsResponse, set()),
    "Agreement": (scoring_pb2.MeasureAgreementResponse, set()),
    "PersonaScores": (scoring_pb2.ScorePersonaResponse, set()),
    "Misalignments": (scoring_pb2.ClassifyMisalignmentsResponse, set()),
    "PlannedPicture": (gateway_pb2.PlannedPicture, set()),
}
SAME = (
    "Interval", "ResponseTypeScore", "ValueAttribution", "AlignmentScore", "JudgeAgreement", "PreferenceScore",
    "PreferenceGroup", "PreferenceDifference", "IsqItems", "IsqScore", "ModelAlignment", "CochranTest", "ModelPair",
    "AnnotatorPair", "AnnotatorScore", "MissingPart", "PersonaChange", "PlatformChange", "MisalignmentShare",
)  # fmt: skip
INPUTS = {
    inputs.GroundTruth: gateway_pb2.GroundTruth,
    inputs.SearchFilter: retrieval_pb2.SearchFilter,
    inputs.AlignmentItem: scoring_pb2.AlignmentItem,
    inputs.PreferenceAnswer: scoring_pb2.PreferenceAnswer,
    inputs.ModelScores: scoring_pb2.ModelScores,
    inputs.Rating: scoring_pb2.Rating,
    inputs.PersonaOutcome: scoring_pb2.PersonaOutcome,
    inputs.MisalignmentItem: scoring_pb2.MisalignmentItem,
}


@pytest.mark.parametrize("name", [*MESSAGES, *SAME])
def test_results_have_the_fields_of_their_message(name: str) -> None:
    message, further = MESSAGES.get(name) or (getattr(scoring_pb2, name), set())
    result: type[Result] = getattr(results, name)
    assert set(result.model_fields) - further == {field.name for field in message.DESCRIPTOR.fields}


@pytest.mark.parametrize("given", INPUTS)
def test_inputs_have_the_fields_of_their_message(given: Any) -> None:
    assert set(given.model_fields) == {field.name for field in INPUTS[given].DESCRIPTOR.fields}


def test_all_results_are_frozen_and_documented() -> None:
    for name in results.__all__:
        member = getattr(results, name)
        if isinstance(member, type) and issubclass(member, Result):
            assert member.model_config.get("frozen")
            assert member.__doc__


@pytest.mark.parametrize(
    ("images", "indexed", "building", "told"),
    [
        (0, 0, False, "no images are indexed"),
        (1, 0, False, "1 image; none is in the HNSW index, so all are searched exactly"),
        (573, 0, False, "573 images; none is in the HNSW index, so all are searched exactly"),
        (5200, 4000, False, "5,200 images; 4,000 in the HNSW index, 1,200 searched exactly"),
        (520, 400, True, "520 images; 400 in the HNSW index, 120 searched exactly; an index is being built"),
        (4000, 4000, False, "4,000 images, all in the HNSW index"),
    ],
)  # fmt: skip
def test_statistics_of_an_index_are_told_in_words(images: int, indexed: int, building: bool, told: str) -> None:
    stats = results.IndexStats(
        images=images, indexed_images=indexed, platforms={}, encoder=None, store="qdrant-edge", building=building
    )
    assert str(stats) == told
