"""A conversation in the forms that a model takes."""

from pathlib import Path
from typing import Any

from services.inference.engines.engine import Conversation, Picture, Role
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition


def chat_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Messages in the form that vLLM renders, pictures among the texts of the user's turns."""

    def content(part: str | Picture) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return {"type": "image_pil", "image_pil": part.pixels, "uuid": conversation.name_in_caches(part)}

    return [{"role": role.value, "content": [content(part) for part in parts]} for role, parts in conversation.turns()]


def plain_prompt(conversation: Conversation, settings: InferenceSettings) -> str:
    """The conversation as plain text by the completion template, a turn after the other. A turn's pictures come before
    its text."""
    prompt: list[str] = []
    for role, parts in conversation.turns():
        text = "\n".join(part for part in parts if isinstance(part, str))
        if role is Role.USER:
            pictures = sum(not isinstance(part, str) for part in parts)
            prompt.append(
                settings.image_placeholder * pictures + settings.completion_template.replace("{prompt}", text)
            )
        elif role is Role.ASSISTANT:
            prompt.append(f" {text}\n")
        else:
            prompt.append(f"{text}\n")
    return "".join(prompt)


PACKAGED = Path(__file__).parent / "chat_templates"
"""Templates for models whose repositories hold none, named as AXIA_INFERENCE_CHAT_TEMPLATE takes them."""
_BY_MODEL_TYPE = {"blip-2": "blip-2", "paligemma": "plain"}
"""Packaged templates that are used unasked. vLLM has templates for these, which drop system prompts or run texts into
each other."""


def packaged_template(model_type: str) -> str | None:
    """The packaged template for models of a type (`model_type` in config.json), None if there is none."""
    name = _BY_MODEL_TYPE.get(model_type)
    return (PACKAGED / f"{name}.jinja").read_text(encoding="utf-8") if name else None


def template_text(setting: str) -> str | None:
    """The chat template that a setting gives: by a packaged one's name, as text, or as the path of a file.

    Returns:
        The template; None if the setting is empty.

    Raises:
        FailedPrecondition: If the file can't be read.
    """
    if not setting:
        return None
    looks_like_jinja = "{" in setting or "\n" in setting
    if looks_like_jinja:
        return setting
    names = sorted(path.stem for path in PACKAGED.glob("*.jinja"))
    if setting in names:
        return (PACKAGED / f"{setting}.jinja").read_text(encoding="utf-8")
    try:
        return Path(setting).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FailedPrecondition(
            f"the chat template {setting} can't be read; set AXIA_INFERENCE_CHAT_TEMPLATE to a readable file in UTF-8, "
            f"to the template's text, or to one of {', '.join(names)}",
            reason="TEMPLATE_UNREADABLE",
        ) from error
