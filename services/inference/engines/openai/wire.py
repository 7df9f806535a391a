"""Answers of OpenAI-compatible chat completions.

Endpoints differ in details, so answers are read leniently: unknown fields are ignored, null is as good as nothing, and
what isn't needed (counts of tokens, names) may have any form. What can't be read at all is a `MalformedAnswer`.
"""

import json
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

_BROKEN_OFF = {"error", "abort", "insufficient_system_resource", "network_error"}
"""How a completion ends that the endpoint gave up: OpenRouter's, vLLM's, DeepSeek's and Zhipu's words."""
_CUT = {"length", "max_tokens", "model_length", "model_context_window_exceeded"}
"""How one ends that reached its bound: OpenAI's word, and Google's, Mistral's and Anthropic's."""
_MAX_COUNT = 2**31
_THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
"""Types of the parts of a content that are no part of the answer."""


class MalformedAnswer(ValueError):
    """An answer that isn't one of a chat completions endpoint. The message says what is wrong, without its content."""


class _Content(NamedTuple):
    """A content in its parts."""

    text: str = ""
    thought: str = ""


def _content(value: object) -> _Content:
    """Reads a content: a text, or a list of parts as Mistral and Anthropic give it, texts and thoughts."""
    if value is None:
        return _Content()
    if isinstance(value, str):
        return _Content(_sound(value))
    if isinstance(value, list):
        parts = [_content(item) for item in value]
        return _Content("".join(part.text for part in parts), "".join(part.thought for part in parts))
    if not isinstance(value, dict):
        raise ValueError("neither a text nor a list of parts")  # noqa: TRY004 - what pydantic takes for a refusal
    if value.get("type") not in _THOUGHTS:
        return _content(value.get("text"))
    inner = next((found for found in map(value.get, ("thinking", "reasoning", "text")) if found), None)
    return _Content(thought="".join(_content(inner)))


def _sound(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can hold and nothing else."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(value: object) -> str | None:
    return _sound(value) if isinstance(value, str) else None


def _object(value: object) -> object:
    return value if isinstance(value, dict) else None


def _ending(value: object) -> str | None:
    """Why a completion ended; SGLang gives an object with a type where it gave one up."""
    return _text(value.get("type") if isinstance(value, dict) else value)


def _present(value: object) -> object:
    return [found for found in value if found is not None] if isinstance(value, list) else value or ()


def _count(value: object) -> int:
    """A number of tokens; 0 for what is none, such as null or -1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _MAX_COUNT:
        return 0
    return int(value)


_Text = Annotated[str | None, PlainValidator(_text)]
_Ending = Annotated[str | None, PlainValidator(_ending)]
_Count = Annotated[int, PlainValidator(_count)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Said(_Answer):
    """A message, or what a chunk adds to it."""

    content: Annotated[_Content, PlainValidator(_content)] = _Content()
    refusal: _Text = None
    reasoning_content: _Text = None
    """What the model thinks before it answers, as DeepSeek and others name it; some endpoints send no text."""
    reasoning: _Text = None
    """The same as OpenRouter, vLLM and Ollama name it. Some endpoints send it under both names."""

    @property
    def text(self) -> str:
        """What the model says; a refusal is its answer too."""
        return self.content.text or self.refusal or ""

    @property
    def thought(self) -> str:
        """What the model thinks."""
        return self.reasoning_content or self.reasoning or self.content.thought


_NOTHING = Said()


class Choice(_Answer):
    """One completion, or a chunk of it."""

    index: _Count = 0
    delta: Annotated[Said | None, BeforeValidator(_object)] = None
    message: Annotated[Said | None, BeforeValidator(_object)] = None
    said_plainly: Annotated[_Text, Field(alias="text")] = None
    """The text as completions without a conversation hold it; some endpoints mix the two up."""
    finish_reason: _Ending = None
    error: Any = None

    @property
    def text(self) -> str:
        """What is said here."""
        return self.said.text

    @property
    def said(self) -> Said:
        """The message, or what is added to it. Some endpoints fill one of the two and send the other empty."""
        for message in (self.delta, self.message):
            if message is not None and (message.text or message.thought):
                return message
        return Said.model_validate({"content": self.said_plainly}) if self.said_plainly else _NOTHING

    @property
    def finish(self) -> Literal["stop", "length"] | None:
        """Why it ended, in the engine's words. A filter's cut is an end: what was said until then is the answer."""
        if not self.finish_reason:
            return None
        return "length" if self.finish_reason.lower() in _CUT else "stop"


class _Details(_Answer):
    reasoning_tokens: _Count = 0


class Usage(_Answer):
    """Tokens by the endpoint's own count; 0 where it doesn't tell."""

    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    total_tokens: _Count = 0
    completion_tokens_details: Annotated[_Details | None, BeforeValidator(_object)] = None

    @property
    def thought_tokens(self) -> int:
        """Tokens of reasoning, shown or not; Google counts them in the total alone."""
        told = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else 0
        beside = self.total_tokens - self.prompt_tokens - self.completion_tokens if self.prompt_tokens else 0
        return told or max(beside, 0)


class Answer(_Answer):
    """A whole answer, or a chunk of a streamed one."""

    model: _Text = None
    system_fingerprint: _Text = None
    choices: Annotated[tuple[Choice, ...], BeforeValidator(_present)] = ()
    usage: Annotated[Usage | None, BeforeValidator(_object)] = None
    error: Any = None
    instead: Any = None
    """All that was said where there is no choice."""

    @property
    def choice(self) -> Choice | None:
        """The one choice that was asked for; some chunks hold none."""
        return next((choice for choice in self.choices if choice.index == 0), None)

    @property
    def failure(self) -> Any:
        """What it reports in place of an answer; OpenRouter does so within a choice too."""
        return self.error or (self.choice.error if self.choice else None)

    @property
    def broken_off(self) -> str:
        """How the completion ended if the endpoint gave it up; empty if it didn't."""
        finish = (self.choice.finish_reason or "") if self.choice else ""
        return finish if finish.lower() in _BROKEN_OFF else ""


class Listed(_Answer):
    """A model in the endpoint's list."""

    id: str
    max_model_len: Annotated[int, Field(gt=0, lt=_MAX_COUNT)] | None = None
    """Context length in tokens; vLLM states it."""


class Listing(_Answer):
    """Models that the endpoint holds."""

    data: tuple[Listed, ...]


def read_answer(data: str | bytes) -> Answer:
    """Reads an answer or a chunk; one that is null says nothing.

    Raises:
        MalformedAnswer: If it has another shape.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedAnswer("it is not JSON") from None
    if isinstance(said, list) and len(said) == 1:  # Google wraps errors in a list
        said = said[0]
    if said is None:
        return Answer()
    if isinstance(said, dict) and "error" in (said.get("object"), said.get("type")) and not said.get("error"):
        return Answer(error=said)
    if isinstance(said, dict) and not said.get("choices"):
        said = {**said, "instead": said}
    try:
        return Answer.model_validate(said)
    except RecursionError:
        raise MalformedAnswer("it is nested too deeply") from None
    except ValidationError as error:
        raise MalformedAnswer(_places(error)) from None  # its text would show the content


def read_listing(data: bytes) -> Listing:
    """Reads the list of models.

    Raises:
        MalformedAnswer: If it has another shape.
    """
    try:
        return Listing.model_validate_json(data)
    except ValidationError as error:
        raise MalformedAnswer(_places(error)) from None


def _places(error: ValidationError) -> str:
    faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['type']}" for fault in error.errors()[:3])
    return "; ".join(faults)
