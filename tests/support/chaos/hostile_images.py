"""Images that nobody means well with: seeded mutations of real files, and files that are made to do harm."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache, partial
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


@cache
def _photo() -> Image.Image:
    return Image.open(io.BytesIO(real_files()[4])).convert("RGB")


@cache
def _small(file_format: str) -> bytes:
    return _saved(_photo(), file_format)


def crafted() -> dict[str, Callable[[], bytes]]:
    """Files that are made to do harm, by what they are. Each is made when it is asked for: some take a second."""
    return {
        "nothing": lambda: b"",
        **_usual_files(),
        **_crafted_png(),
        **_crafted_jpeg(),
        **_crafted_webp(),
        **_several_frames(),
        "GIF": lambda: _saved(_photo(), "GIF"),
        "BMP of 2^31 - 1 a side": lambda: (
            b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 2**31 - 1, 2**31 - 1, 1, 24) + bytes(24)
        ),
        "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nquit\n",
        "ZIP": lambda: b"PK\x03\x04" + bytes(1_000),
        "a program": lambda: b"\x7fELF" + bytes(1_000),
        "bytes": lambda: random.Random(2).randbytes(300_000),
    }


def _usual_files() -> dict[str, Callable[[], bytes]]:
    made: dict[str, Callable[[], bytes]] = {}
    for name in ("JPEG", "PNG", "WebP"):
        for share in (0.02, 0.3, 0.9, 0.999):
            made[f"{name} cut at {share}"] = partial(_cut, name, share)
        made[f"{name} with a tail"] = partial(_longer, name, 1, bytes(100_000))
        made[f"{name} twice"] = partial(_longer, name, 2, b"")
    return made


def _cut(file_format: str, share: float) -> bytes:
    data = _small(file_format)
    return data[: int(len(data) * share)]


def _longer(file_format: str, times: int, tail: bytes) -> bytes:
    return _small(file_format) * times + tail


def _crafted_png() -> dict[str, Callable[[], bytes]]:
    row = zlib.compress(bytes(64 * 65))
    many = _chunk(b"teSt", b"") * 300_000
    return {
        "PNG of 60,000 × 60,000": lambda: _png(60_000, 60_000, zlib.compress(bytes(60_000))),
        "PNG of 2^31 - 1 a side": lambda: _png(2**31 - 1, 2**31 - 1, b""),
        "PNG of 0 × 0": lambda: _png(0, 0, b""),
        "PNG of 1 × 16,000": lambda: _png(1, 16_000, zlib.compress(bytes(32_000))),
        "PNG, 8,000 × 8,000 in 60 KB": lambda: _png(8_000, 8_000, zlib.compress(bytes(8_000 * 8_001), 9), colour=0),
        "PNG whose pixels go on for 500 MB": lambda: _png(64, 64, _bomb(500), colour=0),
        "PNG with a text of 200 MB": lambda: _png(64, 64, row, colour=0, more=_ztxt(200)),
        "PNG with a profile of 200 MB": lambda: _png(64, 64, row, colour=0, more=_iccp(200)),
        "PNG with 20,000 chunks": lambda: _png(64, 64, row, colour=0, more=_chunk(b"teSt", b"") * 20_000),
        "PNG with a chunk of 2^32 - 1 bytes": lambda: _PNG + b"\xff\xff\xff\xffIHDR",
        "PNG of 300,000 chunks": lambda: _small("PNG")[:33] + many + _small("PNG")[33:],
        "PNG with 300,000 chunks behind its pixels": lambda: _small("PNG")[:-12] + many + _small("PNG")[-12:],
        "APNG of 2^31 frames": lambda: _png(64, 64, row, colour=0, more=_chunk(b"acTL", b"\x7f\xff\xff\xff\0\0\0\0")),
    }


def _crafted_jpeg() -> dict[str, Callable[[], bytes]]:
    return {
        "JPEG of 65,535 × 65,535": lambda: _with_jpeg_size(_small("JPEG"), 65_535, 65_535),
        "JPEG of 0 × 0": lambda: _with_jpeg_size(_small("JPEG"), 0, 0),
        "JPEG of 16,000 × 160": lambda: _with_jpeg_size(_small("JPEG"), 16_000, 160),
        "JPEG with 3,000 segments": lambda: _behind_start(b"\xff\xfe\x00\x04hi" * 3_000),
        "JPEG of markers alone": lambda: b"\xff\xd8" + b"\xff\xfe\x00\x02" * 50_000,
        "JPEG with a large profile": lambda: _saved(_photo(), "JPEG", icc_profile=_profile() + bytes(2_000_000)),
        "JPEG with a broken profile": lambda: _saved(_photo(), "JPEG", icc_profile=random.Random(1).randbytes(5_000)),
        "JPEG whose EXIF leads into itself": lambda: _with_exif(_small("JPEG"), _looping_exif()),
        "JPEG whose EXIF has 60,000 entries": lambda: _with_exif(_small("JPEG"), _long_exif()),
        "JPEG whose EXIF points outside": lambda: _with_exif(_small("JPEG"), b"MM\0\x2a\xff\xff\xff\xf0"),
        "JPEG with thousands of scans": lambda: many_scans((7_000, 7_000), 3_000),
        "JPEG of a million segments": lambda: _behind_start(b"\xff\xfe\0\2" * 1_000_000),
        "JPEG with 4 MB of padding": lambda: _behind_start(b"\xff" * 4_000_000),
    }


def _behind_start(segments: bytes) -> bytes:
    jpeg = _small("JPEG")
    return jpeg[:2] + segments + jpeg[2:]


def _crafted_webp() -> dict[str, Callable[[], bytes]]:
    return {
        "WebP of 16,383 × 16,383": lambda: _with_webp_size(_small("WebP")),
        "WebP whose length is wrong": lambda: _small("WebP")[:4] + b"\xff\xff\xff\x7f" + _small("WebP")[8:],
    }


def _several_frames() -> dict[str, Callable[[], bytes]]:
    def saved(file_format: str) -> bytes:
        frames = [_photo().resize((64, 48)).rotate(angle) for angle in range(0, 360, 9)]
        return _saved(frames[0], file_format, save_all=True, append_images=frames[1:])

    return {f"{form} of 40 frames": partial(saved, form) for form in ("WEBP", "PNG", "GIF", "TIFF")}


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
