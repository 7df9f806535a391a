"""Every odd picture that a caller may send: what is served, what is refused, and that nothing else ever happens."""

import asyncio
import functools
import hashlib
import io
import logging
import random
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile, PngImagePlugin, WebPImagePlugin

from services.serving.errors import Code, InvalidArgument
from services.serving.images.reading import PictureLimits, PictureReader, Room, decode, read_header
from services.serving.images.repairs import FORMATS
from services.serving.settings import ServerSettings

# pytest replaces the filter that the module under test sets for Pillow's warnings about odd metadata.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LIMITS = PictureLimits(max_bytes=2**20, max_pixels=4_000_000, max_side=4000)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encode(picture: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def scene(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture without symmetry: its corners differ."""
    picture = Image.new("RGB", size, (90, 120, 60))
    pencil = ImageDraw.Draw(picture)
    width, height = size[0] // 2, size[1] // 2
    pencil.rectangle((0, 0, width - 1, height - 1), fill=RED)
    pencil.rectangle((width, 0, size[0], height - 1), fill=GREEN)
    pencil.rectangle((0, height, width - 1, size[1]), fill=BLUE)
    return picture


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand; `rows` begin with their filter byte each, `extra` chunks come before the pixels."""
    return b"".join((
        PNG_SIGNATURE,
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        *(chunk(*each) for each in extra),
        chunk(b"IDAT", zlib.compress(rows, 9)),
        chunk(b"IEND", b""),
    ))  # fmt: skip


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP of one 4 × 4 frame on a canvas of another size."""
    frame = encode(Image.new("RGB", (4, 4), RED), "WEBP")[12:]
    offset_and_size = bytes(6) + (3).to_bytes(3, "little") * 2
    body = b"".join((
        b"WEBPVP8X", struct.pack("<I", 10), b"\x02\0\0\0",
        (width - 1).to_bytes(3, "little"), (height - 1).to_bytes(3, "little"),
        b"ANIM", struct.pack("<I", 6), bytes(6),
        b"ANMF", struct.pack("<I", 16 + len(frame)), offset_and_size, (100).to_bytes(3, "little"), b"\0", frame,
    ))  # fmt: skip
    return b"RIFF" + struct.pack("<I", len(body)) + body


def exif_block(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """EXIF written by hand: entries of tag, type, count and value."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0) + tail


def refused(data: bytes, read: Callable[[bytes, PictureLimits], object] = decode) -> str:
    """The reason with which a picture is refused."""
    with pytest.raises(InvalidArgument) as caught:
        read(data, LIMITS)
    error = caught.value
    assert error.code is Code.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["image.data"]
    assert error.message == f"image.data: {error.violations[0].description}"
    return error.reason


def refused_undecoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reason with which a picture is refused by its header alone: any attempt to decode pixels fails the test."""
    decoded: list[str] = []
    for plugin in (Image.Image, ImageFile.ImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(plugin, "load", lambda self: decoded.append(type(self).__name__))
    reason = refused(data)
    assert refused(data, read_header) == reason
    assert not decoded
    return reason


# Bytes that are no picture, or not one that is taken.


@pytest.mark.parametrize("read", [read_header, decode])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(scene(), "GIF"), id="GIF"),
        pytest.param(encode(scene(), "BMP"), id="BMP"),
        pytest.param(encode(scene(), "TIFF"), id="TIFF"),
        pytest.param(encode(scene(), "PPM"), id="PPM"),
        pytest.param(encode(scene(), "ICO"), id="ICO"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', id="SVG"),
        pytest.param(b"<!doctype html><title>404</title>", id="HTML"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(random.Random(1).randbytes(4096), id="random bytes"),
        pytest.param(b"\0", id="one zero byte"),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), id="RIFF that is sound"),
    ],
)
def test_other_formats_are_refused_as_unreadable_whatever_their_name_says(
    data: bytes, read: Callable[[bytes, PictureLimits], object]
) -> None:
    assert refused(data, read) == "IMAGE_UNREADABLE"


def test_no_other_plugin_of_pillow_sees_what_callers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    # Most advisories of Pillow are about plugins for other formats.
    Image.init()
    others = set(Image.OPEN) - set(FORMATS)
    assert len(others) > 30
    asked: list[str] = []
    for name in others:
        factory, accept = Image.OPEN[name]

        def seen(*arguments: object, name: str = name, function: Any) -> Any:
            asked.append(name)
            return function(*arguments)

        monkeypatch.setitem(
            Image.OPEN,
            name,
            (functools.partial(seen, function=factory), accept and functools.partial(seen, function=accept)),
        )
    written = [name for name in Image.SAVE if name in others]
    files = [data for name in written if (data := _written(name))]
    assert len(files) > 15
    begun = [b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"8BPS\0\1", b"SIMPLE  =", b"\0\0\0\x0cjP  \r\n\x87\n"]
    for data in [*files, *begun]:
        with suppress(InvalidArgument):
            decode(data, LIMITS)
    assert asked == []
    for data in files:  # and they would be asked otherwise
        with suppress(Exception):
            Image.open(io.BytesIO(data)).close()
    assert len(set(asked)) > 15


def _written(name: str) -> bytes:
    """A picture in one of Pillow's formats; nothing if it can't be written without more."""
    for mode in ("RGB", "L", "1"):
        with suppress(Exception):
            return encode(scene().convert(mode), name)
    return b""


def test_no_bytes_are_refused_as_empty() -> None:
    assert refused(b"") == refused(b"", read_header) == "IMAGE_EMPTY"


def test_the_error_names_the_field_that_the_caller_gives() -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(b"nothing", LIMITS, "frames[2].image.data")
    assert caught.value.violations[0].field == "frames[2].image.data"


def test_the_error_holds_nothing_of_the_decoders_own_text() -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(encode(scene(), "PNG")[:-60], LIMITS)
    assert str(caught.value.__cause__) not in caught.value.message


# Damaged files.


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95])
def test_a_truncated_picture_is_refused_as_damaged(file_format: str, kept: float) -> None:
    noise = Image.frombytes("RGB", (64, 48), random.Random(2).randbytes(64 * 48 * 3))
    data = encode(noise, file_format)
    assert refused(data[: int(len(data) * kept)]) == "IMAGE_DAMAGED"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_file_that_breaks_off_in_its_header_is_damaged_and_not_of_an_unknown_format(file_format: str) -> None:
    assert refused(encode(scene(), file_format)[:20], read_header) == "IMAGE_DAMAGED"


def test_a_truncated_picture_still_has_a_header() -> None:
    data = encode(scene(), "PNG")
    assert read_header(data[:-40], LIMITS)[1:] == ("PNG", 64, 48)


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encode(scene(), "PNG"))
    data[29] ^= 1  # the checksum of IHDR
    assert refused(bytes(data)) == "IMAGE_DAMAGED"


def test_a_png_without_width_is_refused() -> None:
    assert refused(png(0, 1, 8, 0, b"\0")) == "IMAGE_DAMAGED"


def test_a_png_whose_pixels_are_not_compressed_data_is_refused() -> None:
    data = png(2, 2, 8, 2, b"").replace(chunk(b"IDAT", zlib.compress(b"", 9)), chunk(b"IDAT", b"not compressed"))
    assert refused(data) == "IMAGE_DAMAGED"


def test_bytes_after_the_picture_are_ignored() -> None:
    assert decode(encode(scene(), "PNG") + b"<script>", LIMITS).tobytes() == scene().tobytes()


# Bounds, all of them from the header.


def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png(20_000, 20_000, 8, 2, bytes(60_001) * 16)
    assert len(bomb) < 4096
    assert refused_undecoded(bomb, monkeypatch) == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("size", [(16_384, 16_384), (2**24, 255)])
def test_a_webp_with_a_huge_canvas_is_refused_before_a_pixel_is_decoded(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused_undecoded(webp_canvas(*size), monkeypatch) == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("size", [(4001, 41), (41, 4001), (2001, 2000)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_one_pixel_over_a_bound_is_too_large(
    size: tuple[int, int], file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {
        "JPEG": lambda: encode(Image.new("L", size), "JPEG"),
        "PNG": lambda: png(*size, 1, 0, b"\0"),
        "WEBP": lambda: encode(Image.new("L", size), "WEBP", lossless=True),
    }[file_format]()
    assert refused_undecoded(data, monkeypatch) == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("size", [(4000, 40), (40, 4000), (2000, 2000)])
def test_a_picture_at_a_bound_is_served(size: tuple[int, int]) -> None:
    assert decode(encode(Image.new("1", size, 1), "PNG"), LIMITS).size == size


def test_the_message_says_what_the_picture_has_and_what_is_taken() -> None:
    with pytest.raises(InvalidArgument, match=r"5000 × 2 pixels; at most 4000 a side and 4 megapixels"):
        read_header(png(5000, 2, 8, 0, b"\0"), LIMITS)


def test_bytes_over_the_bound_are_refused_without_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(scene(), "PNG").ljust(2**20 + 1, b"\0")
    monkeypatch.setattr(Image, "open", None)
    assert refused(data) == "IMAGE_TOO_LARGE"


def test_bytes_at_the_bound_are_served() -> None:
    assert decode(encode(scene(), "PNG").ljust(2**20, b"\0"), LIMITS).size == (64, 48)


def test_limits_follow_from_the_settings() -> None:
    made = PictureLimits.of(ServerSettings(max_image_mib=0.5, max_image_megapixels=1.5, max_image_side=99))
    assert made == PictureLimits(max_bytes=2**19, max_pixels=1_500_000, max_side=99, max_used_pixels=16_000_000)


@pytest.mark.parametrize("file_format", ["WEBP", "PNG"])
def test_an_animation_is_refused(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    data = encode(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    assert refused_undecoded(data, monkeypatch) == "IMAGE_ANIMATED"


# What is served, and how it looks.


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_the_header_has_hash_format_and_size(file_format: str) -> None:
    data = encode(scene(), file_format)
    assert read_header(data, LIMITS) == (hashlib.sha256(data).hexdigest(), file_format, 64, 48)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_of_one_pixel_is_served(file_format: str, mode: str) -> None:
    picture = decode(encode(Image.new(mode, (1, 1), "white"), file_format), LIMITS)
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("RGB", (1, 1), WHITE)


def test_a_progressive_jpeg_is_served() -> None:
    picture = decode(encode(scene(), "JPEG", progressive=True, quality=95), LIMITS)
    assert near(picture.getpixel((8, 8)), RED)


def near(pixel: object, wanted: tuple[int, int, int], tolerance: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(had - want) <= tolerance for had, want in zip(pixel, wanted, strict=True))


def test_a_cmyk_jpeg_is_served_in_its_colours() -> None:
    picture = decode(encode(scene().convert("CMYK"), "JPEG", quality=95), LIMITS)
    assert picture.mode == "RGB"
    assert near(picture.getpixel((8, 8)), RED)
    assert near(picture.getpixel((56, 8)), GREEN)
    assert near(picture.getpixel((8, 40)), BLUE)


def test_a_grey_jpeg_is_served_as_rgb() -> None:
    picture = decode(encode(Image.new("L", (16, 16), 77), "JPEG"), LIMITS)
    assert near(picture.getpixel((8, 8)), (77, 77, 77), 1)


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (0x4040, 64), (0x8080, 128), (0xFEFE, 254), (0xFFFF, 255)])
def test_a_16_bit_grey_png_keeps_its_brightness(value: int, wanted: int) -> None:
    picture = decode(png(1, 1, 16, 0, b"\0" + struct.pack(">H", value)), LIMITS)
    assert picture.getpixel((0, 0)) == (wanted,) * 3


def test_a_16_bit_rgb_png_keeps_its_colour() -> None:
    picture = decode(png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 0xFFFF, 0x8080, 0)), LIMITS)
    assert picture.getpixel((0, 0)) == (255, 128, 0)


@pytest.mark.parametrize(
    ("colour", "pixels"),
    [(0, (0x8080, 0xFFFF)), (2, (0x8080,) * 3 + (0xFFFF,) * 3)],
)
def test_a_transparent_colour_of_a_16_bit_png_is_white(colour: int, pixels: tuple[int, ...]) -> None:
    transparent = struct.pack(f">{len(pixels) // 2}H", *pixels[: len(pixels) // 2])
    rows = b"\0" + struct.pack(f">{len(pixels)}H", *pixels)
    picture = decode(png(2, 1, 16, colour, rows, (b"tRNS", transparent)), LIMITS)
    assert picture.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(("colour", "samples"), [(4, 1), (6, 3)])
def test_a_16_bit_alpha_channel_is_laid_on_white(colour: int, samples: int) -> None:
    grey = (0x8080,) * samples
    rows = b"\0" + struct.pack(f">{2 * samples + 2}H", *grey, 0xFFFF, *grey, 0)
    picture = decode(png(2, 1, 16, colour, rows), LIMITS)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(128, 128, 128), WHITE]


def test_a_palette_png_is_served_in_its_colours() -> None:
    data = encode(scene().quantize(8), "PNG")
    assert decode(data, LIMITS).tobytes() == scene().tobytes()


PALETTE = (b"PLTE", bytes((200, 0, 0, 0, 200, 0)))


def test_transparent_palette_entries_are_white() -> None:
    picture = decode(png(2, 1, 8, 3, b"\0\0\1", PALETTE, (b"tRNS", b"\0")), LIMITS)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [WHITE, (0, 200, 0)]


def test_half_transparent_palette_entries_are_mixed_with_white() -> None:
    picture = decode(png(2, 1, 8, 3, b"\0\0\1", PALETTE, (b"tRNS", bytes((255, 128)))), LIMITS)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (127, 227, 127)]


def test_a_palette_png_without_a_palette_is_refused_as_damaged() -> None:
    assert refused(png(2, 1, 8, 3, b"\0\0\1")) == "IMAGE_DAMAGED"


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(Image.new("RGBA", (4, 4), (10, 20, 30, 0)), id="RGBA"),
        pytest.param(Image.new("LA", (4, 4), (10, 0)), id="LA"),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_transparent_pixels_are_white(picture: Image.Image, file_format: str) -> None:
    # Without exact=True WebP drops the colour of pixels that nobody sees.
    data = encode(picture, file_format, **({"lossless": True, "exact": True} if file_format == "WEBP" else {}))
    assert decode(data, LIMITS).getpixel((0, 0)) == WHITE


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    data = encode(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")
    assert decode(data, LIMITS).getpixel((0, 0)) == (255, 127, 127)


def test_a_grey_and_an_rgb_png_with_a_transparent_colour_are_laid_on_white() -> None:
    grey = png(2, 1, 8, 0, b"\0\x80\x10", (b"tRNS", struct.pack(">H", 0x80)))
    rgb = png(2, 1, 8, 2, b"\0\x80\x80\x80\x10\x10\x10", (b"tRNS", struct.pack(">HHH", 0x80, 0x80, 0x80)))
    for data in (grey, rgb):
        picture = decode(data, LIMITS)
        assert [picture.getpixel((x, 0)) for x in (0, 1)] == [WHITE, (16, 16, 16)]


def test_a_one_bit_png_is_black_and_white() -> None:
    picture = decode(png(2, 1, 1, 0, b"\0\x40"), LIMITS)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [BLACK, WHITE]


def test_a_webp_frame_smaller_than_its_canvas_is_served() -> None:
    assert decode(webp_canvas(8, 6), LIMITS).size == (8, 6)


# Orientation and other metadata.

STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is turned when it is stored with each EXIF orientation."""


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_a_picture_is_upright_whatever_its_exif_orientation(orientation: int, file_format: str) -> None:
    method = STORED[orientation]
    stored = scene().transpose(method) if method is not None else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless: dict[str, object] = {"lossless": True} if file_format == "WEBP" else {}
    picture = decode(encode(stored, file_format, exif=exif, **lossless), LIMITS)
    if file_format == "JPEG":
        assert picture.size == scene().size
        assert near(picture.getpixel((8, 8)), RED)
        assert near(picture.getpixel((56, 8)), GREEN)
        assert near(picture.getpixel((8, 40)), BLUE)
    else:
        assert picture.tobytes() == scene().tobytes()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_the_header_gives_the_size_of_the_upright_picture(
    orientation: int, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(scene(), file_format, exif=exif_block((0x0112, 3, 1, orientation)))
    upright = decode(data, LIMITS).size
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("pixels were decoded"))
    assert read_header(data, LIMITS)[2:] == upright


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    plain = encode(scene(), "PNG")
    data = plain[:-12] + chunk(b"eXIf", exif_block((0x0112, 3, 1, 6))[6:]) + plain[-12:]
    assert read_header(data, LIMITS)[2:] == decode(data, LIMITS).size == (48, 64)


def test_a_turned_picture_keeps_its_transparency() -> None:
    stored = Image.new("P", (2, 1))
    stored.putpalette((200, 0, 0, 0, 200, 0))
    stored.putpixel((1, 0), 1)
    picture = decode(encode(stored, "PNG", transparency=0, exif=exif_block((0x0112, 3, 1, 6))), LIMITS)
    assert [picture.getpixel((0, y)) for y in (0, 1)] == [WHITE, (0, 200, 0)]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"Exif\0\0garbage garbage", id="garbage"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\x05\0", id="breaks off"),
        pytest.param(exif_block((0x0112, 3, 1, 99)), id="no such orientation"),
        pytest.param(exif_block((0x0112, 2, 2, 0x36)), id="orientation in words"),
        pytest.param(exif_block((0x0112, 5, 1, 26), tail=struct.pack("<II", 6, 0)), id="orientation 6/0"),
        pytest.param(exif_block((0x0112, 3, 4, 9999)), id="orientation outside the file"),
    ],
)
def test_a_good_picture_with_a_senseless_orientation_is_served_as_stored(exif: bytes, file_format: str) -> None:
    assert decode(encode(scene(), file_format, exif=exif), LIMITS).size == (64, 48)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(exif_block((0x0112, 3, 1, 6), (0x010F, 2, 100, 9999)), id="maker outside the file"),
        pytest.param(exif_block((0x0112, 3, 1, 6), (0x0100, 2, 4, 0x41414141)), id="width in words"),
        pytest.param(exif_block((0x0112, 3, 1, 6), (0x0101, 11, 1, 0x7F800000)), id="infinite height"),
        pytest.param(exif_block((0x0112, 3, 1, 6), (0x8825, 4, 1, 99999)), id="place outside the file"),
        pytest.param(exif_block((0x0112, 3, 1, 6), (0x8769, 4, 1, 8)), id="block within itself"),
    ],
)
def test_odd_exif_beside_a_good_orientation_does_no_harm(exif: bytes, file_format: str) -> None:
    assert decode(encode(scene(), file_format, exif=exif), LIMITS).size == (48, 64)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_metadata_goes_no_further(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x0112] = 3
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 29.0)}
    options: dict[str, object] = {"exif": exif, "icc_profile": b"profile", "dpi": (300, 300)}
    if file_format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "secret")
        options["pnginfo"] = text
    picture = decode(encode(scene(), file_format, **options), LIMITS)
    assert picture.info == {}
    assert len(picture.getexif()) == 0
    assert type(picture) is Image.Image


def test_metadata_is_not_written_to_logs_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exif = Image.Exif()
    exif[0x010F] = "maker of the camera"
    exif[0x0112] = 6
    data = encode(scene(), "JPEG", exif=exif)
    caplog.clear()
    read_header(data, LIMITS)
    decode(data, LIMITS)
    assert not caplog.records


def test_a_jpeg_with_a_second_picture_is_taken_as_its_first() -> None:
    data = encode(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), WHITE)], quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
    assert read_header(data, LIMITS).format == "JPEG"
    picture = decode(data, LIMITS)
    assert near(picture.getpixel((8, 8)), RED)
    assert near(picture.getpixel((56, 8)), GREEN)


@pytest.mark.parametrize(
    "huge",
    [
        pytest.param((b"zTXt", b"c\0\0" + zlib.compress(bytes(2**26), 9)), id="zTXt"),
        pytest.param((b"iTXt", b"c\0\1\0\0\0" + zlib.compress(bytes(2**26), 9)), id="iTXt"),
        pytest.param((b"iCCP", b"c\0\0" + zlib.compress(bytes(2**26), 9)), id="iCCP"),
    ],
)
def test_a_png_whose_text_or_profile_inflates_to_much_is_served_without_inflating_it(
    huge: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated: list[int] = []
    real = zlib.decompressobj

    class Inflater:
        def __init__(self) -> None:
            self._real = real()

        def decompress(self, data: bytes, max_length: int = 0) -> bytes:
            out = self._real.decompress(data, max_length)
            inflated.append(len(out))
            return out

        @property
        def unconsumed_tail(self) -> bytes:
            return self._real.unconsumed_tail

    monkeypatch.setattr(PngImagePlugin.zlib, "decompressobj", Inflater)
    assert decode(png(1, 1, 8, 0, b"\0\x80", huge), LIMITS).getpixel((0, 0)) == (128, 128, 128)
    assert inflated == [2**20]


def test_many_texts_together_are_no_reason_to_refuse() -> None:
    texts = [(b"zTXt", b"k%d\0\0" % number + zlib.compress(bytes(2**20 - 1), 9)) for number in range(6)]
    data = png(1, 1, 8, 0, b"\0\x80", *texts)
    assert decode(data, LIMITS).getpixel((0, 0)) == (128, 128, 128)
    assert decode(data[:-12] + b"".join(chunk(*text) for text in texts) + data[-12:], LIMITS).size == (1, 1)


def test_a_png_with_a_moderate_text_is_served() -> None:
    data = png(1, 1, 8, 0, b"\0\x80", (b"zTXt", b"c\0\0" + zlib.compress(bytes(500_000))))
    assert decode(data, LIMITS).getpixel((0, 0)) == (128, 128, 128)


# Shapes and depths that no model sees anything in.


@pytest.mark.parametrize("size", [(101, 1), (1, 101), (4000, 39)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_too_narrow_is_refused_before_a_pixel_is_decoded(
    size: tuple[int, int], file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused_undecoded(encode(Image.new("RGB", size), file_format), monkeypatch) == "IMAGE_TOO_NARROW"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_narrow_is_served(file_format: str) -> None:
    assert decode(encode(Image.new("RGB", (100, 1)), file_format), LIMITS).size == (100, 1)


def test_a_depth_image_is_refused_with_advice() -> None:
    millimetres = Image.new("I;16", (64, 48))
    for x in range(64):
        millimetres.putpixel((x, 0), 400 + 80 * x)
    depth = encode(millimetres, "PNG")
    with pytest.raises(InvalidArgument, match=r"5,440 of 65,535.* Send the colour image") as caught:
        decode(depth, LIMITS, "frame.image.data")
    assert caught.value.violations[0].field == "frame.image.data"
    with pytest.raises(InvalidArgument, match="compressedDepth"):
        decode(bytes(12) + depth, LIMITS)


# Reduction.

REDUCED = PictureLimits(max_bytes=2**22, max_pixels=10**7, max_side=5000, max_used_pixels=250_000)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16", "1", "CMYK"])
def test_a_picture_of_more_pixels_than_are_used_is_reduced_to_means(mode: str) -> None:
    """1,501 × 999 pixels are reduced by 3, the picture's halves stay where they are."""
    picture = Image.new("L", (1501, 999), 255)
    picture.paste(0, (0, 0, 750, 999))
    picture = picture.point(lambda value: value * 257, "I").convert("I;16") if mode == "I;16" else picture.convert(mode)
    found = decode(encode(picture, "JPEG" if mode == "CMYK" else "PNG"), REDUCED)
    assert found.size in {(501, 333), (376, 250)}  # a JPEG is halved or quartered by its decoder first
    assert found.size[0] * found.size[1] <= 250_000
    left, right = found.getpixel((10, 10)), found.getpixel((found.size[0] - 10, 10))
    assert left == pytest.approx((0, 0, 0), abs=3)
    assert right == pytest.approx((255, 255, 255), abs=3)


def test_a_large_jpeg_is_reduced_by_its_decoder_and_turned_afterwards() -> None:
    found = decode(encode(Image.new("RGB", (2000, 1000), "red"), "JPEG", exif=exif_block((0x0112, 3, 1, 6))), REDUCED)
    assert found.size == (250, 500)
    assert found.getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=3)


def test_bands_leave_no_seam() -> None:
    picture = Image.linear_gradient("L").resize((1200, 3000)).convert("RGB")
    wide = PictureLimits(max_bytes=2**24, max_pixels=10**7, max_side=5000)
    assert decode(encode(picture, "PNG"), wide).tobytes() == picture.tobytes()


# Room.


async def test_pictures_wait_for_room_in_turn() -> None:
    room = Room(100)
    held: list[int] = []
    go = {number: asyncio.Event() for number in range(4)}

    async def hold(number: int, size: int) -> None:
        async with room.taken(size):
            held.append(number)
            await go[number].wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(0, 60))
        waiting = tasks.create_task(hold(1, 50))
        tasks.create_task(hold(2, 30))  # it would fit, and waits for its turn all the same
        tasks.create_task(hold(3, 1000))  # more than there is: it gets all
        await asyncio.sleep(0.01)
        assert held == [0]
        waiting.cancel()
        await asyncio.sleep(0.01)
        assert held == [0, 2]
        for number in (0, 2):
            go[number].set()
        await asyncio.sleep(0.01)
        assert held == [0, 2, 3]
        go[3].set()


# The reader.


@pytest.mark.parametrize("side", [64, 400])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
async def test_the_reader_reads_as_the_functions_do(format_: str, side: int) -> None:
    reader = PictureReader(ServerSettings(decode_workers=1))
    noise = random.Random(0).randbytes(side * side * 3)
    data = encode(Image.frombytes("RGB", (side, side), noise), format_, quality=95)
    try:
        assert await reader.header(data) == read_header(data, reader.limits)
        header, picture = await reader.read(data)
        assert header == read_header(data, reader.limits)
        assert picture.tobytes() == decode(data, reader.limits).tobytes()
    finally:
        reader.close()


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


LONG_HEADERS = {
    "empty segments": segment(0xE4) * 15_000,
    "padding": b"\xff" * 60_000,
    "exif": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x88\x13" + bytes(range(256)) * 234),
    "a segment within another that is none": segment(0xC8, segment(0xE0, bytes(600))[:4]) + segment(0xE4) * 15_000,
}


@pytest.mark.parametrize("name", ["", *LONG_HEADERS])
async def test_no_header_that_takes_long_is_read_in_the_event_loop(name: str) -> None:
    reader = PictureReader(ServerSettings(decode_workers=1))
    plain = encode(scene(), "JPEG")
    data = plain[:2] + LONG_HEADERS.get(name, b"") + plain[2:]
    assert len(data) < 1 << 16
    go = threading.Event()
    try:
        reader._pool.submit(go.wait)
        reading = asyncio.create_task(reader.header(data))
        await asyncio.sleep(0)
        assert reading.done() == (not name)
        go.set()
        assert (await reading).width == scene().width
    finally:
        go.set()
        reader.close()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
async def test_the_reader_refuses_as_the_functions_do_and_names_the_field(format_: str) -> None:
    reader = PictureReader(ServerSettings(max_image_side=10))
    try:
        for read in (reader.header, reader.read):
            with pytest.raises(InvalidArgument) as caught:
                await read(encode(scene(), format_), "first.data")
            assert caught.value.reason == "IMAGE_TOO_LARGE"
            assert caught.value.violations[0].field == "first.data"
    finally:
        reader.close()


# Whatever the bytes are.

VALID = (
    encode(scene(), "JPEG", exif=exif_block((0x0112, 3, 1, 6))),
    encode(scene(), "JPEG", progressive=True),
    encode(scene().convert("CMYK"), "JPEG"),
    encode(scene(), "MPO", save_all=True, append_images=[scene()]),
    encode(scene(), "PNG", exif=exif_block((0x0112, 3, 1, 6))),
    encode(scene().quantize(4), "PNG", transparency=1),
    png(2, 2, 16, 0, b"\0\xf1\xf2\xf3\xf4" * 2, (b"tRNS", b"\xf1\xf2")),
    encode(scene(), "PNG", save_all=True, append_images=[scene().rotate(90)]),
    encode(scene(), "WEBP", exif=exif_block((0x0112, 3, 1, 6))),
    encode(scene().convert("RGBA"), "WEBP", lossless=True),
    webp_canvas(8, 8),
)


def read_or_refuse(data: bytes) -> bool:
    """Whether the bytes give a picture; fails unless they do or give an error that blames them."""
    try:
        header = read_header(data, LIMITS)
        picture = decode(data, LIMITS)
    except InvalidArgument as error:
        assert error.reason.startswith("IMAGE_")
        return False
    assert picture.mode == "RGB"
    assert picture.size in {(header.width, header.height), (header.height, header.width)}
    return True


def test_what_is_damaged_below_is_served_whole() -> None:
    served = [read_or_refuse(valid) for valid in VALID]
    assert served == [True] * 7 + [False] + [True] * 3  # an animated PNG is refused


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=200), prefix=st.sampled_from([b"", *(valid[:33] for valid in VALID)]))
def test_arbitrary_bytes_give_a_picture_or_an_invalid_argument(data: bytes, prefix: bytes) -> None:
    assert not read_or_refuse(prefix + data) or len(data) >= 12  # not one more chunk fits into less


@settings(deadline=None, max_examples=300)
@given(
    data=st.sampled_from(VALID),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=8),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_flipped_bits_and_missing_ends_give_a_picture_or_an_invalid_argument(
    data: bytes, flips: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(data)
    for place, bit in flips:
        damaged[int(place * len(damaged))] ^= 1 << bit
    assert not read_or_refuse(bytes(damaged[: int(kept * len(damaged))])) or kept > 0.1  # no more than a header


@settings(deadline=None, max_examples=200)
@given(
    file_format=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    entries=st.lists(
        st.tuples(
            st.sampled_from([0x0112, 0x0100, 0x010F, 0x8769, 0x8825, 0x927C]),
            st.integers(0, 14),
            st.integers(0, 5),
            st.integers(0, 2**32 - 1) | st.integers(0, 60),
        ),
        max_size=5,
    ),
    tail=st.binary(max_size=40),
)
def test_whatever_exif_says_a_good_picture_is_served(
    file_format: str, entries: list[tuple[int, int, int, int]], tail: bytes
) -> None:
    data = encode(Image.new("RGB", (4, 2)), file_format, exif=exif_block(*entries, tail=tail))
    assert set(decode(data, LIMITS).size) == {4, 2}
