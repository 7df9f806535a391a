"""Messages of the contract that protocols hand on and never read."""

from typing import Protocol


class Message(Protocol):
    """A message as its service or its caller wrote it: a filter, a provenance, a score with all its figures."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The message in the wire format."""
