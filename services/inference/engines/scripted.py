"""An engine that answers from a file: for unit tests, and for other teams' tests against a whole suite without a model.

The file is YAML; docs/scripted-engine.md describes it:

    model: scripted
    first_token_ms: 40        # time to the first word
    token_ms: 5               # time between words
    answers:
      - when: needs attention # a regular expression on the last user message; left out, it matches all
        say:
          - The child is reaching for the stove. It is hot.
          - None.
          - {text: The knife on the table., weight: 0.5}

At temperature 0 the first text of the first match is said; above, the completion's seed draws one by weight. A word is
a token. A text that is held to choices becomes the one that it names first, or else the first of them; one that is
held to a JSON Schema has to be JSON in the file.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from axia.version import __version__
from services.inference.engines.answer_format import unwrapped
from services.inference.engines.engine import (
    AnswerFormat,
    Conversation,
    Delta,
    EngineLoad,
    ModelDescription,
    Prepared,
    Role,
    Sampling,
)
from services.inference.engines.queue import CompletionQueue
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition

_WORD = re.compile(r"\s*\S+\s*?")
_PICTURE_TOKENS = 64


class Say(BaseModel):
    """One text and how likely it is beside the others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    weight: float = Field(default=1.0, gt=0)


def _as_say(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


class Answer(BaseModel):
    """What is said where a message matches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: re.Pattern[str] = re.compile("")
    say: tuple[Annotated[Say, BeforeValidator(_as_say)], ...] = Field(min_length=1)


class Script(BaseModel):
    """A file of answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "scripted"
    first_token_ms: float = Field(default=0.0, ge=0)
    token_ms: float = Field(default=0.0, ge=0)
    load_ms: float = Field(default=0.0, ge=0)
    special_tokens: tuple[str, ...] = ("<image>", "<s>", "</s>")
    answers: tuple[Answer, ...] = Field(min_length=1)

    def choose(self, message: str, sampling: Sampling) -> str:
        """The text for a message; empty if nothing matches."""
        matching = next((answer for answer in self.answers if answer.when.search(message)), None)
        if matching is None:
            return ""
        if sampling.temperature == 0:
            return matching.say[0].text
        draw = random.Random(sampling.seed)  # noqa: S311 - chooses an answer, guards nothing
        return draw.choices([say.text for say in matching.say], [say.weight for say in matching.say])[0]


def load_script(path: Path) -> Script:
    """Reads a file of answers.

    Raises:
        FailedPrecondition: If it is missing or not of this form, with the place of the fault.
    """
    try:
        return Script.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise FailedPrecondition(
            f"the scripted engine's answers can't be read: {path} ({error.strerror}); set AXIA_INFERENCE_ANSWERS to a "
            "YAML file",
            reason="ANSWERS_UNREADABLE",
        ) from error
    except yaml.YAMLError as error:
        raise FailedPrecondition(f"{path} is not YAML: {error}", reason="ANSWERS_UNREADABLE") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise FailedPrecondition(
            f"{path} is not a valid answers file: {faults}", reason="ANSWERS_UNREADABLE"
        ) from error


def _held(text: str, asked: AnswerFormat) -> str:
    """What a text becomes that is held to a format.

    Raises:
        FailedPrecondition: For a JSON Schema, if the text is not JSON.
    """
    if asked.json_schema:
        if unwrapped(text, asked) is None:
            raise FailedPrecondition(
                f"the request asks for JSON, but the scripted engine's file has the answer {text[:40]!r}; write JSON "
                "in the file",
                reason="ANSWERS_UNFIT",
            )
        return text
    named = ((match.start(), choice) for choice in asked.choices if (match := _whole(choice).search(text)))
    return min(named, default=(0, asked.choices[0]))[1]


def _whole(choice: str) -> re.Pattern[str]:
    """Finds a text that is no part of a word, whatever its letter case."""
    return re.compile(rf"(?<!\w){re.escape(choice)}(?!\w)", re.IGNORECASE)


class ScriptedEngine:
    """Says what a file states, word by word, with the latency that it states."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._path = settings.answers or Path()
        self._queue = CompletionQueue(settings.max_running, settings.max_queue)

    async def start(self) -> None:
        """Reads the file."""
        self._script = load_script(self._path)
        self._revision = "sha256:" + sha256(self._path.read_bytes()).hexdigest()[:12]
        await asyncio.sleep(self._script.load_ms / 1000)

    def describe(self) -> ModelDescription:
        """The model that the file names."""
        return ModelDescription(
            name=self._settings.model_name or self._script.model,
            revision=self._revision,
            engine="scripted",
            engine_version=__version__,
            max_context_tokens=self._settings.max_model_len or 4096,
            accepts_images=True,
            max_images=self._settings.max_images,
            structured_answers=True,
        )

    def special_tokens(self, role: Role) -> Sequence[str]:
        """Those that the file states, so that their refusal can be tried too."""
        return self._script.special_tokens

    def admit(self, completions: int) -> None:
        """Applies the queue bound as the real engine does."""
        self._queue.admit(completions)

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Counts words, and 64 tokens for each picture."""
        words = sum(len(message.text.split()) for message in conversation.messages)
        asked = next(m.text for m in reversed(conversation.messages) if m.role is Role.USER)
        return Prepared(words + _PICTURE_TOKENS * len(conversation.pictures), asked)

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Says the chosen text word by word."""
        async with self._queue.place() as waited:
            waited_s: float | None = waited
            await asyncio.sleep(self._script.first_token_ms / 1000)
            said = self._script.choose(str(prepared.handle), sampling)
            words = _WORD.findall(_held(said, sampling.answer_format) if sampling.answer_format else said)
            for word in words[: sampling.max_tokens]:
                yield Delta(word, 1, queued_s=waited_s)
                waited_s = None
                await asyncio.sleep(self._script.token_ms / 1000)
            yield Delta("", 0, "length" if len(words) > sampling.max_tokens else "stop", queued_s=waited_s)

    def load(self) -> EngineLoad:
        """Streams that are open."""
        return self._queue.load

    async def watch(self) -> None:
        """Never dies."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Holds nothing."""
