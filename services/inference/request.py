"""What the inference service is asked, and the bounds of each field: temperatures, seeds, lengths, turns, pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.inference.engines.answer_format import check_answer_format
from services.inference.engines.engine import Message, ModelDescription, Role, Sampling
from services.inference.generation import Ending
from services.inference.settings import InferenceSettings
from services.inference.stop_texts import check_stops
from services.serving.errors import InvalidArgument, NotFound
from services.serving.limits import (
    MAX_SEED,
    MAX_TEMPERATURE,
    check_between,
    check_special_tokens,
    check_text,
    check_top_p,
)

_MAX_MESSAGES = 64


class ShownImage(NamedTuple):
    """A picture within a message."""

    data: bytes
    """The encoded picture."""
    field: str
    """The caller's name of it, for errors."""
    message: int | None = None
    """Index of the message; None for the first of the user's."""
    after_chars: int = 0
    """Characters of the message's text that come before it."""


@dataclass(frozen=True)
class SampleRequest:
    """A conversation and the completions to sample."""

    model: str
    images: Sequence[ShownImage]
    """In the order in which the conversation shows them."""
    messages: Sequence[Message]
    samplings: Sequence[Sampling]
    ending: Ending = field(default_factory=Ending)
    cache_salt: str = ""
    """Keeps what the engine caches of it from requests with another; empty for those without."""


def check_request(
    request: SampleRequest,
    model: ModelDescription,
    settings: InferenceSettings,
    special_tokens: Callable[[Role], Sequence[str]],
) -> None:
    """Refuses what the service doesn't take, before any pixel is decoded.

    Args:
        request: What is asked.
        model: The model that this service holds.
        settings: The bounds that apply.
        special_tokens: Texts that a message of a role must not hold.

    Raises:
        NotFound: If another model is named.
        InvalidArgument: About the first field that is out of its bounds.
    """
    if request.model not in {"", model.name}:
        raise NotFound(
            "model",
            f"this server serves {model.name!r}, not {request.model!r}; use that name, or leave the model empty",
            reason="MODEL_UNKNOWN",
        )
    _check_images(request, model)
    _check_messages(request.messages, settings, special_tokens)
    check_stops(request.ending.stops)
    check_between("samples", len(request.samplings), 1, settings.max_samples)
    for index, sampling in enumerate(request.samplings):
        check_between(f"samples[{index}].seed", sampling.seed, 0, MAX_SEED)
        check_between(f"samples[{index}].temperature", sampling.temperature, 0, MAX_TEMPERATURE)
        check_top_p("top_p", sampling.top_p)
        check_between("max_tokens", sampling.max_tokens, 1, settings.max_tokens)
    if (asked := request.samplings[0].answer_format) is not None:  # the same for all
        check_answer_format(asked, model, first_sentence_only=request.ending.first_sentence_only)


def _check_images(request: SampleRequest, model: ModelDescription) -> None:
    if request.images and not model.accepts_images:
        raise InvalidArgument(
            _image_field(request.images[0]),
            f"{model.name!r} doesn't support images; leave them out, or use a model that does",
            reason="IMAGE_NOT_SUPPORTED",
        )
    if len(request.images) > model.max_images:
        raise InvalidArgument(
            _image_field(request.images[model.max_images]),
            f"{model.name!r} supports at most {model.max_images} images in a conversation, but "
            f"{len(request.images)} are given; leave some out",
            reason="TOO_MANY_IMAGES",
        )
    for image in request.images:
        if image.message is None:
            continue
        name = _image_field(image)
        if request.messages[image.message].role is not Role.USER:
            raise InvalidArgument(name, "must be in a user message", reason="IMAGE_MISPLACED")
        check_between(f"{name}.after_chars", image.after_chars, 0, len(request.messages[image.message].text))


def _check_messages(
    messages: Sequence[Message], settings: InferenceSettings, special_tokens: Callable[[Role], Sequence[str]]
) -> None:
    check_between("messages", len(messages), 1, _MAX_MESSAGES)
    due = Role.USER
    for index, message in enumerate(messages):
        if message.role is Role.SYSTEM and index == 0:
            pass
        elif message.role is not due:
            raise InvalidArgument(
                f"messages[{index}].role",
                f"must be {due.value}: one system message may come first, then user and assistant alternate",
                reason="ROLE_ORDER",
            )
        else:
            due = Role.ASSISTANT if due is Role.USER else Role.USER
        check_text(f"messages[{index}].text", message.text, settings.max_text_chars)
        check_special_tokens(f"messages[{index}].text", message.text, special_tokens(message.role))
    if messages[-1].role is not Role.USER:
        raise InvalidArgument(
            f"messages[{len(messages) - 1}].role", "the last message must be a user message", reason="ROLE_ORDER"
        )


def _image_field(image: ShownImage) -> str:
    return image.field.removesuffix(".image.data") if image.message is not None else "image"
