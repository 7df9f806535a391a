"""The options of calls, as keyword arguments of either client."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from axia._pictures import Channels
from axia.inputs import GroundTruth, SearchFilter
from axia.results import Preference


class DetectOptions(TypedDict, total=False):
    """How to sample a detection; `axia.client.Client.detect` describes each."""

    n: int | None
    temperature: float | Sequence[float] | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    model: str | None
    prompt_id: str | None
    prompt_text: str | None
    system_prompt_id: str | None
    system_prompt_text: str | None
    full_text: bool
    abstain_threshold: float | None
    ground_truth: GroundTruth | None
    sentence_rule: Literal["answer", "literal"] | None
    channels: Channels


class SearchOptions(TypedDict, total=False):
    """Which images a search finds; `axia.client.Client.search_text` describes each."""

    k: int | None
    filter: SearchFilter | None
    score_threshold: float | None


class SamplingOptions(TypedDict, total=False):
    """How a protocol samples; `axia.client.Client.assess_preference` describes each."""

    model: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None


class PreferenceOptions(SamplingOptions, total=False):
    """What an assessment asks; `axia.client.Client.assess_preference` describes each."""

    values: Sequence[str]
    keywords: Sequence[str]
    k: int | None
    filter: SearchFilter | None
    score_threshold: float | None
    modality: Literal["picture", "description"]
    traits: Sequence[str]
    confidence_level: float | None
    structured: bool
    describer: str | None
    descriptions: Mapping[str, str] | None
    resume: Preference | None


class InterestOptions(SamplingOptions, total=False):
    """How a persona judges; `axia.client.Client.judge_interest` describes each."""

    image_ids: Sequence[str]
    strategy: Literal["simple", "isq"]
    threshold: float | None
    structured: bool
    channels: Channels
