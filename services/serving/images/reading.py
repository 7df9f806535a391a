"""Reading pictures that callers send: limits from the header first, pixels only if they are needed.

Formats are JPEG, PNG and WebP with a single frame. Nothing is ever written to a log or to disk.
"""

import asyncio
import hashlib
import logging
import warnings
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from PIL import Image, PngImagePlugin

from services.serving.errors import InvalidArgument
from services.serving.images import jpeg, other_formats, png, webp
from services.serving.images.jpeg import has_short_header
from services.serving.images.pixels import decoded, reduction, upright_size, upright_size_of
from services.serving.images.repairs import JPEG, PNG, opened, repaired, uncommon
from services.serving.images.webp import still_size
from services.serving.settings import ServerSettings

# Our own limit is stricter, configurable and refuses before decoding; Pillow's would only warn in that range.
Image.MAX_IMAGE_PIXELS = None
# Text and colour profile chunks are never used, so a compressed one may not inflate to much.
PngImagePlugin.MAX_TEXT_CHUNK = 2**20
PngImagePlugin.MAX_TEXT_MEMORY = 2**22
# Pillow's debug records hold EXIF values, the place where a photograph was taken among them.
logging.getLogger("PIL").setLevel(logging.INFO)
# It warns about odd metadata, which is dropped anyway. warnings.catch_warnings around each call is not for threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

_ROS_DEPTH_HEADER = 12
"""Bytes before the PNG in a message of ROS's compressed_depth_image_transport."""
_SIGNATURES = ((0, JPEG), (0, PNG), (8, b"WEBP"))
"""How files of the formats begin: offset and bytes."""


@dataclass(frozen=True)
class PictureLimits:
    """Bounds on a picture, all checked before a pixel is decoded."""

    max_bytes: int
    """Encoded size in bytes."""
    max_pixels: int
    """Width times height."""
    max_side: int
    """Width and height in pixels."""
    max_used_pixels: int = 0
    """Width times height to which larger pictures are reduced when they are decoded; 0 for no reduction."""

    @classmethod
    def of(cls, settings: ServerSettings) -> "PictureLimits":
        """The limits that a server's settings state."""
        return cls(
            max_bytes=int(settings.max_image_mib * 2**20),
            max_pixels=int(settings.max_image_megapixels * 1e6),
            max_side=settings.max_image_side,
            max_used_pixels=int(settings.used_image_megapixels * 1e6),
        )


_RGB_BYTES = 3
_SMALL_BYTES = 1 << 16
"""JPEG with short headers and still WebP up to this size have them read at once: that and hashing takes less than
handing them to a thread. Not so a PNG, whose compressed metadata is unpacked with its header, nor an animation, which
is opened."""
_LITTLE_METADATA = 1 << 12
"""Bytes of a WebP's EXIF that are read at once: entry by entry."""


class PictureHeader(NamedTuple):
    """What the encoded bytes say before any pixel is decoded."""

    sha256: str
    """SHA-256 of the encoded bytes as lower-case hexadecimal."""
    format: str
    """One of `FORMATS`."""
    width: int
    """Pixels of the upright picture: after EXIF orientation."""
    height: int
    """Pixels of the upright picture: after EXIF orientation."""


def read_header(data: bytes, limits: PictureLimits, field: str = "image.data") -> PictureHeader:
    """Checks encoded bytes against the limits without decoding pixels.

    Raises:
        InvalidArgument: About `field`, if the bytes are no picture, of another format, animated or over a limit.
    """
    _check_length(data, limits, field)
    size = still_size(data)
    if size is not None:
        _check_size(*size, limits, field)
        return PictureHeader(hashlib.sha256(data).hexdigest(), "WEBP", *upright_size_of(size, webp.metadata(data)))
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
        fault: Exception | None = None
        try:
            # Zeros count as blocks for a decoder.
            if not (data.startswith(JPEG) and jpeg.is_padded(data)):
                return header, decoded(picture, limits.max_used_pixels)
        except InvalidArgument as error:
            raise error.renamed(lambda _: field) from error
        except Exception as error:
            # Pillow raises many types for damaged data, in decoders and conversions; the picture is at fault. The
            # traceback would keep pixels.
            fault = error.with_traceback(None)
    served = repaired(data, limits.max_used_pixels)
    if served is None:
        _check_kind(data, field, fault)
        raise InvalidArgument(
            field, "the image is truncated or damaged; send the complete file", reason="IMAGE_DAMAGED"
        ) from fault
    return header, served


def _header(picture: Image.Image, data: bytes) -> PictureHeader:
    # A phone's JPEG may hold a preview or depth map beside the photograph; Pillow calls that MPO.
    name = "JPEG" if picture.format == "MPO" else str(picture.format)
    if name == "PNG" and "exif" not in picture.info:
        # It may come behind the pixels, and Pillow would decode them to find it.
        picture.info["exif"] = png.exif(data)
    return PictureHeader(hashlib.sha256(data).hexdigest(), name, *upright_size(picture))


def _is_plain_webp(data: bytes) -> bool:
    return still_size(data) is not None and sum(map(len, webp.metadata(data).values())) <= _LITTLE_METADATA


def _check_length(data: bytes, limits: PictureLimits, field: str) -> None:
    if not data:
        raise InvalidArgument(field, "the image is empty; send the bytes of a file", reason="IMAGE_EMPTY")
    if len(data) > limits.max_bytes:
        raise InvalidArgument(
            field,
            f"the image has {len(data):,} bytes, at most {limits.max_bytes:,} are allowed; send a smaller one",
            reason="IMAGE_TOO_LARGE",
        )


_NARROWEST = 100
"""How many times as long as wide a picture may be. Models' processors bring the shorter side to a size of their own: of
a thinner picture of a hundred bytes they make gigabytes."""


def _check_size(width: int, height: int, limits: PictureLimits, field: str) -> None:
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise InvalidArgument(
            field,
            f"the image is {width} × {height} pixels; at most {limits.max_side} a side and "
            f"{limits.max_pixels / 1e6:g} megapixels are allowed; send a smaller image",
            reason="IMAGE_TOO_LARGE",
        )
    if max(width, height) > _NARROWEST * min(width, height):
        raise InvalidArgument(
            field,
            f"the image is {width} × {height} pixels; its longer side may be at most {_NARROWEST} times the "
            "shorter one; crop the image",
            reason="IMAGE_TOO_NARROW",
        )


_MAX_SCANNED_PIXELS = 1_000_000_000
"""Of a JPEG in all of its scans together: some seconds of a processor. An image of 64 megapixels may have 16."""


def _too_complex(field: str, what: str) -> InvalidArgument:
    return InvalidArgument(
        field,
        f"the image would take too long to decode: {what}; save it again with a common image program",
        reason="IMAGE_TOO_COMPLEX",
    )


def _open(data: bytes, limits: PictureLimits, field: str) -> Image.Image:
    _check_length(data, limits, field)
    size = still_size(data)
    if size is not None:
        _check_size(*size, limits, field)  # before Pillow takes memory for it
    scans = jpeg.scans(data) if data.startswith(JPEG) else 0
    if scans is None or (data.startswith(PNG) and png.has_many_chunks(data)):
        raise _too_complex(field, "it has tens of thousands of segments")
    try:
        picture = opened(data)
    except Exception as error:
        # As with decoding: any failure on these bytes is the bytes' fault.
        _check_kind(data, field, error)
        if any(data.startswith(signature, offset) for offset, signature in _SIGNATURES):
            raise InvalidArgument(
                field, "the image's header is damaged; send the complete file", reason="IMAGE_DAMAGED"
            ) from error
        if data[_ROS_DEPTH_HEADER:].startswith(PNG):
            raise InvalidArgument(
                field,
                "the data is a depth image in ROS's compressedDepth form; send the colour image of the camera",
                reason="IMAGE_UNREADABLE",
            ) from error
        raise InvalidArgument(field, f"the data is {other_formats.told(data)}", reason="IMAGE_UNREADABLE") from error
    _check_size(*picture.size, limits, field)
    if scans > jpeg.FEW_SCANS and scans * picture.width * picture.height > _MAX_SCANNED_PIXELS:
        raise _too_complex(field, f"it has {scans} scans")
    frames = getattr(picture, "n_frames", 1)
    # Other pictures of an MPO, and the animation of a PNG that has a picture of its own for all who don't play it, are
    # not what a viewer shows at first.
    if frames > 1 and picture.format != "MPO" and not getattr(picture, "default_image", False):
        raise InvalidArgument(field, f"the image has {frames} frames; send a single one", reason="IMAGE_ANIMATED")
    return picture


def _check_kind(data: bytes, field: str, fault: Exception | None) -> None:
    if what := uncommon(data):
        description = f"the data is {other_formats.uncommon(what)}"
        raise InvalidArgument(field, description, reason="IMAGE_UNREADABLE") from fault


class Room:
    """Bytes that are given out in the order in which they were asked for.

    Args:
        total: Bytes; who asks for more gets all of them.
    """

    def __init__(self, total: int) -> None:
        self._total = self._left = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Waits for bytes and holds them for as long as the context lasts."""
        size = min(size, self._total)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._left += size
            else:
                with suppress(ValueError):  # passed over already
                    self._waiting.remove((size, turn))
            self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._left -= size
                turn.set_result(None)


class PictureReader:
    """Reads pictures in a few threads, so that the event loop never waits for a decoder.

    Pillow lets other threads run while it decodes, so threads are enough.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limits = PictureLimits.of(settings)
        self._pool = ThreadPoolExecutor(settings.decode_workers, thread_name_prefix="pictures")
        self._room = Room(int(settings.decoded_images_mib * 2**20))

    def reduce_to(self, pixels: int) -> None:
        """Has larger pictures than this reduced when they are decoded, if the settings don't say a smaller number."""
        bounds = [bound for bound in (self.limits.max_used_pixels, pixels) if bound]
        self.limits = replace(self.limits, max_used_pixels=min(bounds, default=0))

    async def header(self, data: bytes, field: str = "image.data") -> PictureHeader:
        """Reads the header; see `read_header`."""
        if len(data) <= _SMALL_BYTES and (_is_plain_webp(data) or (data.startswith(JPEG) and has_short_header(data))):
            return read_header(data, self.limits, field)
        return await asyncio.get_running_loop().run_in_executor(self._pool, read_header, data, self.limits, field)

    async def read(self, data: bytes, field: str = "image.data") -> tuple[PictureHeader, Image.Image]:
        """Reads the header, then the pixels; see `read`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, read, data, self.limits, field)

    @asynccontextmanager
    async def reading(self, data: bytes, field: str = "image.data") -> AsyncIterator[tuple[PictureHeader, Image.Image]]:
        """The same, once there is room for the pixels beside those of other pictures; the room is given back at the end
        of the context, where the caller lets go of them."""
        async with self.reading_all([(data, field)]) as (read,):
            yield read

    @asynccontextmanager
    async def reading_all(
        self, pictures: Sequence[tuple[bytes, str]]
    ) -> AsyncIterator[list[tuple[PictureHeader, Image.Image]]]:
        """The same for several pictures and their fields. Their room is taken at once: two callers that each held room
        for their first and waited for more would wait for ever."""
        headers = [await self.header(data, field) for data, field in pictures]
        async with self._room.taken(sum(map(self._size, headers))):
            yield [await self.read(data, field) for data, field in pictures]

    def _size(self, header: PictureHeader) -> int:
        factor = reduction(header.width, header.height, self.limits.max_used_pixels)
        return header.width * header.height // factor**2 * _RGB_BYTES

    def close(self) -> None:
        """Lets the threads go; a picture that is being decoded is finished first."""
        self._pool.shutdown(wait=False, cancel_futures=True)
