"""Says why a text can't be read as JSON."""

import json
from typing import Any

from gateway.http.problems import LONE_SURROGATE
from services.serving.errors import InvalidArgument, ServiceError


def not_json(body: bytes) -> ServiceError:
    """The error about a body that a strict reader of JSON refused, with the place of the fault.

    Python's own reader, which is slower, takes surrogates that have no partner. If it can read the body, such a text is
    the fault.
    """
    try:
        path = _lone_surrogate(json.loads(body.decode()), "")
    except UnicodeDecodeError as error:
        description = f"is not UTF-8 from byte {error.start:,} on; encode the JSON as UTF-8"
        return InvalidArgument("body", description, reason="INVALID_FIELD")
    except json.JSONDecodeError as error:
        description = f"is not JSON: {error.msg} at line {error.lineno:,}, column {error.colno:,}"
        return InvalidArgument("body", description, reason="INVALID_FIELD")
    except (ValueError, RecursionError):  # numbers of thousands of digits, thousands of brackets
        return InvalidArgument("body", "can't be read as JSON: it is nested too deeply, or a number is too long")
    if path is None:
        return InvalidArgument("body", "is not JSON", reason="INVALID_FIELD")
    return InvalidArgument(path or "body", LONE_SURROGATE, reason="LONE_SURROGATE")


def _lone_surrogate(value: Any, path: str) -> str | None:
    """Path of the first text that can't be written as UTF-8; None if all can."""
    if isinstance(value, str):
        return None if encodes(value) else path
    if isinstance(value, dict):
        if not all(map(encodes, value)):
            return path
        parts = [(f"{path}.{name}" if path else name, member) for name, member in value.items()]
    elif isinstance(value, list):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return None
    return next((found for name, part in parts if (found := _lone_surrogate(part, name)) is not None), None)


def encodes(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
