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
    """The path as the caller gave it; None if the image was given as bytes or as a PIL image. In JSON, one whose name
    is not UTF-8 is percent-encoded after ``file:``."""
    sha256: str
    """SHA-256 of the encoded bytes, 64 lower-case hexadecimal digits."""
    format: str
    """``JPEG``, ``PNG`` or ``WEBP``."""
    width: int
    """Pixels of the upright image, after EXIF orientation."""
    height: int
    """Pixels of the upright image, after EXIF orientation."""
    used_width: int = 0
    """Pixels of what the model's processor got: upright, and reduced where the image has more than the server uses; 0
    if that isn't known."""
    used_height: int = 0
    """The same for the height."""


class Completion(Result):
    """One answer of the model."""

    index: int
    """Position in the request, from 0."""
    first_sentence: str
    """The part that counts, without white space around it. Empty if the model gave no answer."""
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
    """What comes before the first sentence in `text` and is no part of the answer, such as a heading or "Sure!"."""
    reasoning: str = ""
    """What the model thought before it answered; never read as an answer."""


class Group(Result):
    """Completions with the same meaning."""

    representative: str
    """The most usual first sentence of a member, by meaning and by spelling; of several the first."""
    members: tuple[int, ...]
    """Indexes of the members, ascending."""
    share: float
    """Share of all completions, above 0 and at most 1."""
    type: ResponseType | None = None
    """What kind of answer the representative is; None where it is not known."""


class Reading(Result):
    """What one completion says."""

    response_type: ResponseTypeScore | None = None
    """What kind of answer it is; None where that is missing."""
    values: ValueAttribution | None = None
    """The values that it concerns; None where they are missing."""
    alignment: AlignmentScore | None = None
    """Whether it names the ground truth; None without one or where it could not be judged."""


class ModelInfo(Result):
    """A model with the limits that its server sets."""

    name: str
    """Name to use in requests."""
    revision: str
    """Hub commit or branch, or a hash of a local checkpoint; empty if unknown."""
    engine: str
    """What runs it, such as ``vllm``."""
    engine_version: str
    """Version of the engine."""
    max_context_tokens: int
    """Context length: prompt and completion together."""
    max_samples: int
    """Completions that one request may ask for."""
    max_tokens: int
    """Tokens that one completion may have."""
    accepts_images: bool
    """Whether it takes an image."""
    max_images: int = 0
    """Images that one conversation may have; 0 for none, or by servers of an earlier release, which take one."""
    structured_answers: bool = False
    """Whether it can be held to a form of answer, such as "yes" and "no"; never by servers of an earlier release."""
    prompt_template: str = ""
    """A user's message as the model reads it, ``{prompt}`` in place of its text; empty if unknown."""
    trust_remote_code: bool = False
    """Whether code that comes with the checkpoint was allowed to run."""
    engine_settings: str = ""
    """What else decides answers, as a JSON object: number format, quantization and further arguments of vLLM, or
    further fields of an endpoint. Empty by servers of an earlier release."""


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
    """Where the text comes from; empty for a caller's own text."""


class Provenance(Result):
    """What produced a detection, enough to ask again."""

    model: ModelInfo
    """The model, its revision and its engine."""
    prompt: Prompt
    """What was asked."""
    system_prompt: Prompt | None
    """What the model was told before; None if nothing."""
    seed: int
    """Seed of the request, given or drawn."""
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
    """Id of the request, under which the logs of all services have it."""
    ground_truth: GroundTruth | None = None
    """What the completions were judged by; None if nothing was given, or by a gateway of an earlier release."""
    sentence_rule: str = ""
    """The rule that told the first sentences, with its version: ``answer/1`` or ``literal/1``. Empty where a server or
    gateway of an earlier release answered, whose rule was ``literal/0``, or where the deadline came before the
    model's server told it."""

    @field_validator("ground_truth", mode="before")
    @classmethod
    def _leave_out_unknown_fields(cls, value: object) -> object:
        # A slip of a caller's is refused there; a record of a later release is read here like all else of it.
        if not isinstance(value, Mapping):
            return value
        return {name: given for name, given in value.items() if name in GroundTruth.model_fields}


class Detection(Result):
    """What a model's completions about one image say together."""

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
    """Whether the deadline left completions undone."""
    completions_requested: int
    """Completions that were asked for."""
    completions_done: int
    """Completions that are done."""
    provenance: Provenance
    """What produced the answer."""
    timings_ms: dict[str, float]
    """Wall-clock time per stage, in milliseconds: ``total`` at the gateway; at the model's server ``decode`` of the
    image, ``queue`` (the longest wait of all completions), ``first_token`` (from admission on) and ``generation``
    (from the first token on). A stage that did not happen is 0."""
    abstain_reason: AbstainReason | None = None
    """Why there is no consensus; None where there is one, or by a gateway of an earlier release."""
    readings: tuple[Reading, ...] = ()
    """What each completion says, by index; empty where the scoring service is missing."""
    values: dict[str, float] = Field(default_factory=dict)
    """Mean weight of each of the ten values over the completions, 0 to 1; empty where nothing could weigh them."""
    alignment: float | None = None
    """Share of the completions that name the ground truth, 0 to 1; None without one or where none could be judged."""
    degraded: bool = False
    """Whether a service that takes part did not answer, so that something is missing."""
    missing: tuple[str, ...] = ()
    """What is missing then: ``grouping`` by meaning, ``response_types``, ``values``, ``alignment``."""


class FrameDetection(Result):
    """A frame of a watch was answered."""

    frame_id: int
    """Number of the frame, from 0 in the order in which the frames were given."""
    detection: Detection
    """The answer."""


class FrameSuperseded(Result):
    """A newer frame took a frame's place before it was answered."""

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
"""What became of a frame."""


class ModelStatus(Result):
    """A model behind a gateway."""

    model: ModelInfo | None
    """The model; None if its server has not answered yet."""
    available: bool
    """Whether its server answers now."""
    address: str
    """Address of its server, host and port."""


class ModelList(Result):
    """The models behind a gateway and the prompts that it knows."""

    models: tuple[ModelStatus, ...]
    """The default model first."""
    prompts: tuple[Prompt, ...]
    """The prompts that a request can name by id."""
