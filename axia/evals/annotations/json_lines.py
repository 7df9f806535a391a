"""Files of JSON lines: an object on each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axia.evals.annotations.record import AnnotationError


def parse_rows(path: Path, text: str, needed: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a text, with the numbers of their lines; empty lines are left out.

    Args:
        path: Where the text is from, for messages.
        text: JSON lines.
        needed: Names of the fields that an object needs, for messages.

    Raises:
        AnnotationError: If a line is not a JSON object.
    """
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            row = json.loads(part)
        except (ValueError, RecursionError):
            raise AnnotationError(f"{path}, line {line}: is not JSON: give one object on each line") from None
        if not isinstance(row, dict):
            raise AnnotationError(f"{path}, line {line}: is not a JSON object" + (f": give {needed}" if needed else ""))
        yield line, row
