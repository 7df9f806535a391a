"""Prepares a conversation for sampling; where that fails, tells whether its text or its picture is at fault."""

from dataclasses import replace

from services.inference.engines.engine import Conversation, Engine, ModelDescription, Prepared
from services.serving.errors import InvalidArgument

CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
"""Reason of an error about a conversation that has more tokens than the context of the model."""


async def prepare(engine: Engine, conversation: Conversation, model: ModelDescription) -> Prepared:
    """Applies the model's template and processes the pictures.

    Raises:
        InvalidArgument: With the field ``image`` if the model takes the text without the pictures, ``messages`` else.
    """
    try:
        return await _prepare_within_context(engine, conversation, model)
    except InvalidArgument as error:
        if not conversation.pictures:
            raise
        try:
            text_alone = await _prepare_within_context(engine, replace(conversation, pictures=()), model)
        except InvalidArgument:
            raise error from None
        if error.reason == CONTEXT_TOO_LONG and len(conversation.pictures) > 1:
            raise InvalidArgument(
                "image",
                f"{len(conversation.pictures)} images need more tokens than the model's context has left: it has "
                f"{model.max_context_tokens} tokens, and the text needs {text_alone.prompt_tokens}; send fewer or "
                "smaller images, or ask the operator to set AXIA_INFERENCE_MAX_MODEL_LEN higher",
                reason=CONTEXT_TOO_LONG,
            ) from error
        width, height = min((picture.pixels.size for picture in conversation.pictures), key=_squareness)
        if error.reason == CONTEXT_TOO_LONG:
            raise InvalidArgument(
                "image",
                f"needs more tokens than the model's context has left: it has {model.max_context_tokens} tokens, and "
                f"the text needs {text_alone.prompt_tokens}; send fewer than {width} x {height} pixels, or ask the "
                "operator to set AXIA_INFERENCE_MAX_MODEL_LEN higher",
                reason=CONTEXT_TOO_LONG,
            ) from error
        raise InvalidArgument(
            "image",
            f"the model's image processor refuses {width} x {height} pixels; many refuse very narrow or very small "
            "images: pad or crop the image to an aspect ratio of at most 10:1",
            reason="IMAGE_REFUSED",
        ) from error


def _squareness(size: tuple[int, int]) -> float:
    return min(size) / max(size)


async def _prepare_within_context(engine: Engine, conversation: Conversation, model: ModelDescription) -> Prepared:
    prepared = await engine.prepare(conversation)
    if model.max_context_tokens and prepared.prompt_tokens >= model.max_context_tokens:
        raise InvalidArgument(
            "messages",
            f"the conversation has {prepared.prompt_tokens} tokens, but the model's context has only "
            f"{model.max_context_tokens}; shorten it",
            reason=CONTEXT_TOO_LONG,
        )
    return prepared
