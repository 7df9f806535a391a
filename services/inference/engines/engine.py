"""The interface between the inference service and its engines: `Engine`, and what goes in and out of one.

An engine prepares a conversation once, however many completions are sampled from it, and then streams each completion
as deltas of text. Closing a stream frees the engine at once.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, Protocol

from PIL import Image
from pydantic import JsonValue


class Role(Enum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Role
    text: str


class Picture(NamedTuple):
    """A decoded picture and its hash."""

    pixels: Image.Image
    """Upright, mode RGB."""
    sha256: str
    """SHA-256 of the bytes that it was decoded from."""
    message: int | None = None
    """Index of the user's message that shows it; None for the first of the user's."""
    after_chars: int = 0
    """Characters of that message's text that come before it."""


@dataclass(frozen=True)
class Conversation:
    """What a model is asked: turns, and the pictures that the user's turns show, in their order."""

    messages: Sequence[Message]
    pictures: Sequence[Picture] = ()
    cache_salt: str = ""
    """What an engine caches of it is found only by conversations with the same salt; empty for those without."""

    def name_in_caches(self, picture: Picture) -> str:
        """What names one of its pictures in an engine's caches."""
        if not self.cache_salt:
            return picture.sha256
        return hashlib.sha256(f"{self.cache_salt} {picture.sha256}".encode()).hexdigest()

    def turns(self) -> list[tuple[Role, list[str | Picture]]]:
        """Who says each turn, and its texts and pictures in their order; a turn without pictures is one text."""
        first_user = next((index for index, message in enumerate(self.messages) if message.role is Role.USER), 0)
        shown: dict[int, list[Picture]] = {}
        for picture in self.pictures:
            shown.setdefault(first_user if picture.message is None else picture.message, []).append(picture)
        return [
            (message.role, _parts(message.text, shown.get(index, ()))) for index, message in enumerate(self.messages)
        ]


def _parts(text: str, pictures: Sequence[Picture]) -> list[str | Picture]:
    parts: list[str | Picture] = []
    position = 0
    for picture in pictures:
        parts += [_segment(text, position, picture.after_chars), picture]
        position = picture.after_chars
    parts.append(_segment(text, position, len(text)))
    return [part for part in parts if part] or [text]


def _segment(text: str, start: int, end: int) -> str:
    segment = text[start:end]
    return segment.removeprefix("\n") if start else segment  # the line break that parted two segments


@dataclass(frozen=True)
class AnswerFormat:
    """The only answers that a completion may be: one of some texts, or JSON by a schema. One of both is set."""

    choices: tuple[str, ...] = ()
    """Texts to choose from."""
    json_schema: str = ""
    """A JSON Schema, as JSON."""


@dataclass(frozen=True)
class Sampling:
    """How one completion is sampled."""

    seed: int
    """0 to 2^53 - 1."""
    temperature: float
    """0 to 2; 0 takes the most probable token each time."""
    top_p: float
    """Above 0 and at most 1."""
    max_tokens: int
    """Tokens at most, at least 1."""
    answer_format: AnswerFormat | None = None
    """What the answer is held to; None for any text. Reasoning before the answer is not held to it."""


Finish = Literal["stop", "length", "reasoning"]
"""Why a completion ended: the model ended it; `max_tokens` or the context length was reached; the same, and all its
tokens went into reasoning that the engine doesn't show."""


class Delta(NamedTuple):
    """What one step of an engine adds to a completion."""

    text: str
    """What was added; may be empty."""
    tokens: int
    """Tokens that were added."""
    finish: Finish | None = None
    """Set on the last delta."""
    queued_s: float | None = None
    """Seconds that the completion waited before it was scheduled, where the engine knows; set on the first delta."""
    prompt_tokens: int | None = None
    """Tokens of the prompt, where the engine learns them with its answer; set on any delta."""
    reasoning: str = ""
    """What was added to the model's reasoning, where the engine or the endpoint gives that apart."""
    used: Sampling | None = None
    """How the completion is sampled, where that is not as it was asked; set on any delta."""


@dataclass(frozen=True)
class Prepared:
    """A conversation that is ready to be sampled from, any number of times."""

    prompt_tokens: int
    """Tokens of the prompt, the picture's included; 0 where they are not known yet."""
    handle: object = field(repr=False)
    """The engine's own."""


class EngineLoad(NamedTuple):
    """What an engine holds at this moment, by its own count."""

    running: int
    """Completions that are being generated."""
    waiting: int
    """Completions that wait for their turn."""


@dataclass(frozen=True)
class ModelDescription:
    """The model that an engine holds."""

    name: str
    revision: str
    engine: str
    engine_version: str
    max_context_tokens: int
    """Prompt and completion together; 0 if unknown."""
    accepts_images: bool
    max_images: int = 1
    """Pictures that one conversation may have, where it takes any."""
    structured_answers: bool = False
    """Whether a completion can be held to an answer format."""
    prompt_template: str = ""
    """A user's message as the model reads it, {prompt} in place of its text; empty if unknown."""
    useful_pixels: int = 0
    """Pixels that the model sees of a large picture, all that its processor makes of it; 0 if unknown."""
    trust_remote_code: bool = False
    """Whether code that comes with the checkpoint was allowed to run."""
    engine_settings: Mapping[str, JsonValue] = field(default_factory=dict)
    """What else decides answers: number format, quantization, further arguments and fields."""


class Engine(Protocol):
    """Holds one model and samples completions from it.

    Errors are ServiceErrors: InvalidArgument for a conversation that the model can't take, ResourceExhausted for a full
    queue, Unavailable once the engine is dead.
    """

    async def start(self) -> None:
        """Loads the model and makes it answer once."""

    def describe(self) -> ModelDescription:
        """The model; only after `start`."""

    def special_tokens(self, role: Role) -> Sequence[str]:
        """Texts that a message of this role must not hold: they mean something to the model beside what they say."""

    def admit(self, completions: int) -> None:
        """Raises ResourceExhausted if that many more completions would overfill the queue."""

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Applies the model's template and processes the picture."""

    def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Samples one completion. Closing the generator (`aclose`) aborts it."""

    def load(self) -> EngineLoad:
        """Running and waiting completions."""

    async def watch(self) -> None:
        """Runs as long as the engine lives; raises Unavailable with advice when it has died."""

    async def close(self) -> None:
        """Frees the model and ends the engine's processes."""
