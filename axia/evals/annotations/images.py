"""Image files that annotations and data sets name."""

import hashlib
import io
from pathlib import Path

from axia._pictures import FORMATS
from axia.evals.annotations.record import AnnotationError


def checked_sha256(file: Path, named_by: str, else_do: str) -> str:
    """The SHA-256 of an image that is there and can be read.

    Args:
        file: The image.
        named_by: Who names it, for messages, such as ``a.csv, line 3``.
        else_do: What to do where it can't be put right, such as ``leave its rows out``.

    Raises:
        AnnotationError: If it is missing, not an image, or not JPEG, PNG or WebP.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        data = file.read_bytes()
    except OSError:
        raise AnnotationError(f"{named_by}, but there is no image at {file}: put it there, or {else_do}") from None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            opened.verify()
    except UnidentifiedImageError:
        raise AnnotationError(
            f"{file} can't be read as an image, because it is not JPEG, PNG or WebP: convert it to one of them, or "
            f"{else_do}"
        ) from None
    except Exception as error:  # PIL raises many types for files that it can't decode
        raise AnnotationError(
            f"{file} can't be read as an image ({error}): convert it to JPEG, PNG or WebP, or {else_do}"
        ) from None
    return hashlib.sha256(data).hexdigest()
