"""What a chat request asks of InferenceService.Generate, and the caller's names of its fields."""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.v1 import inference_pb2
from gateway.http.openai.request import ChatMessage, ChatRequest, ContentPart
from gateway.http.transcoding.base64_text import NotBase64, is_data_address, read_base64
from gateway.protocols.sampling import completion_seed
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED

_ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "developer": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}
_ANY_OBJECT = '{"type": "object"}'
_SHORTEST_PICTURE = 64
"""Characters of base64 without a data: address that may be an image."""


class _Shown(NamedTuple):
    data: bytes
    after_chars: int
    field: str


@dataclass
class _Turn:
    """Neighbouring messages of one role."""

    role: "inference_pb2.Role.ValueType"
    message: int
    """Index of the first of them in the request."""
    text: str = ""
    pictures: list[_Shown] = field(default_factory=list)

    def say(self, text: str, separator: str) -> None:
        self.text += (separator if self.text and text else "") + text


class Asked(NamedTuple):
    """A request in the contract's form."""

    chat: ChatRequest
    generate: inference_pb2.GenerateRequest
    names: dict[str, str]
    """The caller's names of messages and images, by the contract's."""


def to_asked(chat: ChatRequest) -> Asked:
    """What the model's server is asked.

    Raises:
        InvalidArgument: About a message's place or an image.
    """
    generate = inference_pb2.GenerateRequest(model=chat.model, stop_rule=inference_pb2.STOP_RULE_NONE)
    names: dict[str, str] = {}
    turns = _turns(chat.messages)
    pictures = [shown for turn in turns for shown in turn.pictures]
    first_user = next((turn for turn in turns if turn.role == inference_pb2.ROLE_USER), None)
    # Servers of earlier releases know this one place alone.
    alone = len(pictures) == 1 and first_user is not None and first_user.pictures == pictures
    for index, turn in enumerate(turns):
        names[f"messages[{index}]"] = f"messages[{turn.message}]"
        message = generate.messages.add(role=turn.role, text=turn.text)
        for position, shown in enumerate(turn.pictures):
            names["image" if alone else f"messages[{index}].images[{position}]"] = shown.field
            if not alone:
                message.images.add(after_chars=shown.after_chars).image.data = shown.data
    if alone:
        generate.image.data = pictures[0].data
    _add_samples(generate, chat, _identity(pictures))
    _add_ends(generate, chat)
    return Asked(chat, generate, names)


def _turns(messages: list[ChatMessage]) -> list[_Turn]:
    turns: list[_Turn] = []
    for index, message in enumerate(messages):
        role = _ROLES[message.role]
        if role != inference_pb2.ROLE_USER and not any(part.text or part.image_url for part in message.content):
            continue  # it says nothing
        if not turns or turns[-1].role != role:
            if role == inference_pb2.ROLE_SYSTEM and turns:
                description = "must come before the conversation; move its text into the first message"
                raise InvalidArgument(f"messages[{index}]", description, reason="ROLE_ORDER")
            turns.append(_Turn(role, index))
        _read(message, f"messages[{index}]", turns[-1])
    for turn in turns:
        if turn.pictures and not turn.text.strip():
            turn.text = load_prompts()[DEFAULT_DETECTION_PROMPT].text
    return turns


def _read(message: ChatMessage, path: str, turn: _Turn) -> None:
    separator = "\n\n"  # after an earlier message
    for position, part in enumerate(message.content):
        name = f"{path}.content[{position}]"
        if part.type == "image_url":
            if turn.role != inference_pb2.ROLE_USER:
                raise InvalidArgument(name, "must be in a user message", reason="IMAGE_MISPLACED")
            turn.pictures.append(_Shown(_picture(part, name), len(turn.text), f"{name}.image_url.url"))
            continue
        if part.text is None or part.image_url is not None:
            raise InvalidArgument(name, "of type text must have text and no image_url")
        turn.say(part.text, separator)
        separator = "\n"


def _picture(part: ContentPart, name: str) -> bytes:
    if part.image_url is None or part.text is not None:
        raise InvalidArgument(name, "of type image_url must have image_url and no text")
    url, name = part.image_url.url, f"{name}.image_url.url"
    bare = len(url) >= _SHORTEST_PICTURE and ":" not in url[:_SHORTEST_PICTURE]
    if not bare and not is_data_address(url):
        raise InvalidArgument(
            name,
            "must be data:image/jpeg;base64, (or png, webp) and the image itself; other URLs are never fetched",
            reason="IMAGE_ADDRESS",
        )
    try:
        data = read_base64(url)
    except NotBase64 as error:
        raise InvalidArgument(name, str(error), reason="INVALID_FIELD") from error
    if not data:
        raise InvalidArgument(name, "the image is empty; send the bytes of a file", reason="IMAGE_EMPTY")
    return data


def _identity(pictures: list[_Shown]) -> str:
    """A hash of the images in their order: one image's own, of none the empty text."""
    hashes = [hashlib.sha256(shown.data).hexdigest() for shown in pictures]
    if len(hashes) < 2:  # noqa: PLR2004 - several
        return "".join(hashes)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _add_samples(generate: inference_pb2.GenerateRequest, chat: ChatRequest, identity: str) -> None:
    seed = secrets.randbelow(MAX_SEED + 1) if chat.seed is None else chat.seed
    # Of the model's defaults the gateway knows; 1 is OpenAI's.
    temperature = 1.0 if chat.temperature is None else chat.temperature
    generate.default_temperature = chat.temperature is None
    for index in range(chat.n or 1):
        generate.samples.add(seed=completion_seed(seed, index, identity), temperature=temperature)
    if chat.top_p is not None:
        generate.top_p = chat.top_p
    if chat.limit is not None:
        generate.max_tokens = chat.limit
        generate.lower_max_tokens = True


def _add_ends(generate: inference_pb2.GenerateRequest, chat: ChatRequest) -> None:
    generate.stop.extend(chat.stop or ())
    generate.text_deltas = bool(chat.stream)
    asked = chat.response_format
    if asked is not None and asked.type == "json_object":
        generate.answer_format.json_schema = _ANY_OBJECT
    elif asked is not None and asked.json_schema is not None:
        generate.answer_format.json_schema = json.dumps(asked.json_schema.definition, ensure_ascii=False)


def callers_field(name: str, asked: Asked) -> str:
    """OpenAI's name of a field of GenerateRequest."""
    if name.startswith("image"):
        return asked.names.get("image", "messages")
    if found := re.match(r"messages\[\d+\]\.images\[\d+\]", name):
        return asked.names.get(found[0], "messages")
    if found := re.fullmatch(r"(messages\[\d+\])\.(text|role)", name):
        message = asked.names.get(found[1], found[1])
        return f"{message}.{'content' if found[2] == 'text' else 'role'}"
    if name == "samples":
        return "n"
    if found := re.fullmatch(r"samples\[\d+\]\.(\w+)", name):
        return found[1]
    if name.startswith("answer_format"):
        by_schema = (
            name.endswith("json_schema") and asked.chat.response_format and asked.chat.response_format.json_schema
        )
        return "response_format.json_schema.schema" if by_schema else "response_format"
    return "max_completion_tokens" if name == "max_tokens" and asked.chat.max_completion_tokens else name
