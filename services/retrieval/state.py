"""What must survive a restart beside the index: how the current encoder was named, and what a re-index has begun.

The vector store knows which encoder's index is current, by the encoder's name and revision, but not how to load that
encoder: only this file holds the name or folder that it was loaded by.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.retrieval.files import replace_file
from services.retrieval.index import EncoderId
from services.serving.errors import FailedPrecondition, ResourceExhausted

FILE = "state.json"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedEncoder(_Strict):
    """An encoder and how it was named."""

    spec: str
    name: str
    revision: str
    dimension: int

    @classmethod
    def of(cls, spec: str, encoder: EncoderId) -> "NamedEncoder":
        """Both together."""
        return cls(spec=spec, name=encoder.name, revision=encoder.revision, dimension=encoder.dimension)

    @property
    def id(self) -> EncoderId:
        """Which encoder it is."""
        return EncoderId(self.name, self.revision, self.dimension)


class Building(_Strict):
    """A re-index that has begun."""

    id: str
    encoder: NamedEncoder


class State(_Strict):
    """The contents of the file."""

    setting: str
    """The encoder of the settings when `encoder` became the current one."""
    encoder: NamedEncoder
    """The current encoder, unless a re-index switched and was killed before it could write so."""
    building: Building | None = None
    stale: tuple[NamedEncoder, ...] = ()
    """Encoders whose indexes are to be dropped."""


class StateFile:
    """Reads and writes the state; a kill at any moment leaves the old one or the new one.

    Args:
        folder: Made if there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> State | None:
        """The state; None if none was written yet.

        Raises:
            FailedPrecondition: If the file can't be read; says what to do.
        """
        try:
            return State.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise FailedPrecondition(
                f"{self._path} can't be read; remove it, and set AXIA_RETRIEVAL_ENCODER to the encoder that the index "
                "was built with",
                reason="STATE_BROKEN",
            ) from error

    def write(self, state: State) -> None:
        """Replaces the state durably.

        Raises:
            ResourceExhausted: If it can't be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(state.model_dump(), indent=1).encode())
        except OSError as error:
            raise ResourceExhausted(
                f"{self._path} can't be written; free some space on its disk and allow this user to write",
                reason="STATE_NOT_WRITTEN",
            ) from error
