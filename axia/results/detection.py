"""Detections, watches, and the models and prompts behind a gateway."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from axia.results.base import FilePath, Result
from axia.results.scoring import AbstainReason, AlignmentScore, ResponseType, ResponseTypeScore, ValueAttribution
from axia.results.truth import GroundTruth

FinishReason = Literal["stop", "sentence", "length", "reasoning", "unknown"]
"""Why a completion ended: the model was done, its first sentence was complete, a length limit was reached, it was
reached while the model was still reasoning, or the server gave a reason that this client does not know."""


class ImageInfo(Result):
    """The image, as the server read it."""

    path: FilePath | None = None
    """The caller's path; None if the image was given as bytes or as a PIL image. In JSON, a name that is not UTF-8 is
    percent-encoded after ``file:``."""
    sha256: str
    """SHA-256 of the encoded bytes, 64 lower-case hexadecimal digits."""
    format: str
    """``JPEG``, ``PNG`` or ``WEBP``."""
    width: int
    """Width of the upright image in pixels, after EXIF orientation."""
    height: int
    """Height of the upright image in pixels, after EXIF orientation."""
    used_width: int = 0
    """Width in pixels of the image that the model's processor got: upright, and reduced if the image is larger than the
    server uses; 0 if not known."""
    used_height: int = 0
    """Height in pixels of that image."""


class Completion(Result):
    """One answer of the model."""

    index: int
    """Position in the request, from 0."""
    first_sentence: str
    """The first sentence of the answer, without surrounding white space. Empty if the model gave no answer."""
    text: str
    """Everything that was generated, without `reasoning`."""
    seed: int
    """Seed of this completion's random generator."""
    temperature: float
    """Softmax temperature, 0 to 2."""
    finish_reason: FinishReason
    """Why it ended."""
    tokens: int
    """Tokens generated."""
    omitted: str = ""
    """Text before the first sentence that is not part of the answer, such as a heading or "Sure!"."""
    reasoning: str = ""
    """The model's reasoning before its answer; never used as the answer."""


class Group(Result):
    """Completions with the same meaning."""

    representative: str
    """The most typical first sentence of the members, by meaning and spelling; if there are several, the first one."""
    members: tuple[int, ...]
    """Indexes of the members, ascending."""
    share: float
    """Share of all completions, above 0 and at most 1."""
    type: ResponseType | None = None
    """The kind of answer of the representative; None if it is not known."""


class Reading(Result):
    """What one completion says."""

    response_type: ResponseTypeScore | None = None
    """The kind of answer; None if it is not available."""
    values: ValueAttribution | None = None
    """The values that it concerns; None if they are not available."""
    alignment: AlignmentScore | None = None
    """Whether it names the ground truth; None without a ground truth, or if it could not be judged."""


class ModelInfo(Result):
    """A model, with its limits."""

    name: str
    """Name to use in requests."""
    revision: str
    """Hub commit or branch, or a hash of a local checkpoint; empty if unknown."""
    engine: str
    """The engine that runs it, such as ``vllm``."""
    engine_version: str
    """Version of the engine."""
    max_context_tokens: int
    """Context length: prompt and completion together."""
    max_samples: int
    """Maximum number of completions of one request."""
    max_tokens: int
    """Maximum number of tokens of one completion."""
    accepts_images: bool
    """Whether it supports images."""
    max_images: int = 0
    """Maximum number of images in one conversation. 0 means none, or one image if the server has an earlier release."""
    structured_answers: bool = False
    """Whether its answers can be restricted to a format, such as "yes" and "no". False for servers of an earlier
    release."""
    prompt_template: str = ""
    """A user message as the model reads it, with ``{prompt}`` in place of the text; empty if unknown."""
    trust_remote_code: bool = False
    """Whether code that comes with the checkpoint was allowed to run."""
    engine_settings: str = ""
    """Other settings that affect answers, as a JSON object: number format, quantization and other arguments of vLLM, or
    other fields for an endpoint. Empty for servers of an earlier release."""


class Prompt(Result):
    """A prompt as it is sent to a model."""

    id: str
    """Name in requests; empty for a caller's own text."""
    sha256: str
    """SHA-256 of the text in UTF-8, 64 lower-case hexadecimal digits."""
    text: str
    """The text."""
    role: str
    """``user`` or ``system``."""
    source: str
    """The source of the text, such as a paper; empty for a caller's own text."""


class Provenance(Result):
    """What produced a detection, with all that is needed to repeat the request."""

    model: ModelInfo
    """The model, its revision and its engine."""
    prompt: Prompt
    """The prompt."""
    system_prompt: Prompt | None
    """The system prompt; None if there was none."""
    seed: int
    """Seed of the request, from the caller or chosen by the gateway."""
    temperatures: tuple[float, ...]
    """Temperature of each completion, by index."""
    top_p: float
    """Nucleus sampling, above 0 and at most 1."""
    max_tokens: int
    """Maximum tokens of one completion."""
    full_text: bool
    """Whether completions ran to their end."""
    abstain_threshold: float
    """Agreement below which the detection abstains, 0 to 1."""
    image_sha256: str
    """SHA-256 of the encoded image, 64 lower-case hexadecimal digits."""
    axia_version: str
    """Version of axia that the gateway runs."""
    request_id: str
    """Id of the request, as in the logs of all services."""
    ground_truth: GroundTruth | None = None
    """The ground truth of the request; None if there was none, or if the gateway has an earlier release."""
    sentence_rule: str = ""
    """The rule for first sentences, with its version: ``answer/1`` or ``literal/1``. Empty if a server or gateway has
    an earlier release, whose rule was ``literal/0``, or if the deadline passed before the server reported it."""

    @field_validator("ground_truth", mode="before")
    @classmethod
    def _leave_out_unknown_fields(cls, value: object) -> object:
        # A slip of a caller's is refused there; a record of a later release is read here like all else of it.
        if not isinstance(value, Mapping):
            return value
        return {name: given for name, given in value.items() if name in GroundTruth.model_fields}


class Detection(Result):
    """A model's completions about one image, and their summary."""

    image: ImageInfo
    """The image."""
    model: str
    """Name of the model that answered."""
    completions: tuple[Completion, ...]
    """The completions that are done, by index."""
    groups: tuple[Group, ...]
    """Completions with the same meaning, the largest group first."""
    consensus: str | None
    """The element that the largest group names; None if the detection abstains."""
    agreement: float
    """Share of the completions that are in the largest group, 0 to 1."""
    entropy: float
    """Shannon entropy of the groups' shares, in bits, from 0 to log2 of the number of completions."""
    abstain: bool
    """Whether there is no consensus."""
    partial: bool
    """Whether completions are missing because of the deadline."""
    completions_requested: int
    """Number of completions that the request asked for."""
    completions_done: int
    """Number of completions that are done."""
    provenance: Provenance
    """What produced the answer."""
    timings_ms: dict[str, float]
    """Wall-clock time per stage, in milliseconds: ``total`` at the gateway; at the model's server ``decode`` of the
    image, ``queue`` (the longest wait of all completions), ``first_token`` (from admission on) and ``generation``
    (from the first token on). A stage that did not happen is 0."""
    abstain_reason: AbstainReason | None = None
    """Why there is no consensus; None if there is one, or if the gateway has an earlier release."""
    readings: tuple[Reading, ...] = ()
    """What each completion says, by index; empty if the scoring service is not available."""
    values: dict[str, float] = Field(default_factory=dict)
    """Mean weight of each of the ten values over the completions, 0 to 1; empty if the weights are not available."""
    alignment: float | None = None
    """Share of the completions that name the ground truth, 0 to 1; None without a ground truth, or if no completion
    could be judged."""
    degraded: bool = False
    """Whether a part is missing because a service did not answer."""
    missing: tuple[str, ...] = ()
    """The missing parts: ``grouping`` by meaning, ``response_types``, ``values``, ``alignment``."""


class FrameDetection(Result):
    """The detection for a frame of a watch."""

    frame_id: int
    """Number of the frame, from 0 in the order in which the frames were given."""
    detection: Detection
    """The answer."""


class FrameSuperseded(Result):
    """A newer frame replaced a frame before it was answered."""

    frame_id: int
    """Number of the frame."""
    by_frame_id: int
    """Number of the newer frame."""


class ItemFailure(Result):
    """Why one of many items could not be answered; the others continue."""

    code: str
    """Canonical status code, such as ``INVALID_ARGUMENT`` (google.rpc.Code)."""
    reason: str
    """The cause in UPPER_SNAKE_CASE, stable, for programs."""
    message: str
    """What is wrong and what to do."""


class FrameFailed(Result):
    """A frame of a watch could not be answered; the watch continues."""

    frame_id: int
    """Number of the frame."""
    error: ItemFailure
    """Why."""


WatchEvent = FrameDetection | FrameSuperseded | FrameFailed
"""The result for a frame."""


class ModelStatus(Result):
    """A model behind a gateway."""

    model: ModelInfo | None
    """The model; None if its server has not answered yet."""
    available: bool
    """Whether one of its servers answers at the moment."""
    address: str
    """Addresses of its servers, host and port, separated by commas."""


class ModelList(Result):
    """The models behind a gateway, and its prompts."""

    models: tuple[ModelStatus, ...]
    """The models, the default model first."""
    prompts: tuple[Prompt, ...]
    """The prompts that a request can use by id."""
