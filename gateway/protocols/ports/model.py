"""A model behind the gateway, without how it is reached."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from gateway.protocols.sampling import ModelDefaults, ModelLimits, SentenceRule


@dataclass(frozen=True)
class ModelInfo:
    """A model as its server describes it."""

    name: str
    revision: str
    engine: str
    engine_version: str
    max_context_tokens: int
    max_samples: int
    max_tokens: int
    accepts_images: bool
    max_images: int = 0
    """Pictures that one conversation may have; 0 for none, or by a server of an earlier release."""
    structured_answers: bool = False
    """Whether it can be held to an answer format; never by a server of an earlier release."""
    prompt_template: str = ""
    """A user's message as the model reads it, {prompt} in place of its text; empty if unknown."""
    trust_remote_code: bool = False
    """Whether code that comes with the checkpoint was allowed to run."""
    engine_settings: str = ""
    """What else decides answers, as a JSON object; empty by a server of an earlier release."""


class StageTimes(NamedTuple):
    """Time that a model's server spent in each stage, in milliseconds."""

    decode_ms: float = 0.0
    queue_ms: float = 0.0
    first_token_ms: float = 0.0
    generation_ms: float = 0.0


@dataclass(frozen=True)
class Started:
    """The model produced its first token; from here on nothing may be repeated silently."""


@dataclass(frozen=True)
class Completion:
    """One answer of a model."""

    index: int
    first_sentence: str
    text: str
    finish_reason: str
    """stop, sentence, length or reasoning."""
    tokens: int
    seed: int
    temperature: float
    omitted: str = ""
    """What comes before the first sentence and is no part of the answer."""
    reasoning: str = ""
    """What the model thought before it answered; never read as an answer."""


@dataclass(frozen=True)
class Finished:
    """All completions of a call ended."""

    model: ModelInfo
    times: StageTimes
    sentence_rule: str = ""
    """The rule that told the first sentences, with its version; empty by a server of an earlier release."""
    used_size: tuple[int, int] = (0, 0)
    """Width and height of the picture as the model's processor got it, in pixels; zeros without one."""
    top_p: float | None = None
    """Nucleus sampling as it was used, which is not as asked where an endpoint doesn't take it; None if not told."""


ModelEvent = Started | Completion | Finished


class Generated(NamedTuple):
    """All that came of a question."""

    completions: tuple[Completion, ...]
    """Those that were done in time, at least one, by index."""
    finished: Finished | None
    """None where time ran out first."""


class Turn(NamedTuple):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str
    field: str = ""
    """The caller's name of what the text comes from, for errors about it."""


class Sample(NamedTuple):
    """One completion to sample."""

    seed: int
    temperature: float


class AnswerFormat(NamedTuple):
    """The only answers that a model may give. One of the first two is set."""

    choices: tuple[str, ...] = ()
    """Texts to choose from."""
    json_schema: str = ""
    """A JSON Schema, as JSON."""
    field: str = ""
    """The caller's name of what asks for it, for errors about it."""


class CallSize(NamedTuple):
    """What is known of a call before it is answered that decides how long its model takes."""

    completions: int
    max_tokens: int
    """Of one completion."""
    images: int
    first_sentence_only: bool
    formatted: bool
    """Whether the model is held to an answer format."""

    @property
    def kind(self) -> tuple[int, int, int, bool, bool]:
        """Equal for calls that take about the same time: numbers count by their power of two."""
        return self._replace(
            completions=self.completions.bit_length(),
            max_tokens=self.max_tokens.bit_length(),
            images=self.images.bit_length(),
        )


@dataclass(frozen=True)
class Question:
    """What a model is asked: a conversation that ends with the user, and how to sample."""

    turns: tuple[Turn, ...]
    image: bytes | None
    """The encoded picture that the first user turn is about."""
    samples: tuple[Sample, ...]
    top_p: float
    max_tokens: int
    first_sentence_only: bool = False
    answer_format: AnswerFormat | None = None
    """None for any text; not together with `first_sentence_only`."""
    sentence_rule: SentenceRule = "answer"


class Backend(Protocol):
    """One model that can be asked."""

    @property
    def model(self) -> ModelInfo:
        """The model, as last described."""

    @property
    def limits(self) -> ModelLimits:
        """The bounds that requests are checked against."""

    @property
    def defaults(self) -> ModelDefaults:
        """How it is sampled where a request doesn't say."""

    @property
    def removed(self) -> bool:
        """Whether it is no longer offered, and only ends the calls that it has."""

    def check_queue(self, size: CallSize, timeout_s: float) -> None:
        """Refuses what `generate` would refuse at once, for too many calls wait. To be asked before work is done for a
        call, so that a refusal costs little and comes soon.

        Raises:
            ResourceExhausted: If a call of this size can't be answered in `timeout_s` seconds now.
        """

    def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        """Samples completions; closing the generator aborts them.

        Raises:
            DeadlineExceeded: After `timeout_s` seconds, or the model's own limit if that is less.
            ServiceError: As the model's server tells it, with the caller's names of fields.
        """

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        """Samples completions and waits for all, or for those that are done when time runs out.

        Raises:
            DeadlineExceeded: If not one was done after `timeout_s` seconds, or the model's own limit if that is less; a
                little later, for the answer has to arrive.
            ServiceError: As `generate` does.
        """


class Backends(Protocol):
    """The models behind the gateway."""

    async def find(self, model: str) -> Backend:
        """The backend of a model by name, or of the default model for an empty name."""
