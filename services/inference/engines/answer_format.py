"""Checks of answer formats, and the one JSON Schema by which endpoints without a list of choices can be held to one."""

import json
from typing import Any

from services.inference.engines.engine import AnswerFormat, ModelDescription
from services.serving.errors import InvalidArgument
from services.serving.limits import check_between, check_text

UNSUPPORTED = "ANSWER_FORMAT_UNSUPPORTED"
"""Reason of a refusal where the engine can't hold a model to the format."""
MIN_CHOICES = 2
MAX_CHOICES = 64
MAX_CHOICE_CHARS = 256
MAX_SCHEMA_CHARS = 16_384
_CHOICE = "answer"


def check_answer_format(asked: AnswerFormat, model: ModelDescription, *, first_sentence_only: bool) -> None:
    """Refuses a format that is out of bounds, or that the model can't be held to.

    Raises:
        InvalidArgument: Naming the field that is wrong.
    """
    if not model.structured_answers:
        raise InvalidArgument(
            "answer_format",
            f"the engine of {model.name!r} can't restrict answers to a format; leave this out, or use a model that "
            "has structured_answers in its description",
            reason=UNSUPPORTED,
        )
    if first_sentence_only:
        raise InvalidArgument(
            "answer_format",
            "can't be used if a completion stops after its first sentence; set stop_rule to STOP_RULE_NONE",
            reason="ANSWER_FORMAT_CUT",
        )
    if asked.json_schema:
        _check_schema(asked.json_schema)
    else:
        _check_choices(asked.choices)


def _check_choices(choices: tuple[str, ...]) -> None:
    field = "answer_format.choices.texts"
    check_between(field, len(choices), MIN_CHOICES, MAX_CHOICES)
    for index, text in enumerate(choices):
        check_text(f"{field}[{index}]", text, MAX_CHOICE_CHARS)
        if text in choices[:index]:
            raise InvalidArgument(f"{field}[{index}]", f"{text!r} is given twice; give it once", reason="CHOICE_TWICE")


def _check_schema(schema: str) -> None:
    field = "answer_format.json_schema"
    check_text(field, schema, MAX_SCHEMA_CHARS)
    try:
        parsed = json.loads(schema)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidArgument(
            field, 'must be a JSON Schema, written as a JSON object such as {"type": "object"}', reason="SCHEMA_INVALID"
        )


def schema_of(asked: AnswerFormat) -> dict[str, Any]:
    """The JSON Schema of a format; choices become an object with one of them, which `unwrapped` takes out again."""
    if asked.json_schema:
        schema: dict[str, Any] = json.loads(asked.json_schema)
        return schema
    return {
        "type": "object",
        "properties": {_CHOICE: {"type": "string", "enum": list(asked.choices)}},
        "required": [_CHOICE],
        "additionalProperties": False,
    }


def unwrapped(text: str, asked: AnswerFormat) -> str | None:
    """The answer in a complete text that was held to `schema_of`; None if the text does not keep to the format.

    Of a caller's own schema no more is checked than that the text is JSON.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
        if asked.json_schema:
            return None
    if asked.json_schema:
        return text
    choice = parsed.get(_CHOICE) if isinstance(parsed, dict) else text.strip()
    return choice if choice in asked.choices else None
