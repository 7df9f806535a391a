"""Requests to OpenAI-compatible chat completions, and what an endpoint was found not to take in them.

Models differ in the fields that they take: some refuse any temperature, some take only one of temperature and top_p,
some call the bound on tokens max_completion_tokens. What the settings don't say is learned from refusals, each of which
costs one request, and kept while the server runs. A refusal of a value alone ("between 0 and 1") is told to the caller.
"""

import base64
import io
import json
import logging
import re
from dataclasses import replace
from typing import Any, Literal

from PIL import Image

from services.inference.engines.answer_format import schema_of
from services.inference.engines.engine import Conversation, Picture, Sampling
from services.inference.engines.openai.complaint import Complaint
from services.inference.settings import InferenceSettings

logger = logging.getLogger(__name__)

_JPEG_QUALITY = 95
_DEFAULT = 1.0
"""Of temperature and top_p by OpenAI's definition: a field that is left out has this value, as far as can be told."""
_SAMPLING_FIELDS = ("temperature", "top_p", "seed")
_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
_ANY_OBJECT = {"type": "object"}
"""The schema by which the contract asks for any JSON object."""
_OBJECT_FORMAT = {"type": "json_object"}
_SHORT_SEED_BITS = 31
_ONLY_ONE = re.compile(r"\bboth\b|only one|not .{0,20}together|mutually exclusive", re.IGNORECASE)
_OF_A_VALUE = re.compile(
    r"less than|greater than|between|\brange\b|at (?:most|least)|exceed|maximum|minimum|positive"
    r"|too (?:large|big|high|low)|out of|int(?:eger|32|64)|[<>≤≥]|\bin [(\[]",
    re.IGNORECASE,
)
"""Signs that a value is refused, and not the field."""


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


class Fields:
    """The fields of requests to one endpoint, without those that it does not take."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._left_out = set(settings.openai_leave_out)
        self._not_as_default: set[str] = set()
        """Fields that the endpoint takes, but not with their default."""
        self._only_one = False
        """Whether it takes one of temperature and top_p at most."""
        self._seed_bits = 0 if "seed" in self._left_out else settings.openai_seed_bits
        self._length_field: str = settings.openai_max_tokens_field
        self._length_swapped = False
        self._objects_by_schema = False
        """Whether it takes schemas only, and not the format of any JSON object."""
        self._usage: str = settings.openai_usage if settings.openai_stream else "none"

    def of(self, sampling: Sampling) -> dict[str, Any]:
        """All fields but the messages."""
        fields: dict[str, Any] = {
            **self._settings.openai_extra,
            "model": self._settings.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._length_field: sampling.max_tokens,
            "stream": self._settings.openai_stream,
        }
        if self._seed_bits:
            fields["seed"] = sampling.seed & (2**self._seed_bits - 1)
        if self._usage != "none":
            fields["stream_options"] = {"include_usage": True}
        if self._usage == "continuous":
            fields["stream_options"]["continuous_usage_stats"] = True
        if sampling.answer_format is not None:
            fields["response_format"] = self._response_format(schema_of(sampling.answer_format))
        for name in ("temperature", "top_p"):
            if name in self._left_out or (name in self._not_as_default and fields[name] == _DEFAULT):
                del fields[name]
        if self._only_one and {"temperature", "top_p"} <= fields.keys():
            del fields["temperature" if fields["temperature"] == _DEFAULT != fields["top_p"] else "top_p"]
        return fields

    def _response_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        # Strict endpoints take schemas that name every field alone, so any object has a format of its own there.
        if schema == _ANY_OBJECT and not self._objects_by_schema:
            return _OBJECT_FORMAT
        named = {"name": "answer", "strict": schema != _ANY_OBJECT, "schema": schema}
        return {"type": "json_schema", "json_schema": named}

    @property
    def described(self) -> dict[str, Any]:
        """What of it decides answers, for provenance."""
        left_out = sorted(self._left_out) + ["temperature or top_p"] * self._only_one
        return {"seed_bits": self._seed_bits} | ({"left_out": left_out} if left_out else {})

    def learn(self, said: Complaint, fields: dict[str, Any]) -> bool:
        """Reads a refusal of a request.

        Args:
            said: What the endpoint said.
            fields: Those of the request.

        Returns:
            Whether the next request will have other fields, so that it is worth asking again.
        """
        before = self.__dict__ | {"_left_out": set(self._left_out), "_not_as_default": set(self._not_as_default)}
        named = [name for name in (*_SAMPLING_FIELDS, "stream_options", *_LENGTH_FIELDS) if _names(said, name)]
        # OpenAI wants the word JSON in the messages beside that format; its words say so to the caller.
        if _names(said, "response_format") and not _names(said, "messages"):
            named.append("response_format")
        self._adapt(named, said.message, fields)
        changed = before != self.__dict__
        if changed:
            logger.warning(
                "the endpoint refuses %s as it was sent; from now on requests go without, or in another form: %s",
                " and ".join(named),
                json.dumps({**self.described, "length_field": self._length_field, "usage": self._usage}),
            )
        # Another completion may have learned it meanwhile.
        return changed or any(name in fields and self._sends_otherwise(name, fields) for name in named)

    def _adapt(self, named: list[str], words: str, fields: dict[str, Any]) -> None:
        if "response_format" in named and fields.get("response_format") == _OBJECT_FORMAT:
            self._objects_by_schema = True
            return
        if {"temperature", "top_p"} <= set(named) and _ONLY_ONE.search(words):
            self._only_one = self._only_one or {"temperature", "top_p"} <= fields.keys()
            return
        if self._length_field in named:
            if self._length_field in fields and not self._length_swapped and not _OF_A_VALUE.search(words):
                self._length_swapped = True
                self._length_field = _LENGTH_FIELDS[self._length_field == "max_tokens"]
            return
        if "stream_options" in named and "stream_options" in fields:
            self._usage = "none"
        of_a_value = bool(_OF_A_VALUE.search(words))
        for name in ("temperature", "top_p"):
            if name not in named or name not in fields:
                continue
            if not of_a_value:
                self._left_out.add(name)
            elif fields[name] == _DEFAULT:
                self._not_as_default.add(name)
        if "seed" in named and "seed" in fields:
            if of_a_value and self._seed_bits > _SHORT_SEED_BITS:
                self._seed_bits = _SHORT_SEED_BITS
            else:
                self._seed_bits = 0
                self._left_out.add("seed")

    def _sends_otherwise(self, name: str, fields: dict[str, Any]) -> bool:
        """Whether a field that was sent would not be sent so again."""
        if name == "seed":
            return bool(fields["seed"] >= 2**self._seed_bits)
        if name == "stream_options":
            return self._usage == "none"
        if name == "response_format":
            return bool(self._objects_by_schema and fields[name] == _OBJECT_FORMAT)
        if name in _LENGTH_FIELDS:
            return name != self._length_field
        both = self._only_one and {"temperature", "top_p"} <= fields.keys()
        return both or name in self._left_out or (name in self._not_as_default and fields[name] == _DEFAULT)


def request_body(messages: bytes, fields: dict[str, Any]) -> bytes:
    """The body of a request for one completion. `messages` comes encoded: all completions of a call share it."""
    return b'{"messages":' + messages + b"," + json.dumps(fields).encode().removeprefix(b"{")


def sampled_with(sampling: Sampling, fields: dict[str, Any]) -> Sampling:
    """How a request with these fields is sampled: its own seed, and what counts for a field that is left out."""
    return replace(
        sampling,
        seed=fields.get("seed", 0),
        temperature=fields.get("temperature", _DEFAULT),
        top_p=fields.get("top_p", _DEFAULT),
    )


def named_field(said: Complaint) -> str:
    """The sampling field whose value a complaint names; empty if it names none."""
    return next((name for name in (*_SAMPLING_FIELDS, *_LENGTH_FIELDS) if _names(said, name)), "")


def _names(said: Complaint, field: str) -> bool:
    """Whether a complaint names a field, in its words or apart from them."""
    written = field.replace("_", "[_-]?")
    return (
        re.search(rf"(?<![a-z0-9_]){written}(?![a-z0-9_])", f"{said.param} {said.message}", re.IGNORECASE) is not None
    )
