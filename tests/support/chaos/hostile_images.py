"""Images that nobody means well with: seeded mutations of real files, and files that are made to do harm."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from PIL import Image, ImageCms

DEMO = Path(__file__).parents[3] / "demo"
_PNG = b"\x89PNG\r\n\x1a\n"


@cache
def real_files() -> tuple[bytes, ...]:
    """Files of the demo as they are, and the same images in the other forms of JPEG, PNG and WebP."""
    files = [path.read_bytes() for path in sorted((DEMO / "gallery").glob("study-*.webp"))[:4]]
    sheet = Image.open(DEMO / "gallery" / "contact-sheet.jpg")
    photo = sheet.convert("RGB").crop((0, 0, 320, 240))
    clear = photo.convert("RGBA")
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "upside down"
    for options in ({}, {"progressive": True}, {"exif": exif}, {"quality": 30, "subsampling": 0}):
        files.append(_saved(photo, "JPEG", **options))
    files += [_saved(photo.convert("CMYK"), "JPEG"), _saved(photo.convert("L"), "JPEG")]
    for mode in ("RGB", "L", "P", "1", "I;16"):
        files.append(
            _saved(
                photo.convert("I").point(lambda value: value * 257).convert("I;16")
                if mode == "I;16"
                else photo.convert(mode),
                "PNG",
            )
        )
    files += [_saved(clear, "PNG"), _saved(clear, "WEBP"), _saved(photo, "WEBP", lossless=True, exif=exif)]
    return tuple(files)


def mutated(seed: int) -> bytes:
    """A real file with a few changes; the same for the same seed."""
    draw = random.Random(seed)
    data = bytearray(draw.choice(real_files()))
    for _ in range(draw.randrange(1, 5)):
        draw.choice(_MUTATIONS)(data, draw)
        if not data:
            break
    return bytes(data)


def _flip(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 4, 64))):
        data[draw.randrange(len(data))] = draw.randrange(256)


def _flip_header(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 3))):
        data[draw.randrange(min(64, len(data)))] = draw.randrange(256)


def _truncate(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def _cut_out(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    del data[start : start + draw.choice((1, 16, 1024))]


def _repeat(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.choice((2, 64, 4096))]
    data[start:start] = piece * draw.choice((1, 3))


def _splice(data: bytearray, draw: random.Random) -> None:
    other = draw.choice(real_files())
    start = draw.randrange(len(other))
    place = draw.randrange(len(data))
    data[place : place + 512] = other[start : start + 512]


def _set_extreme(data: bytearray, draw: random.Random) -> None:
    size = draw.choice((1, 2, 4))
    place = draw.randrange(max(1, min(len(data), 4096) - size))
    data[place : place + size] = draw.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * size


_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip_header, _truncate, _cut_out, _repeat, _splice, _set_extreme,
)  # fmt: skip


def crafted() -> Iterator[tuple[str, bytes]]:
    """Files that are made to do harm, each with what it is."""
    photo = Image.open(io.BytesIO(real_files()[4])).convert("RGB")
    jpeg, png, webp = (_saved(photo, form) for form in ("JPEG", "PNG", "WEBP"))
    yield "nothing", b""
    for name, data in {"JPEG": jpeg, "PNG": png, "WebP": webp}.items():
        for share in (0.02, 0.3, 0.9, 0.999):
            yield f"{name} cut at {share}", data[: int(len(data) * share)]
        yield f"{name} with a tail", data + bytes(100_000)
        yield f"{name} twice", data * 2
    yield "PNG of 60,000 × 60,000", _png(60_000, 60_000, zlib.compress(bytes(60_000)))
    yield "PNG of 2^31 - 1 a side", _png(2**31 - 1, 2**31 - 1, b"")
    yield "PNG of 0 × 0", _png(0, 0, b"")
    yield "PNG of 1 × 16,000", _png(1, 16_000, zlib.compress(bytes(32_000)))
    yield "PNG, 8,000 × 8,000 in 60 KB", _png(8_000, 8_000, zlib.compress(bytes(8_000 * 8_001), 9), colour=0)
    yield "PNG whose pixels go on for 500 MB", _png(64, 64, _bomb(500), colour=0)
    yield "PNG with a text of 200 MB", _png(64, 64, zlib.compress(bytes(64 * 65)), colour=0, more=_ztxt(200))
    yield "PNG with a profile of 200 MB", _png(64, 64, zlib.compress(bytes(64 * 65)), colour=0, more=_iccp(200))
    yield (
        "PNG with 20,000 chunks",
        _png(64, 64, zlib.compress(bytes(64 * 65)), colour=0, more=_chunk(b"teSt", b"") * 20_000),
    )
    yield "PNG with a chunk of 2^32 - 1 bytes", _PNG + b"\xff\xff\xff\xffIHDR"
    yield "JPEG of 65,535 × 65,535", _with_jpeg_size(jpeg, 65_535, 65_535)
    yield "JPEG of 0 × 0", _with_jpeg_size(jpeg, 0, 0)
    yield "JPEG of 16,000 × 160", _with_jpeg_size(jpeg, 16_000, 160)
    yield "JPEG with 3,000 segments", jpeg[:2] + b"\xff\xfe\x00\x04hi" * 3_000 + jpeg[2:]
    yield "JPEG of markers alone", b"\xff\xd8" + b"\xff\xfe\x00\x02" * 50_000
    yield "JPEG with a large profile", _saved(photo, "JPEG", icc_profile=_profile() + bytes(2_000_000))
    yield "JPEG with a broken profile", _saved(photo, "JPEG", icc_profile=random.Random(1).randbytes(5_000))
    yield "JPEG whose EXIF leads into itself", _with_exif(jpeg, _looping_exif())
    yield "JPEG whose EXIF has 60,000 entries", _with_exif(jpeg, _long_exif())
    yield "JPEG whose EXIF points outside", _with_exif(jpeg, b"MM\0\x2a\xff\xff\xff\xf0")
    yield "JPEG with thousands of scans", many_scans((7_000, 7_000), 3_000)
    yield "JPEG of a million segments", jpeg[:2] + b"\xff\xfe\0\2" * 1_000_000 + jpeg[2:]
    yield "JPEG with 4 MB of padding", jpeg[:2] + b"\xff" * 4_000_000 + jpeg[2:]
    yield "PNG of 300,000 chunks", png[:33] + _chunk(b"teSt", b"") * 300_000 + png[33:]
    yield "PNG with 300,000 chunks behind its pixels", png[:-12] + _chunk(b"teSt", b"") * 300_000 + png[-12:]
    yield "WebP of 16,383 × 16,383", _with_webp_size(webp)
    yield "WebP whose length is wrong", webp[:4] + b"\xff\xff\xff\x7f" + webp[8:]
    frames = [photo.resize((64, 48)).rotate(angle) for angle in range(0, 360, 9)]
    for form in ("WEBP", "PNG", "GIF", "TIFF"):
        yield f"{form} of 40 frames", _saved(frames[0], form, save_all=True, append_images=frames[1:])
    yield (
        "APNG of 2^31 frames",
        _png(64, 64, zlib.compress(bytes(64 * 65)), colour=0, more=_chunk(b"acTL", b"\x7f\xff\xff\xff\0\0\0\0")),
    )
    yield "GIF", _saved(photo, "GIF")
    yield (
        "BMP of 2^31 - 1 a side",
        b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 2**31 - 1, 2**31 - 1, 1, 24) + bytes(24),
    )
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nquit\n"
    yield "ZIP", b"PK\x03\x04" + bytes(1_000)
    yield "a program", b"\x7fELF" + bytes(1_000)
    yield "bytes", random.Random(2).randbytes(300_000)


def _saved(picture: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, pixels: bytes, colour: int = 2, more: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return _PNG + header + more + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


@cache
def _bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(mebibytes)), packer.flush()])


def _ztxt(mebibytes: int) -> bytes:
    return _chunk(b"zTXt", b"Comment\0\0" + _bomb(mebibytes))


def _iccp(mebibytes: int) -> bytes:
    return _chunk(b"iCCP", b"profile\0\0" + _bomb(mebibytes))


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _with_jpeg_size(data: bytes, width: int, height: int) -> bytes:
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def _with_exif(data: bytes, exif: bytes) -> bytes:
    segment = b"Exif\0\0" + exif[:65_000]
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def _looping_exif() -> bytes:
    """Directories that name each other, and one that follows itself."""
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005, 0x014A))
    return b"MM\0\x2a\0\0\0\x08" + struct.pack(">H", 4) + entries + struct.pack(">I", 8)


def _long_exif() -> bytes:
    return b"MM\0\x2a\0\0\0\x08" + struct.pack(">H", 60_000) + struct.pack(">HHII", 0x010E, 2, 60_000, 8) * 5_000


def many_scans(size: tuple[int, int], scans: int) -> bytes:
    """A progressive JPEG of one colour whose last scan comes again and again: each takes a pass over all pixels."""
    data = _saved(Image.new("L", size, 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def _with_webp_size(data: bytes) -> bytes:
    place = data.index(b"\x9d\x01\x2a") + 3
    return data[:place] + struct.pack("<HH", 16_383, 16_383) + data[place + 4 :]
