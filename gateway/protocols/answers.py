"""How the protocols sample their answers, and the traits of personas that they play: defaults and bounds."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from axia.prompts import PromptText, sha256_of
from gateway.protocols.ports.model import AnswerFormat, ModelInfo, Question, Sample, Turn
from gateway.protocols.sampling import NO_DEFAULTS, ModelDefaults, ModelLimits, completion_seed
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED, MAX_TEMPERATURE, check_between, check_text, check_top_p

DEFAULT_TEMPERATURE = 0.0
"""The most probable answer, so that asking again gives the same."""
QUESTIONNAIRE_TOKENS = 256
"""Tokens that six items with a reason for each take; at 100 an answer ends before its last items."""
MAX_TRAITS = 64
MAX_TRAIT_CHARS = 1024
CALL_FIELDS = frozenset({"model", "traits", "temperature", "top_p", "max_tokens", "seed", "structured", "describer"})
"""Fields that concern every picture of a call; an error about one of them ends it."""


_RANGES = {
    **dict.fromkeys(
        ("visual_attractiveness", "curiosity_stimulation", "emotional_engagement", "value_expectation"), 10
    ),
    **dict.fromkeys(("preference_alignment", "action_desire"), 1),
}
"""The items of the questionnaire with the highest number of each; the lowest is 0."""
YES_OR_NO = AnswerFormat(choices=("yes", "no"), field="structured")
"""What a structured answer to a plain question is held to."""
QUESTIONNAIRE = AnswerFormat(
    json_schema=json.dumps(
        {
            "type": "object",
            "properties": {item: {"type": "number", "minimum": 0, "maximum": most} for item, most in _RANGES.items()},
            "required": list(_RANGES),
            "additionalProperties": False,
        }
    ),
    field="structured",
)
"""What a structured answer to the six items is held to."""


@dataclass(frozen=True)
class AnswerRequest:
    """How a caller wants answers sampled. None stands for a field that was not set."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


UNSET = AnswerRequest()
"""A request that leaves everything to the defaults."""


@dataclass(frozen=True)
class AnswerSampling:
    """How answers are sampled: everything set, everything checked."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    def question(
        self,
        turns: Sequence[Turn],
        image: bytes | None,
        position: int,
        image_sha256: str,
        answer_format: AnswerFormat | None = None,
    ) -> Question:
        """The question at a position of a conversation about a picture, with its own seed."""
        seed = completion_seed(self.seed, position, image_sha256)
        return Question(
            tuple(turns),
            image,
            (Sample(seed, self.temperature),),
            self.top_p,
            self.max_tokens,
            answer_format=answer_format,
        )


def plan_answers(
    request: AnswerRequest, limits: ModelLimits, defaults: ModelDefaults = NO_DEFAULTS, least_tokens: int = 0
) -> AnswerSampling:
    """Fills in the model's defaults, or those of the protocols, and checks every field.

    Temperature, top_p and length of these answers are axia's own choice, so that a model's defaults come before it;
    the questions, and one answer to each, are the study's and no matter of defaults.

    Args:
        request: What the caller says.
        limits: The model's.
        defaults: Those of the routing table.
        least_tokens: What an answer of this protocol needs: a default is no lower, unless the model gives no more.

    Raises:
        InvalidArgument: Naming the field that is out of bounds.
    """
    default = DEFAULT_TEMPERATURE if defaults.temperature is None else defaults.temperature
    temperature = default if request.temperature is None else request.temperature
    top_p = defaults.effective_top_p() if request.top_p is None else request.top_p
    usual = min(max(defaults.tokens(limits), least_tokens), limits.max_tokens)
    max_tokens = usual if request.max_tokens is None else request.max_tokens
    seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    check_between("temperature", temperature, 0, MAX_TEMPERATURE)
    check_top_p("top_p", top_p)
    check_between("max_tokens", max_tokens, 1, limits.max_tokens)
    check_between("seed", seed, 0, MAX_SEED)
    return AnswerSampling(temperature, top_p, max_tokens, seed)


def check_structured(model: ModelInfo, field: str) -> None:
    """Refuses to hold a model to a form whose engine can't do that.

    Raises:
        InvalidArgument: About the field.
    """
    if not model.structured_answers:
        raise InvalidArgument(
            field,
            f"the engine of {model.name!r} can't restrict answers to a format, or its inference server has an earlier "
            "release; leave it out, or use another model",
            reason="ANSWER_FORMAT_UNSUPPORTED",
        )


def check_traits(traits: Sequence[str], fewest: int) -> None:
    """Refuses too few or too many traits, and empty or overlong ones."""
    if not fewest <= len(traits) <= MAX_TRAITS:
        raise InvalidArgument(
            "traits", f"must be {fewest} to {MAX_TRAITS} sentences, but are {len(traits):,}", reason="OUT_OF_RANGE"
        )
    for index, trait in enumerate(traits):
        check_text(f"traits[{index}]", trait, MAX_TRAIT_CHARS)


def with_traits(prompt: PromptText, traits: Sequence[str], max_chars: int) -> PromptText:
    """A prompt with a persona's traits filled in, as it is sent.

    Raises:
        InvalidArgument: About `traits`, if the text becomes too long to send.
    """
    text = prompt.text.replace("{traits}", " ".join(trait.strip() for trait in traits))
    if len(text) > max_chars:
        raise InvalidArgument(
            "traits",
            f"the prompt with the traits has {len(text):,} characters, but at most {max_chars:,} are allowed",
            reason="TEXT_TOO_LONG",
        )
    return prompt.model_copy(update={"text": text, "sha256": sha256_of(text)})
