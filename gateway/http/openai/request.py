"""A chat request in OpenAI's form, checked."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from gateway.http.openai.fields import UNLIMITED, normalized_fields
from gateway.http.problems import from_validation
from gateway.http.transcoding.json_text import not_json
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED


def _as_whole(value: object) -> object:
    """Some languages' JSON writes each number with a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_WHOLE = BeforeValidator(_as_whole, json_schema_input_type=int)
_Count = Annotated[int, _WHOLE, Field(strict=True, ge=1, le=UNLIMITED)]
_MAX_N = 1024
"""Completions that this API builds a request for at most; the model's own bound is lower."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class ImageUrl(_Part):
    """Where an image is: in the request itself."""

    url: StrictStr
    """"data:image/jpeg;base64," and the file in base64; addresses are never fetched."""
    detail: StrictStr | None = None
    """Accepted, but ignored."""


def _as_object(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class ContentPart(_Part):
    """A part of a message: a text or an image."""

    type: Literal["text", "image_url"]
    text: StrictStr | None = None
    image_url: Annotated[ImageUrl, BeforeValidator(_as_object, json_schema_input_type=ImageUrl | StrictStr)] | None = (
        None
    )
    """The image. A URL without an object is also accepted."""


def _as_parts(value: object) -> object:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("one_of", "must be a text or a list of parts")
    return value


class ChatMessage(_Part):
    """One turn. Further fields, such as those of an answer that is sent back, are ignored."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[ContentPart], BeforeValidator(_as_parts, json_schema_input_type=StrictStr | list[ContentPart])
    ]
    """What is said: a text, or texts and images in their order. May be null in a message of the assistant."""
    name: StrictStr | None = None
    """Accepted, but ignored."""
    refusal: StrictStr | None = None
    """What the assistant said where its content is null."""


class StreamOptions(_Part):
    """What a stream holds."""

    include_usage: StrictBool | None = None
    """Whether the last chunk has the token counts."""
    include_obfuscation: StrictBool | None = None
    """Accepted, but ignored."""


class NamedSchema(_Part):
    """A JSON Schema with a name."""

    model_config = ConfigDict(extra="ignore", serialize_by_alias=True)

    name: StrictStr | None = None
    """Accepted, but ignored."""
    definition: Annotated[dict[str, Any], Field(alias="schema")]
    """The schema."""


class ResponseFormat(_Part):
    """Format of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    """Any text, any JSON object, or JSON that matches the schema."""
    json_schema: NamedSchema | None = None
    """For type json_schema."""

    @model_validator(mode="before")
    @classmethod
    def _with_schema(cls, value: Any) -> Any:
        """Takes a schema beside the type too, as llama.cpp and others do, and there for type json_object as well."""
        if isinstance(value, dict) and isinstance(value.get("schema"), dict) and value.get("json_schema") is None:
            return {"type": "json_schema", "json_schema": {"schema": value["schema"]}}
        return value


def _as_texts(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    return [text for text in value if text != ""] if isinstance(value, list) else value


class ChatRequest(BaseModel):
    """A conversation to answer."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: StrictStr
    """Name of the model, as /v1/models lists it."""
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    """The conversation; the last message is the user's."""
    n: Annotated[int, _WHOLE, Field(strict=True, ge=1, le=_MAX_N)] | None = None
    """Completions. Default 1."""
    temperature: _Float | None = None
    """0 to 2. Default: the model's in the gateway's routing table, or else 1."""
    top_p: _Float | None = None
    """Above 0 and at most 1. Default: the model's in the gateway's routing table, or else 1."""
    max_tokens: _Count | None = None
    """Maximum number of tokens of one completion. Larger values are reduced to the model's limit; -1 means the model's
    limit. Default: the model's in the gateway's routing table, or else 100."""
    max_completion_tokens: _Count | None = None
    """Newer name of max_tokens."""
    seed: Annotated[int, _WHOLE, Field(strict=True, ge=0, le=MAX_SEED)] | None = None
    """Seed, 0 to 2^53 - 1. Unset or -1: drawn."""
    stop: (
        Annotated[list[StrictStr], BeforeValidator(_as_texts, json_schema_input_type=StrictStr | list[StrictStr])]
        | None
    ) = None
    """Texts that end a completion and are not part of it, at most 16; a single one may be a text."""
    response_format: ResponseFormat | None = None
    """Format of the answer: any text, a JSON object, or JSON that matches a schema."""
    stream: StrictBool | None = None
    """Whether the answer is a stream of events."""
    stream_options: StreamOptions | None = None
    """What the stream holds."""

    @property
    def limit(self) -> int | None:
        """Maximum tokens of one completion."""
        return self.max_completion_tokens or self.max_tokens


def read_chat(body: bytes) -> ChatRequest:
    """The request that a body holds.

    Raises:
        ServiceError: Naming the fields that are wrong.
    """
    try:
        fields = from_json(body or b"{}")
    except ValueError as error:
        raise not_json(body) from error
    try:
        asked = ChatRequest.model_validate(
            normalized_fields(fields, ChatRequest.model_fields) if isinstance(fields, dict) else fields
        )
    except ValidationError as error:
        raise from_validation(error, ChatRequest) from error
    _check_together(asked)
    return asked


def _check_together(asked: ChatRequest) -> None:
    if asked.max_tokens and asked.max_completion_tokens and asked.max_tokens != asked.max_completion_tokens:
        raise InvalidArgument(
            "max_tokens", "differs from max_completion_tokens, its newer name; send one of them", reason="GIVEN_TWICE"
        )
    asked_format = asked.response_format
    if asked_format is not None and asked_format.type == "json_schema" and asked_format.json_schema is None:
        raise InvalidArgument("response_format.json_schema", "is missing", reason="INVALID_FIELD")
