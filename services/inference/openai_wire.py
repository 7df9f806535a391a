"""Requests and answers of OpenAI-compatible chat completions, as bytes.

Endpoints differ in details, so answers are read leniently: unknown fields are ignored, comments and missing ends of a
stream are accepted. What can't be read at all is a `MalformedAnswer`. Server-sent events are read as the WHATWG's HTML
standard defines them (section 9.2.6).
"""

import base64
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.inference.answer_format import schema_of, unwrapped
from services.inference.engine import AnswerFormat, Conversation, Picture, Piece, Sampling
from services.inference.settings import InferenceSettings

DONE = "[DONE]"
"""Data of the event that ends a stream."""
_MAX_EVENT_BYTES = 2**20
_JPEG_QUALITY = 95


class MalformedAnswer(ValueError):
    """An answer that isn't one of a chat completions endpoint. The message says what is wrong, without its content."""


def picture_url(pixels: Image.Image, image_format: Literal["jpeg", "png"]) -> str:
    """A picture as a data URL: encoded anew from its pixels, so that no metadata and no address goes out."""
    buffer = io.BytesIO()
    if image_format == "jpeg":
        pixels.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)  # colour at full resolution
    else:
        pixels.save(buffer, "PNG")
    return f"data:image/{image_format};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def messages_json(conversation: Conversation, settings: InferenceSettings) -> bytes:
    """The turns as a JSON array, pictures among the texts of the user's turns.

    Turns without a picture are plain strings: every endpoint takes those.
    """
    messages: list[dict[str, Any]] = []
    for role, parts in conversation.turns():
        only = parts[0] if len(parts) == 1 else None
        content = only if isinstance(only, str) else [_content(part, settings) for part in parts]
        messages.append({"role": role.value, "content": content})
    return json.dumps(messages).encode()


def _content(part: str | Picture, settings: InferenceSettings) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    image = {"url": picture_url(part.pixels, settings.openai_image_format)}
    if settings.openai_image_detail:
        image["detail"] = settings.openai_image_detail
    return {"type": "image_url", "image_url": image}


def request_body(messages: bytes, sampling: Sampling, settings: InferenceSettings) -> bytes:
    """The body of a request for one completion. `messages` comes encoded: all completions of a call share it."""
    fields: dict[str, Any] = {
        **settings.openai_extra,
        "model": settings.model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        settings.openai_max_tokens_field: sampling.max_tokens,
        "stream": settings.openai_stream,
    }
    if settings.openai_seed_bits:
        fields["seed"] = settings.used_seed(sampling.seed)
    if settings.openai_stream and settings.openai_usage != "none":
        options = {"include_usage": True}
        if settings.openai_usage == "continuous":
            options["continuous_usage_stats"] = True
        fields["stream_options"] = options
    if sampling.answer_format is not None:
        schema = {"name": "answer", "strict": True, "schema": schema_of(sampling.answer_format)}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return b'{"messages":' + messages + b"," + json.dumps(fields).encode().removeprefix(b"{")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FormatIgnored(ValueError):
    """An answer that does not keep to the format that was asked for."""


class Said(_Answer):
    """A message, or what a chunk adds to it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    """What the model thinks before it answers, as DeepSeek and others name it; some endpoints send no text."""
    reasoning: Any = None
    """The same as OpenRouter and vLLM name it. Some endpoints send it under both names."""

    @property
    def text(self) -> str:
        """What the model says; a refusal is its answer too."""
        return self.content or self.refusal or ""

    @property
    def thought(self) -> str:
        """What the model thinks."""
        return next((own for own in (self.reasoning_content, self.reasoning) if isinstance(own, str) and own), "")


_NOTHING = Said()


class Choice(_Answer):
    """One completion, or a chunk of it."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """What is said here."""
        return self.said.text

    @property
    def said(self) -> Said:
        """The message, or what is added to it."""
        return self.delta or self.message or _NOTHING

    @property
    def finish(self) -> Literal["stop", "length"] | None:
        """Why it ended, in the engine's words. A filter's cut is an end: what was said until then is the answer."""
        if not self.finish_reason:
            return None
        return "length" if self.finish_reason in {"length", "max_tokens"} else "stop"


class Usage(_Answer):
    """Tokens by the endpoint's own count."""

    prompt_tokens: Annotated[int, Field(ge=0, lt=2**31)] = 0
    completion_tokens: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Answer(_Answer):
    """A whole answer, or a chunk of a streamed one."""

    model: str | None = None
    system_fingerprint: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Any = None

    @property
    def choice(self) -> Choice | None:
        """The one choice that was asked for; some chunks hold none."""
        return next((choice for choice in self.choices if choice.index == 0), None)


class Listed(_Answer):
    """A model in the endpoint's list."""

    id: str
    max_model_len: Annotated[int, Field(gt=0, lt=2**31)] | None = None
    """Context length in tokens; vLLM states it."""


class Listing(_Answer):
    """Models that the endpoint holds."""

    data: tuple[Listed, ...]


def read_answer(data: str | bytes) -> Answer:
    """Reads an answer or a chunk.

    Raises:
        MalformedAnswer: If it has another shape.
    """
    try:
        return Answer.model_validate_json(data)
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


class EventReader:
    """Takes a stream of server-sent events apart, fed with bytes as they come.

    Only the data of an event counts here. Lines end with LF or CR LF; CR alone, which the standard allows too, is not
    used by endpoints.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._held = 0

    def feed(self, received: bytes) -> Iterator[str]:
        """The data of each event that is complete now.

        Raises:
            MalformedAnswer: If an event is longer than 1 MiB or not UTF-8.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        if self._held + len(self._rest) > _MAX_EVENT_BYTES:
            raise MalformedAnswer("an event of the stream is too long")
        for line in lines:
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[str]:
        line = line.removesuffix(b"\r")
        if line.startswith(b"data:"):
            self._held += len(line)
            if self._held > _MAX_EVENT_BYTES:
                raise MalformedAnswer("an event of the stream is too long")
            try:
                self._data.append(line.removeprefix(b"data:").removeprefix(b" ").decode())
            except UnicodeDecodeError:
                raise MalformedAnswer("the stream is not UTF-8") from None
        elif not line and self._data:
            yield "\n".join(self._data)
            self._data.clear()
            self._held = 0


class Tally:
    """Adds up the chunks of one completion.

    Tokens are those that the endpoint counts; until it does, a chunk with text is one token.

    Args:
        max_tokens: Tokens that were asked for.
        answer_format: What the answer is held to. A choice comes wrapped in JSON, and so whole with the last piece.
    """

    def __init__(self, max_tokens: int, answer_format: AnswerFormat | None = None) -> None:
        self._max_tokens = max_tokens
        self._format = answer_format
        self._held = ""
        """The answer so far, where it is held to a format."""
        self._tokens = 0
        self._chunks = 0
        self._prompt_tokens: int | None = None
        self._finish: Literal["stop", "length"] | None = None
        self.answered = False
        """Whether any choice came."""

    @property
    def finish(self) -> Literal["stop", "length"] | None:
        """Why the completion ended; None while it goes on."""
        return self._finish

    @property
    def overfull(self) -> bool:
        """Whether the endpoint goes on beyond the tokens that it was asked for."""
        return self._chunks > self._max_tokens

    def add(self, answer: Answer) -> Piece | None:
        """What a chunk adds; None if that is nothing."""
        text = reasoning = ""
        if (choice := answer.choice) is not None:
            self.answered = True
            self._finish = choice.finish or self._finish
            text, reasoning = choice.text, choice.said.thought
            self._chunks += bool(text)  # not all endpoints count reasoning among the tokens that were asked for
        counted = answer.usage.completion_tokens if answer.usage else 0
        tokens = max(counted - self._tokens, int(bool(text or reasoning)))
        self._tokens += tokens
        if answer.usage and answer.usage.prompt_tokens:
            self._prompt_tokens = answer.usage.prompt_tokens
        if not text and not reasoning and not tokens and not answer.usage:
            return None
        if self._format is not None and choice is not None and choice.said.content:
            self._held += text
            text = text if self._format.json_schema else ""
        return Piece(text, tokens, prompt_tokens=self._prompt_tokens, reasoning=reasoning)

    def last(self) -> Piece:
        """The piece that ends the completion.

        Raises:
            FormatIgnored: If the completion ended by itself and does not keep to the format. One that was cut is no
                whole answer, and a refusal is an endpoint's own way out.
        """
        finish = "length" if self.overfull else self._finish or "stop"
        text = ""
        if self._format is not None and self._held and finish == "stop":
            answer = unwrapped(self._held, self._format)
            if answer is None:
                raise FormatIgnored
            text = "" if self._format.json_schema else answer
        return Piece(text, 0, finish, prompt_tokens=self._prompt_tokens)
