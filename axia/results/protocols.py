"""Whole protocols: a model's preference by value, a persona's interest (arXiv 2411.11479), and a model as judge."""

from typing import Literal

from axia.results.base import Result
from axia.results.detection import ItemFailure, ModelInfo, Prompt
from axia.results.retrieval import SearchProvenance
from axia.results.scoring import IsqScore, PreferenceScores, Verdict


class AnswerSampling(Result):
    """How the answers of a protocol are sampled, with all defaults filled in."""

    temperature: float
    """Temperature of every answer, 0 to 2."""
    top_p: float
    """Nucleus sampling, above 0 and at most 1."""
    max_tokens: int
    """Maximum tokens of one answer."""


class PlannedPicture(Result):
    """An image that an assessment asks about."""

    value: str
    """The value."""
    keyword: str
    """The keyword that found the image."""
    image_id: str
    """The image's id, for `get_images`."""
    score: float
    """Cosine similarity of keyword and image."""
    source: str = ""
    """Where the image comes from in its owner's words."""


class PreferencePlan(Result):
    """What an assessment will ask."""

    pictures: int
    """Images in all; one that stands for several keywords counts for each."""
    sha256: str
    """Hash over all that will be asked; 64 lower-case hexadecimal digits."""
    prompts: tuple[Prompt, ...]
    """The questions, in their order."""
    model: ModelInfo
    """The model."""
    seed: int
    """The seed, given or drawn."""
    search: SearchProvenance | None
    """What found the images."""
    short_keywords: tuple[str, ...]
    """Keywords for which fewer than k images were found."""
    request_id: str
    """Id of the request, as in the logs."""
    axia_version: str
    """Version of axia that the gateway runs."""
    sampling: AnswerSampling | None = None
    """How answers are sampled; None from a gateway of an earlier release."""
    structured: bool = False
    """Whether the answer to the first question is held to "yes" and "no"."""
    describer: ModelInfo | None = None
    """The model that describes the images; None where `model` does, or where nothing is described."""
    given_descriptions: int = 0
    """Images whose descriptions were given."""
    describer_sampling: AnswerSampling | None = None
    """How the describer's answers are sampled; None where `describer` is."""
    planned: tuple[PlannedPicture, ...] = ()
    """The images in the order in which they are asked about; `resume` continues with these. Empty from a gateway of an
    earlier release."""


class PreferenceJudgement(Result):
    """A model's answers about one image."""

    position: int
    """Position in the plan, from 0."""
    value: str
    """The value."""
    keyword: str
    """The keyword that found the image."""
    image_id: str
    """The image's id, for `get_images`."""
    score: float
    """Cosine similarity of keyword and image."""
    replies: tuple[str, ...]
    """The model's replies, in the order of the plan's prompts."""
    verdict: Verdict | None
    """What the first reply says; None where the image could not be judged."""
    error: ItemFailure | None
    """Why the image could not be judged; None otherwise."""
    description: str
    """With the modality ``description``: what was asked about."""
    reasoning: tuple[str, ...] = ()
    """What the model thought before each reply; empty where it gave no reasoning at all."""
    source: str = ""
    """Where the image comes from, as `ImageMetadata.source` had it when it was indexed: with `axia index` the path of
    its file. Empty if nothing was said, or from a gateway of an earlier release."""


class PreferenceSummary(Result):
    """The end of an assessment."""

    scores: PreferenceScores | None
    """Scores by value; None where the scoring service does not answer or no image could be judged."""
    failed: int
    """Images that could not be judged; they count in no score."""
    degraded: bool
    """Whether a service that takes part did not answer, so that something is missing."""
    missing: tuple[str, ...]
    """What is missing then: ``scores``."""


PreferenceEvent = PreferencePlan | PreferenceJudgement | PreferenceSummary
"""One event of an assessment: the plan, a judgement for each image in the order of the plan, the summary."""


class Preference(Result):
    """An assessment: whole, or as far as it came. Give the latter as `resume` to continue."""

    plan: PreferencePlan
    """What is asked."""
    judgements: tuple[PreferenceJudgement, ...]
    """Positions 0 to n - 1, in order."""
    summary: PreferenceSummary | None = None
    """The scores; None if the assessment was interrupted."""


class InterestJudgement(Result):
    """A persona's interest in one image."""

    image_sha256: str
    """SHA-256 of the image's bytes."""
    text: str
    """What the model said."""
    decision: Literal["stay", "swipe"] | None
    """What the persona does; None where no decision can be read."""
    verdict: Verdict | None
    """With the strategy ``simple``: what the answer says."""
    isq: IsqScore | None
    """With the strategy ``isq``: the items and S%."""
    error: ItemFailure | None
    """Why the image has no decision; None otherwise."""
    reasoning: str = ""
    """What the model thought before it answered; never read as an answer."""


class Interest(Result):
    """A persona's interest in images."""

    judgements: tuple[InterestJudgement, ...]
    """One for each image, in their order."""
    model: ModelInfo
    """The model."""
    prompt: Prompt
    """The question as it was sent."""
    seed: int
    """The seed, given or drawn."""
    stay_share: float | None
    """Share of images that the persona stays with, among those with a decision, 0 to 1; None without one."""
    undecided: int
    """Images without a decision."""
    request_id: str
    """Id of the request, as in the logs."""
    axia_version: str
    """Version of axia that the gateway runs."""
    sampling: AnswerSampling | None = None
    """How answers are sampled; None from a gateway of an earlier release."""
    structured: bool = False
    """Whether answers were held to a form."""


class JudgedAnswer(Result):
    """What a model said of one answer."""

    score: int | None
    """1 if it names the element, 0 if not; None if the model's answers say neither, or are a tie."""
    answers: tuple[str, ...]
    """What the model said, once for each time that it was asked."""
    error: ItemFailure | None
    """Why the model could not be asked; None otherwise."""


class JudgedAnswers(Result):
    """What a model said of answers."""

    judgements: tuple[JudgedAnswer, ...]
    """One for each item, in their order."""
    model: ModelInfo
    """The model that judged."""
    prompt: Prompt
    """The question as it was sent, with its placeholders."""
