"""Reading pictures that callers send: limits from the header first, pixels only if they are needed.

Formats are JPEG, PNG and WebP with a single frame. Nothing is ever written to a log or to disk.
"""

import asyncio
import hashlib
import io
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from PIL import ExifTags, Image, PngImagePlugin

from services.serving.errors import InvalidArgument
from services.serving.jpeg import has_short_header
from services.serving.settings import ServerSettings
from services.serving.webp import still_size

FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats that are read, by Pillow's names."""

# Our own limit is stricter, configurable and refuses before decoding; Pillow's would only warn in that range.
Image.MAX_IMAGE_PIXELS = None
# Text and colour profile chunks are never used, so a compressed one may not inflate to much.
PngImagePlugin.MAX_TEXT_CHUNK = 2**20
PngImagePlugin.MAX_TEXT_MEMORY = 2**22
# Pillow's debug records hold EXIF values, the place where a photograph was taken among them.
logging.getLogger("PIL").setLevel(logging.INFO)
# It warns about odd metadata, which is dropped anyway. warnings.catch_warnings around each call is not for threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

_JPEG = b"\xff\xd8\xff"
_SIGNATURES = ((0, _JPEG), (0, b"\x89PNG\r\n\x1a\n"), (8, b"WEBP"))
"""How files of the formats begin: offset and bytes."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright; those not listed are."""


@dataclass(frozen=True)
class PictureLimits:
    """Bounds on a picture, all checked before a pixel is decoded."""

    max_bytes: int
    """Encoded size in bytes."""
    max_pixels: int
    """Width times height."""
    max_side: int
    """Width and height in pixels."""

    @classmethod
    def of(cls, settings: ServerSettings) -> "PictureLimits":
        """The limits that a server's settings state."""
        return cls(
            max_bytes=int(settings.max_image_mib * 2**20),
            max_pixels=int(settings.max_image_megapixels * 1e6),
            max_side=settings.max_image_side,
        )


_SMALL_BYTES = 1 << 16
"""JPEG with short headers and still WebP up to this size have them read at once: that and hashing takes less than
handing them to a thread. Not so a PNG, whose compressed metadata is unpacked with its header, nor an animation, which
is opened."""


class PictureHeader(NamedTuple):
    """What the encoded bytes say before any pixel is decoded."""

    sha256: str
    """SHA-256 of the encoded bytes as lower-case hexadecimal."""
    format: str
    """One of `FORMATS`."""
    width: int
    """Pixels, as stored: before EXIF orientation."""
    height: int
    """Pixels, as stored: before EXIF orientation."""


def read_header(data: bytes, limits: PictureLimits, field: str = "image.data") -> PictureHeader:
    """Checks encoded bytes against the limits without decoding pixels.

    Raises:
        InvalidArgument: About `field`, if the bytes are no picture, of another format, animated or over a limit.
    """
    _check_length(data, limits, field)
    size = still_size(data)
    if size is not None:
        _check_size(*size, limits, field)
        return PictureHeader(hashlib.sha256(data).hexdigest(), "WEBP", *size)
    with _open(data, limits, field) as picture:
        return _header(picture, data)


def decode(data: bytes, limits: PictureLimits, field: str = "image.data") -> Image.Image:
    """Decodes encoded bytes to an upright picture of mode RGB without metadata.

    EXIF orientation is applied; CMYK, palette and 16-bit pictures are converted; transparency is laid on white.

    Raises:
        InvalidArgument: About `field`, as `read_header` does, and if the data is truncated or damaged.
    """
    return read(data, limits, field)[1]


def read(data: bytes, limits: PictureLimits, field: str = "image.data") -> tuple[PictureHeader, Image.Image]:
    """Reads the header, checks it, and only then decodes; see `read_header` and `decode`."""
    with _open(data, limits, field) as picture:
        header = _header(picture, data)
        try:
            picture.load()
            rgb = _to_rgb(_upright(picture))
        except Exception as error:
            # Pillow raises many types for damaged data, in decoders and conversions; the picture is at fault.
            raise InvalidArgument(
                field, "the picture is truncated or damaged; send the whole file", reason="IMAGE_DAMAGED"
            ) from error
    # A bare copy: no EXIF, no profile, no text goes any further.
    bare = Image.new("RGB", rgb.size)
    bare.paste(rgb)
    return header, bare


def _header(picture: Image.Image, data: bytes) -> PictureHeader:
    # A phone's JPEG may hold a preview or depth map beside the photograph; Pillow calls that MPO.
    name = "JPEG" if picture.format == "MPO" else str(picture.format)
    return PictureHeader(hashlib.sha256(data).hexdigest(), name, *picture.size)


def _check_length(data: bytes, limits: PictureLimits, field: str) -> None:
    if not data:
        raise InvalidArgument(field, "the picture is empty; send the bytes of a file", reason="IMAGE_EMPTY")
    if len(data) > limits.max_bytes:
        raise InvalidArgument(
            field,
            f"the picture has {len(data):,} bytes, at most {limits.max_bytes:,} are taken; send a smaller one",
            reason="IMAGE_TOO_LARGE",
        )


def _check_size(width: int, height: int, limits: PictureLimits, field: str) -> None:
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise InvalidArgument(
            field,
            f"the picture is {width} × {height} pixels; at most {limits.max_side} a side and "
            f"{limits.max_pixels / 1e6:g} megapixels are taken; send a smaller one",
            reason="IMAGE_TOO_LARGE",
        )


def _open(data: bytes, limits: PictureLimits, field: str) -> Image.Image:
    _check_length(data, limits, field)
    size = still_size(data)
    if size is not None:
        _check_size(*size, limits, field)  # before Pillow takes memory for it
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        # As with decoding: any failure on these bytes is the bytes' fault.
        if any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise InvalidArgument(
                field,
                "the picture's header is damaged, or its metadata is too large; send the whole file without metadata",
                reason="IMAGE_DAMAGED",
            ) from error
        raise InvalidArgument(
            field, "not a picture in JPEG, PNG or WebP; convert it to one of them", reason="IMAGE_UNREADABLE"
        ) from error
    _check_size(*picture.size, limits, field)
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise InvalidArgument(field, f"the picture has {frames} frames; send a single one", reason="IMAGE_ANIMATED")
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    """Turns a picture as its EXIF orientation says.

    Pillow's own function writes all EXIF anew, and fails on what cameras and editors leave there.
    """
    try:
        method = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # many types, as with decoding; without sound EXIF the picture is as good as stored
        return picture
    return picture if method is None else picture.transpose(method)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255, which would make nearly everything white.
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return picture.convert("RGB")


class PictureReader:
    """Reads pictures in a few threads, so that the event loop never waits for a decoder.

    Pillow lets other threads run while it decodes, hence threads.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limits = PictureLimits.of(settings)
        self._pool = ThreadPoolExecutor(settings.decode_workers, thread_name_prefix="pictures")

    async def header(self, data: bytes, field: str = "image.data") -> PictureHeader:
        """Reads the header; see `read_header`."""
        if len(data) <= _SMALL_BYTES and (still_size(data) or (data.startswith(_JPEG) and has_short_header(data))):
            return read_header(data, self.limits, field)
        return await asyncio.get_running_loop().run_in_executor(self._pool, read_header, data, self.limits, field)

    async def read(self, data: bytes, field: str = "image.data") -> tuple[PictureHeader, Image.Image]:
        """Reads the header, then the pixels; see `read`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, read, data, self.limits, field)

    def close(self) -> None:
        """Lets the threads go; a picture that is being decoded is finished first."""
        self._pool.shutdown(wait=False, cancel_futures=True)
