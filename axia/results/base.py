"""The base of all results."""

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """Frozen, and with JSON by `model_dump_json` and `model_validate_json`."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")
