"""Image files that annotations and data sets name."""

import hashlib
import io
from pathlib import Path

from axia.evals.annotations.record import AnnotationError

FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats that axia takes."""


def checked_sha256(file: Path, named_by: str, else_do: str) -> str:
    """The SHA-256 of an image that is there and can be read.

    Args:
        file: The image.
        named_by: Who names it, for messages, such as ``a.csv, line 3``.
        else_do: What to do where it can't be put right, such as ``leave its rows out``.

    Raises:
        AnnotationError: If it is missing, not an image, or not JPEG, PNG or WebP.
    """
    from PIL import Image

    try:
        data = file.read_bytes()
    except OSError:
        raise AnnotationError(f"{named_by}, and there is no picture at {file}: put it there, or {else_do}") from None
    try:
        with Image.open(io.BytesIO(data)) as opened:
            file_format = opened.format
            opened.verify()
    except Exception as error:  # PIL raises many types for files that it can't decode
        raise AnnotationError(f"{file} can't be read as a picture ({error}): replace it, or {else_do}") from None
    if file_format not in FORMATS:
        raise AnnotationError(f"{file} is {file_format}: convert it to JPEG, PNG or WebP")
    return hashlib.sha256(data).hexdigest()
