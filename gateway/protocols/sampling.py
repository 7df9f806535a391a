"""From what a caller asks to what is sampled: counts, temperatures, seeds, prompts, all within bounds."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from axia.prompts import DEFAULT_DETECTION_PROMPT, PromptText
from services.serving.errors import InvalidArgument, NotFound
from services.serving.limits import MAX_SEED, MAX_TEMPERATURE, check_between, check_text, check_top_p

DEFAULT_N = 3
"""Completions of a picture in the values-detector study (arXiv 2501.03957)."""
DEFAULT_TEMPERATURE = 1.0
"""Temperature of the study."""
DEFAULT_MAX_TOKENS = 100
"""The study cuts completions at 100 tokens."""
DEFAULT_TOP_P = 1.0
DEFAULT_ABSTAIN_THRESHOLD = 0.5
MAX_PHRASINGS = 64
"""Other phrasings of an element that a request may give."""
MAX_VOTES = 25
"""Times that a model as judge may be asked about one answer."""


SentenceRule = Literal["answer", "literal"]
"""Which sentence of a completion is its first: that of the answer itself, or that of the text."""


class GroundTruth(NamedTuple):
    """What annotators named in a picture, and who judges whether an answer names it."""

    element: str
    accept: tuple[str, ...] = ()
    judge: Literal["lexical", "semantic", "model"] = "semantic"
    judge_model: str = ""
    judge_samples: int = 1
    """Of a model as judge: how often it is asked about each answer."""
    judge_structured: bool = False
    """Of a model as judge: whether it is held to "yes" and "no"."""


@dataclass(frozen=True)
class DetectionRequest:
    """What a caller asks. None stands for a field that was not set."""

    image: bytes
    n: int | None = None
    temperature: float | None = None
    temperatures: Sequence[float] = ()
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    model: str = ""
    prompt_id: str | None = None
    prompt_text: str | None = None
    system_prompt_id: str | None = None
    system_prompt_text: str | None = None
    full_text: bool = False
    abstain_threshold: float | None = None
    ground_truth: GroundTruth | None = None
    sentence_rule: SentenceRule = "answer"


@dataclass(frozen=True)
class ModelLimits:
    """Bounds of the model that will answer."""

    max_samples: int
    max_tokens: int
    concurrency: int | None = None
    """Calls that it takes at a time; None where only its servers' queues bound them."""

    def concurrency_limit(self, most: int) -> int:
        """How many of its own calls a protocol may have in flight, so that they don't crowd each other out."""
        return most if self.concurrency is None else min(most, self.concurrency)


@dataclass(frozen=True)
class ModelDefaults:
    """How a model is sampled where a request doesn't say; None leaves it to the protocol's own way."""

    n: int | None = None
    """Of detections alone: the other protocols ask for one answer a question."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    prompt_id: str | None = None
    """Of detections alone: the other protocols ask the study's questions."""
    abstain_threshold: float | None = None
    """Of detections alone: below this agreement they abstain."""
    calibrated_coverage: float | None = None
    """Share of the labelled pictures that this threshold answered at its calibration, 0 to 1."""
    calibrated_images: int | None = None
    """How many labelled pictures there were."""

    def tokens(self, limits: ModelLimits) -> int:
        """Tokens of one completion where a request doesn't say; never more than the model gives."""
        return min(self.max_tokens or DEFAULT_MAX_TOKENS, limits.max_tokens)

    def effective_top_p(self) -> float:
        """The top_p of a call whose request doesn't say."""
        return DEFAULT_TOP_P if self.top_p is None else self.top_p

    def threshold(self) -> float:
        """The agreement below which a detection abstains where a request doesn't say."""
        return DEFAULT_ABSTAIN_THRESHOLD if self.abstain_threshold is None else self.abstain_threshold


NO_DEFAULTS = ModelDefaults()
"""Of a model that the routing table says nothing about."""


@dataclass(frozen=True)
class SamplingPlan:
    """What is sampled: everything set, everything checked."""

    prompt: PromptText
    system_prompt: PromptText | None
    temperatures: tuple[float, ...]
    """One for each completion."""
    seed: int
    top_p: float
    max_tokens: int
    full_text: bool
    abstain_threshold: float
    sentence_rule: SentenceRule = "answer"

    def completion_seeds(self, image_sha256: str) -> list[int]:
        """The seed of each completion for a picture; see `completion_seed`."""
        return [completion_seed(self.seed, index, image_sha256) for index in range(len(self.temperatures))]


def completion_seed(request_seed: int, index: int, image_sha256: str) -> int:
    """The seed of one completion: the first 53 bits of SHA-256 of "request seed:index:picture's SHA-256".

    Hashing keeps neighbouring request seeds from sharing completions, as seed + index would.
    """
    digest = hashlib.sha256(f"{request_seed}:{index}:{image_sha256}".encode()).digest()
    return int.from_bytes(digest[:7], "big") >> 3


def plan_sampling(
    request: DetectionRequest,
    limits: ModelLimits,
    prompts: Mapping[str, PromptText],
    max_text_chars: int,
    defaults: ModelDefaults = NO_DEFAULTS,
) -> SamplingPlan:
    """Fills in defaults and checks every field.

    Raises:
        InvalidArgument: Naming the field that is out of bounds.
        NotFound: For a prompt id that is not known.
    """
    max_tokens = defaults.tokens(limits) if request.max_tokens is None else request.max_tokens
    top_p = defaults.effective_top_p() if request.top_p is None else request.top_p
    threshold = defaults.threshold() if request.abstain_threshold is None else request.abstain_threshold
    seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    temperatures = _temperatures(request, limits, defaults)
    check_top_p("top_p", top_p)
    check_between("max_tokens", max_tokens, 1, limits.max_tokens)
    check_between("seed", seed, 0, MAX_SEED)
    check_between("abstain_threshold", threshold, 0, 1)
    if request.ground_truth:
        _check_ground_truth(request.ground_truth, max_text_chars)
    prompt = _prompt("prompt", request.prompt_id, request.prompt_text, prompts, max_text_chars)
    return SamplingPlan(
        prompt=prompt or prompts[defaults.prompt_id or DEFAULT_DETECTION_PROMPT],
        system_prompt=_prompt(
            "system_prompt", request.system_prompt_id, request.system_prompt_text, prompts, max_text_chars
        ),
        temperatures=temperatures,
        seed=seed,
        top_p=top_p,
        max_tokens=max_tokens,
        full_text=request.full_text,
        abstain_threshold=threshold,
        sentence_rule=request.sentence_rule,
    )


def _temperatures(request: DetectionRequest, limits: ModelLimits, defaults: ModelDefaults) -> tuple[float, ...]:
    given = tuple(request.temperatures)
    n = request.n if request.n is not None else len(given) or min(defaults.n or DEFAULT_N, limits.max_samples)
    check_between("n", n, 1, limits.max_samples)
    if given and request.temperature is not None:
        raise InvalidArgument(
            "temperatures",
            "set temperature, for all completions, or temperatures, one for each; not both",
            reason="TEMPERATURE_TWICE",
        )
    if given and len(given) != n:
        raise InvalidArgument(
            "temperatures",
            f"has {len(given)} values for n = {n} completions; give one for each",
            reason="LENGTH_MISMATCH",
        )
    for index, value in enumerate(given):
        check_between(f"temperatures[{index}]", value, 0, MAX_TEMPERATURE)
    if given:
        return given
    default = DEFAULT_TEMPERATURE if defaults.temperature is None else defaults.temperature
    temperature = default if request.temperature is None else request.temperature
    check_between("temperature", temperature, 0, MAX_TEMPERATURE)
    return (temperature,) * n


def _check_ground_truth(truth: GroundTruth, max_text_chars: int) -> None:
    check_text("ground_truth.element", truth.element, max_text_chars)
    check_between("ground_truth.accept", len(truth.accept), 0, MAX_PHRASINGS)
    for index, phrasing in enumerate(truth.accept):
        check_text(f"ground_truth.accept[{index}]", phrasing, max_text_chars)
    check_between("ground_truth.judge_samples", truth.judge_samples, 1, MAX_VOTES)
    if truth.judge == "model":
        return
    for field, given in (
        ("judge_model", truth.judge_model),
        ("judge_samples", truth.judge_samples > 1),
        ("judge_structured", truth.judge_structured),
    ):
        if given:
            raise InvalidArgument(
                f"ground_truth.{field}",
                "is only used with JUDGE_MODEL; set judge to it, or leave this out",
                reason="JUDGE_NOT_A_MODEL",
            )


def _prompt(
    field: str, prompt_id: str | None, text: str | None, prompts: Mapping[str, PromptText], max_text_chars: int
) -> PromptText | None:
    role: Literal["system", "user"] = "system" if field == "system_prompt" else "user"
    if text is not None:
        check_text(f"{field}_text", text, max_text_chars)
        return PromptText.own(text, role)
    if prompt_id is None:
        return None
    found = prompts.get(prompt_id)
    if found is None or found.role != role:
        fitting = (prompt for prompt in prompts.values() if prompt.role == role and "{" not in prompt.text)
        usable = ", ".join(sorted(prompt.id for prompt in fitting))
        raise NotFound(
            f"{field}_id", f"there is no {role} prompt {prompt_id!r}; use one of {usable}", reason="PROMPT_UNKNOWN"
        )
    if "{" in found.text:
        raise InvalidArgument(
            f"{field}_id",
            f"prompt {prompt_id!r} has placeholders, so it can't be used in this call",
            reason="PROMPT_UNFIT",
        )
    return found
