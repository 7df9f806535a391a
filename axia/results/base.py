"""The base of all results."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo

from axia._file_names import path_of, written


class Result(BaseModel):
    """Frozen, and with JSON by `model_dump_json` and `model_validate_json`."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


def _read(value: object, info: ValidationInfo) -> object:
    return path_of(value) if info.mode == "json" and isinstance(value, str) else value


FilePath = Annotated[str, PlainSerializer(written, return_type=str, when_used="json"), BeforeValidator(_read)]
"""A path as the caller gave it, and as `axia._file_names.written` says in JSON."""
