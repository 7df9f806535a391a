"""Bounds of the texts that end a completion; `axia.sentence.stop_texts` applies them."""

from collections.abc import Sequence

from services.serving.errors import InvalidArgument
from services.serving.limits import check_between

MAX_STOPS = 16
MAX_STOP_CHARS = 256


def check_stops(stops: Sequence[str]) -> None:
    """Refuses stop texts that are out of bounds.

    Raises:
        InvalidArgument: Naming the field that is wrong.
    """
    check_between("stop", len(stops), 0, MAX_STOPS)
    for index, text in enumerate(stops):
        if not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InvalidArgument(
                f"stop[{index}]", f"must have 1 to {MAX_STOP_CHARS} characters, and has {len(text)}", reason="STOP_TEXT"
            )
