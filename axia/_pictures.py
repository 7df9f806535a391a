"""Images as callers give them, turned into the bytes of a file."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, Union

from axia._connection.transport import MAX_MESSAGE_BYTES
from axia.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats that servers take, by PIL's names. PIL opens no other here either: its decoders for rare formats are those in
which faults are found."""


class Array(Protocol):
    """A numpy array of uint8 and shape (height, width, 3), as cameras give frames; also grey, (height, width), or with
    alpha, (height, width, 4). Grey may be uint16."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and, if there are several, channels."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """As numpy has it."""


Picture: TypeAlias = Union[str, os.PathLike[str], bytes, "PILImage", Array]
"""A path of a JPEG, PNG or WebP file, such a file's bytes, a PIL image, or a numpy array (both sent as PNG)."""

Channels: TypeAlias = Literal["RGB", "BGR"]
"""The order of an array's colours. Other images say it themselves."""

_AS_PNG = {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}
"""Modes of PIL images that PNG has."""
_BY_MODE = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""To which of them the others are converted."""
_GREY_16 = 65_535
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""How PIL numbers what makes an image of each EXIF orientation upright; those not listed are."""
_ORIENTATION = 0x0112
_GREY_DIMENSIONS, _COLOUR_DIMENSIONS = 2, 3


def read(image: Picture, channels: Channels = "RGB") -> tuple[bytes, str | None]:
    """The encoded bytes of an image, and its path if it has one.

    Args:
        image: The image.
        channels: The order of colours, if it is an array.

    Raises:
        InvalidRequest: If it can't be sent as it is.
        OSError: If it can't be read.
        TypeError: If it is no image.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), None
    if isinstance(image, str | os.PathLike):
        return _read_file(Path(image)), os.fspath(image)
    # Whoever holds a PIL image or an array has loaded the library already; nobody else should pay for it.
    pil, numpy = sys.modules.get("PIL.Image"), sys.modules.get("numpy")
    if pil is not None and isinstance(image, pil.Image):
        return _encode(upright(image)), None
    if numpy is not None and isinstance(image, numpy.ndarray):
        return _encode(_from_array(image, channels)), None
    raise TypeError(
        f"image is a {type(image).__name__}: give a path, the bytes of an image, a PIL image or a numpy array"
    )


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > MAX_MESSAGE_BYTES:
                raise too_large(size)
            return file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image at {path}: give the path of a JPEG, PNG or WebP file") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder: give the path of one image in it") from None


def upright(image: "PILImage") -> "PILImage":
    """A PIL image turned as its EXIF orientation says; as it is where its EXIF makes no sense.

    PIL's own function fails on what cameras and editors leave in EXIF.

    Raises:
        OSError: If its pixels can't be read.
    """
    from PIL import Image

    try:
        image.load()
    except Exception as error:  # PIL raises many types for files that it can't decode
        raise OSError(
            f"PIL can't read the pixels of this image ({error}): give the path of its file, or a whole one"
        ) from error
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # many types as well
        return image
    return image if method is None else image.transpose(Image.Transpose(method))


def _from_array(array: Any, channels: str) -> "PILImage":
    from PIL import Image

    if channels not in {"RGB", "BGR"}:
        raise InvalidRequest.of("channels", f'{channels!r} is not an order of colours: give "RGB" or "BGR"')
    if array.ndim == _COLOUR_DIMENSIONS and array.shape[2] == 1:
        array = array[:, :, 0]
    grey = array.ndim == _GREY_DIMENSIONS
    colour = array.ndim == _COLOUR_DIMENSIONS and array.shape[2] in {3, 4}
    depths = {"uint8", "uint16"} if grey else {"uint8"}
    if not (grey or colour) or str(array.dtype) not in depths or array.size == 0:
        raise InvalidRequest.of(
            "image.data",
            f"the array has shape {array.shape} and type {array.dtype}: give uint8 of shape (height, width, 3), grey "
            "of shape (height, width), or with alpha (height, width, 4)",
        )
    if colour and channels == "BGR":
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    return Image.fromarray(array)


def _encode(image: "PILImage") -> bytes:
    """PNG of a PIL image, without its metadata: a colour profile is nothing that servers use."""
    image = _in_a_mode_of_png(image)
    buffer = io.BytesIO()
    # Speed matters more than size on the way to a local server.
    image.save(buffer, "PNG", compress_level=1, icc_profile=None)
    if (size := buffer.tell()) > MAX_MESSAGE_BYTES:
        raise too_large(size, " as PNG", "make it smaller, or give the path or the bytes of its file")
    return buffer.getvalue()


def _in_a_mode_of_png(image: "PILImage") -> "PILImage":
    if 0 in image.size:
        raise InvalidRequest.of(
            "image.data",
            f"the image has no pixels ({image.width} × {image.height}): give an image with at least one pixel",
        )
    if image.mode in _AS_PNG:
        return image
    if image.mode in _BY_MODE:
        return image.convert(_BY_MODE[image.mode])
    if image.mode.startswith("I"):
        whole = image.convert("I")
        darkest, brightest = whole.getextrema()
        if isinstance(darkest, int) and isinstance(brightest, int) and 0 <= darkest <= brightest <= _GREY_16:
            return whole.convert("I;16")
        said = f"has values from {darkest} to {brightest}, where 0 to {_GREY_16} are allowed"
    else:
        said = "doesn't say which values are black and white"
    raise InvalidRequest.of(
        "image.data",
        f"the image is of PIL's mode {image.mode}, which {said}: scale it to 0 to 255 and convert it to L or RGB",
    )


def too_large(size: int, how: str = "", advice: str = "send a smaller one") -> InvalidRequest:
    """The error for an image of more bytes than a call carries."""
    limit = MAX_MESSAGE_BYTES // 2**20
    return InvalidRequest.of(
        "image.data", f"the image has {size / 2**20:.1f} MiB{how}, a call carries {limit} MiB: {advice}"
    )
