"""A chat request in OpenAI's form, checked, and what it asks of InferenceService.Generate."""

import base64
import binascii
import hashlib
import re
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from axia.v1 import inference_pb2
from gateway.sampling import completion_seed
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED

_Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
_MAX_N = 1024
"""Completions that this face builds a request for at most; the model's own bound is lower."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "stop": ([],),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
"""Fields that OpenAI's interface has and this one doesn't offer, with the values that ask for nothing."""
_IGNORED = ("metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user")
"""Fields that change no answer."""

_DATA_ADDRESS = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "developer": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageUrl(_Part):
    """Where a picture is: in the request itself."""

    url: StrictStr
    """"data:image/jpeg;base64," and the file in base64; addresses are never fetched."""
    detail: StrictStr | None = None
    """Taken and ignored."""


class ContentPart(_Part):
    """A piece of a message: a text or a picture."""

    type: Literal["text", "image_url"]
    text: StrictStr | None = None
    image_url: ImageUrl | None = None


class ChatMessage(_Part):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | list[ContentPart]
    name: StrictStr | None = None
    """Taken and ignored."""
    refusal: StrictStr | None = None
    """Taken and ignored, so that an answer can be sent back as it came."""


class StreamOptions(_Part):
    """What a stream holds."""

    include_usage: StrictBool | None = None
    """Whether a last chunk counts the tokens."""
    include_obfuscation: StrictBool | None = None
    """Taken and ignored."""


class ChatRequest(_Part):
    """A conversation to answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: StrictStr
    """Name of the model, as /v1/models lists it."""
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    """The conversation; the last message is the user's."""
    n: Annotated[int, Field(strict=True, ge=1, le=_MAX_N)] | None = None
    """Completions. Default 1."""
    temperature: _Float | None = None
    """0 to 2. Default: the model's in the gateway's routing table, or else 1."""
    top_p: _Float | None = None
    """Above 0 and at most 1. Default: the model's in the gateway's routing table, or else 1."""
    max_tokens: _Count | None = None
    """Tokens of one completion at most. Default: the model's in the gateway's routing table, or else 100."""
    max_completion_tokens: _Count | None = None
    """The same by its newer name."""
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None = None
    """Seed, 0 to 2^53 - 1. Unset: drawn."""
    stream: StrictBool | None = None
    """Whether the answer is a stream of events."""
    stream_options: StreamOptions | None = None
    """What the stream holds."""

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        kept = {name: value for name, value in fields.items() if name not in _IGNORED}
        for name, neutral in _NEUTRAL.items():
            if name in kept:
                value = kept.pop(name)
                if value is not None and value not in neutral:
                    raise PydanticCustomError("chat", "{name} is not offered; leave it out", {"name": name})
        return kept

    @model_validator(mode="after")
    def _one_bound(self) -> "ChatRequest":
        given = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(given) > 1:
            raise PydanticCustomError("chat", "max_tokens and max_completion_tokens differ; set one of them")
        return self


def to_generate(asked: ChatRequest) -> inference_pb2.GenerateRequest:
    """What the model's server is asked.

    Raises:
        InvalidArgument: About the picture: one only, in the first message of the user, in a data: address.
    """
    generate = inference_pb2.GenerateRequest(model=asked.model, stop_rule=inference_pb2.STOP_RULE_NONE)
    first_user = next((index for index, each in enumerate(asked.messages) if each.role == "user"), -1)
    picture = b""
    for index, message in enumerate(asked.messages):
        texts = [message.content] if isinstance(message.content, str) else []
        for position, part in enumerate(message.content if isinstance(message.content, list) else ()):
            field = f"messages[{index}].content[{position}]"
            if part.type == "text":
                if part.text is None or part.image_url is not None:
                    raise InvalidArgument(field, "of type text must hold text alone")
                texts.append(part.text)
                continue
            if part.image_url is None or part.text is not None:
                raise InvalidArgument(field, "of type image_url must hold image_url alone")
            if index != first_user:
                raise InvalidArgument(field, "must be in the first message of the user", reason="IMAGE_MISPLACED")
            if picture:
                raise InvalidArgument(field, "is a second picture; one is taken", reason="TOO_MANY_IMAGES")
            picture = _decoded(part.image_url.url, f"{field}.image_url.url")
        generate.messages.add(role=_ROLES[message.role], text="\n".join(texts))
    if picture:
        generate.image.data = picture
    _add_samples(generate, asked, hashlib.sha256(picture).hexdigest() if picture else "")
    return generate


def _add_samples(generate: inference_pb2.GenerateRequest, asked: ChatRequest, image_sha256: str) -> None:
    seed = secrets.randbelow(MAX_SEED + 1) if asked.seed is None else asked.seed
    # Of the model's defaults the gateway knows; 1 is OpenAI's.
    temperature = 1.0 if asked.temperature is None else asked.temperature
    generate.default_temperature = asked.temperature is None
    for index in range(asked.n or 1):
        generate.samples.add(seed=completion_seed(seed, index, image_sha256), temperature=temperature)
    if asked.top_p is not None:
        generate.top_p = asked.top_p
    max_tokens = asked.max_completion_tokens or asked.max_tokens
    if max_tokens is not None:
        generate.max_tokens = max_tokens


def _decoded(url: str, field: str) -> bytes:
    start = _DATA_ADDRESS.match(url)
    if start is None:
        raise InvalidArgument(
            field,
            "must be data:image/jpeg;base64, (or png, webp) and the picture itself; addresses are never fetched",
            reason="IMAGE_ADDRESS",
        )
    try:
        data = base64.b64decode(url[start.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            field, "is not base64 after the comma; encode the bytes of the file", reason="INVALID_FIELD"
        ) from error
    if not data:
        raise InvalidArgument(field, "the picture is empty; send the bytes of a file", reason="IMAGE_EMPTY")
    return data


def field_of(field: str, asked: ChatRequest) -> str:
    """OpenAI's name of a field of GenerateRequest."""
    if field.startswith("image"):
        return "messages"
    if found := re.fullmatch(r"messages\[(\d+)\]\.text", field):
        return f"messages[{found[1]}].content"
    if field == "samples":
        return "n"
    if found := re.fullmatch(r"samples\[\d+\]\.(\w+)", field):
        return found[1]
    return "max_completion_tokens" if field == "max_tokens" and asked.max_completion_tokens else field
