"""Pictures as callers give them, turned into the bytes of a file."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from axia._connection import MAX_MESSAGE_BYTES
from axia.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Picture: TypeAlias = Union[str, os.PathLike[str], bytes, "PILImage"]
"""A path of a JPEG, PNG or WebP file, such a file's bytes, or a PIL image (sent as PNG)."""


def read(image: Picture) -> tuple[bytes, str | None]:
    """The encoded bytes of a picture, and its path if it has one."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), None
    if isinstance(image, str | os.PathLike):
        return _read_file(Path(image)), os.fspath(image)
    # Whoever holds a PIL image has loaded PIL already; nobody else should pay for it.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        return _encode(image), None
    raise TypeError(f"image is a {type(image).__name__}: give a path, the bytes of a picture or a PIL image")


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > MAX_MESSAGE_BYTES:
                raise too_large(size)
            return file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no picture at {path}: give the path of a JPEG, PNG or WebP file") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder: give the path of one picture in it") from None


def _encode(image: "PILImage") -> bytes:
    """PNG of a PIL image, upright: PNG as written here carries no EXIF orientation that the server could apply."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode not in {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}:
        upright = upright.convert("RGB")
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", compress_level=1)  # speed matters more than size on the way to a local server
    return buffer.getvalue()


def too_large(size: int) -> InvalidRequest:
    limit = MAX_MESSAGE_BYTES // 2**20
    return InvalidRequest.of(
        "image.data", f"the picture has {size / 2**20:.1f} MiB, a call carries {limit} MiB: send a smaller one"
    )
