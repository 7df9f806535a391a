"""Pictures that are whole to the eye though their files are not as the format has them."""

import base64
import io
import random
import struct
import zlib

import pytest
from PIL import Image

from services.serving.errors import InvalidArgument
from services.serving.images.reading import PictureLimits, decode, read_header
from tests.support import pictures

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LIMITS = PictureLimits(max_bytes=2**22, max_pixels=4_000_000, max_side=4000)
REDUCED = PictureLimits(max_bytes=2**22, max_pixels=4_000_000, max_side=4000, max_used_pixels=5_000)
PICTURE = Image.open(io.BytesIO(pictures.photograph(3, (101, 67), "PNG")))

PLAIN = pictures.encode(PICTURE, "JPEG")
JPEGS = {
    "baseline": pictures.encode(PICTURE, "JPEG"),
    "progressive": pictures.encode(PICTURE, "JPEG", progressive=True),
    "own tables": pictures.encode(PICTURE, "JPEG", optimize=True),
    "restarts": pictures.encode(PICTURE, "JPEG", restart_marker_blocks=3),
    "progressive with restarts": pictures.encode(PICTURE, "JPEG", progressive=True, restart_marker_rows=1),
    "not subsampled": pictures.encode(PICTURE, "JPEG", subsampling=0, quality=95),
    "grey": pictures.encode(PICTURE.convert("L"), "JPEG"),
    "CMYK": pictures.encode(PICTURE.convert("CMYK"), "JPEG"),
    "flat": pictures.encode(Image.new("RGB", (64, 48), (10, 200, 30)), "JPEG"),
}


def reason(data: bytes, limits: PictureLimits = LIMITS) -> str:
    with pytest.raises(InvalidArgument) as caught:
        decode(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="half a marker"),
        pytest.param(b"\0\0", id="zeros in its place"),
        pytest.param(bytes(5000), id="a buffer that was not filled"),
        pytest.param(b"\r\n--frame\r\n", id="a boundary of a multipart stream"),
    ],
)
def test_a_jpeg_that_lacks_only_its_end_marker_is_served_as_it_is_with_one(kind: str, end: bytes) -> None:
    whole = JPEGS[kind]
    assert whole.endswith(b"\xff\xd9")
    for limits in (LIMITS, REDUCED):
        assert decode(whole[:-2] + end, limits).tobytes() == decode(whole, limits).tobytes()


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_blocks_is_damaged_wherever_it_breaks_off(kind: str) -> None:
    whole = JPEGS[kind]
    truth = decode(whole, LIMITS).tobytes()
    scan = whole.index(b"\xff\xda")
    for kept in range(scan + 30, len(whole) - 3, 7):
        try:
            served = decode(whole[:kept], LIMITS).tobytes()
        except InvalidArgument as error:
            assert error.reason == "IMAGE_DAMAGED"
        else:
            assert served == truth  # only bits that change no pixel are missing
            assert kept > scan + 0.8 * (len(whole) - scan)


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts", "grey"])
@pytest.mark.parametrize("filled", [0, 10, 100, 5000, 70_000])
def test_half_a_frame_is_damaged_also_in_a_buffer_of_zeros(kind: str, filled: int) -> None:
    whole = JPEGS[kind]
    assert reason(whole[: len(whole) * 3 // 4] + bytes(filled)) == "IMAGE_DAMAGED"


def test_a_jpeg_that_ends_between_two_scans_is_damaged() -> None:
    whole = JPEGS["progressive"]
    last = whole.rindex(b"\xff\xda")
    before = whole.rindex(b"\xff\xc4", 0, last)  # the last scan's own table
    assert reason(whole[:before]) == "IMAGE_DAMAGED"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(segment(0xE2, b"ICC_PROFILE\0"), id="profile without number"),
        pytest.param(segment(0xEE, b"Adobe"), id="short Adobe segment"),
        pytest.param(segment(0xE0, b"JFIF\0\1"), id="short JFIF segment"),
        pytest.param(segment(0xED, b"Photoshop 3.0\0008BIM\x03\xed\0\0\0\0\0\x10"), id="Photoshop that breaks off"),
        pytest.param(segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x05\0"), id="index of pictures that breaks off"),
    ],
)  # fmt: skip
def test_odd_metadata_is_no_reason_to_refuse_a_jpeg_and_its_orientation_counts(odd: bytes) -> None:
    turned = segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 6, 0))
    plain = JPEGS["baseline"]
    data = plain[:2] + odd + turned + plain[2:]
    assert read_header(data, LIMITS)[1:] == ("JPEG", 67, 101)
    assert decode(data, LIMITS).tobytes() == decode(plain[:2] + turned + plain[2:], LIMITS).tobytes()


@pytest.mark.parametrize("kind", ["baseline", "CMYK"])
def test_a_jpeg_with_a_profile_of_megabytes_is_served(kind: str) -> None:
    picture = PICTURE.convert("CMYK") if kind == "CMYK" else PICTURE
    data = pictures.encode(picture, "JPEG", icc_profile=random.Random(1).randbytes(1_800_000))
    assert decode(data, LIMITS).tobytes() == decode(JPEGS[kind], LIMITS).tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(chunk(b"iCCP", b"p\0\0" + zlib.compress(random.Random(1).randbytes(1_500_000))), id="big profile"),
        pytest.param(chunk(b"iCCP", b"p\0\x07"), id="profile of unknown compression"),
        pytest.param(chunk(b"iCCP", b""), id="empty profile"),
        pytest.param(chunk(b"cHRM", bytes(7)), id="short chromaticities"),
        pytest.param(chunk(b"gAMA", bytes(2)), id="short gamma"),
        pytest.param(chunk(b"pHYs", bytes(2)), id="short pixel size"),
        pytest.param(chunk(b"sRGB", b""), id="empty sRGB"),
        pytest.param(chunk(b"tEXt", b"a\0b")[:-1] + b"?", id="text with a wrong checksum"),
        pytest.param(chunk(b"fcTL", bytes(4)), id="frame of no animation"),
        pytest.param(chunk(b"tRNS", b"\xff"), id="short transparency"),
    ],
)
def test_odd_or_large_metadata_is_no_reason_to_refuse_a_png(odd: bytes) -> None:
    plain = pictures.encode(PICTURE, "PNG")
    for data in (plain[:33] + odd + plain[33:], plain[:-12] + odd + plain[-12:]):
        assert read_header(data, LIMITS)[1:] == ("PNG", 101, 67)
        assert decode(data, LIMITS).tobytes() == decode(plain, LIMITS).tobytes()


def test_a_png_whose_animation_is_hidden_behind_a_picture_of_its_own_is_served_as_that() -> None:
    frames = [Image.new("RGB", (101, 67), colour) for colour in ("red", "blue")]
    for hidden in (frames[:1], frames):
        data = pictures.encode(PICTURE, "PNG", save_all=True, append_images=hidden, default_image=True)
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.n_frames == 1 + len(hidden)
        assert decode(data, LIMITS).tobytes() == decode(pictures.encode(PICTURE, "PNG"), LIMITS).tobytes()
    animated = pictures.encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert reason(animated) == "IMAGE_ANIMATED"
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(random.Random(1).randbytes(1_500_000)))
    assert reason(animated[:33] + profile + animated[33:]) == "IMAGE_ANIMATED"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(200), r"a HEIC, .*convert it to JPEG, PNG or WebP"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200), "a HEIC"),
        (pictures.encode(PICTURE, "GIF"), "a GIF; convert it to JPEG, PNG or WebP, one frame of it"),
        (pictures.encode(PICTURE, "BMP"), "a BMP; convert it"),
        (pictures.encode(PICTURE, "TIFF"), "a TIFF, or a camera's raw file; convert it"),
        (pictures.encode(PICTURE, "AVIF"), "an AVIF; convert it"),
        (pictures.encode(PICTURE, "JPEG2000"), "a JPEG 2000; convert it"),
        (pictures.encode(PICTURE, "ICO"), "an icon; convert it"),
        (pictures.encode(PICTURE, "PDF"), "a PDF; send one page"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "a video; send one frame"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(80), r"a macOS metadata file.*whose name has no \._"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG; convert it"),
        (b"<!DOCTYPE html><title>404</title>", "a web page; "),
        (b"data:image/png;base64,iVBORw0KGgo=", "a data URL; send the bytes"),
        (b"https://example.com/a.jpg", "an address; send the bytes of the image"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD", "base64; send the bytes that it stands for"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(99), "an AVIF; convert it"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "a camera's raw file; convert it"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "a camera's raw file; convert it"),
        (b"\0\0\1\0moov" + bytes(99), "a video; send one frame"),
        ((b"G" + bytes(187)) * 3, "a video; send one frame"),
        (pictures.encode(PICTURE, "PPM"), "a Netpbm image"),
        (b"PK\3\4" + bytes(99), "an archive, or packed; unpack it"),
        (bytes(128) + b"DICM" + bytes(99), "a DICOM file; convert it"),
        (b"\x93NUMPY\1\0" + bytes(99), "an array as numpy saves it; encode it"),
        (b'{"error": "not found"}', "JSON; check what the address"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "XML; check what the address"),
        (b"<!-- saved -->\n<html>", "a web page; "),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "a pointer of Git LFS; fetch the image"),
        (PLAIN.decode("latin-1").encode(), "an image that was read or written as text"),
        (PLAIN.decode(errors="replace").encode(), "an image that was read or written as text"),
        (pictures.encode(PICTURE, "PNG").replace(b"\r\n", b"\n"), "an image that was read or written as text"),
        (repr(PLAIN).encode(), "the text form of Python bytes; send the bytes"),
        (PLAIN.hex().encode(), "hexadecimal digits; send the bytes"),
        (base64.urlsafe_b64encode(PLAIN), "base64; send the bytes that it stands for"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + PLAIN, "an image with other bytes before it"),
        (b"\xef\xbb\xbf" + pictures.encode(PICTURE, "PNG"), "an image with other bytes before it"),
        (random.Random(1).randbytes(4096), "not an image in JPEG, PNG or WebP; convert it"),
    ],
)  # fmt: skip
def test_other_data_is_named_with_what_to_do(data: bytes, told: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^image.data: the data is {told}") as caught:
        read_header(data, LIMITS)
    assert caught.value.reason == "IMAGE_UNREADABLE"


def _with_frame(marker: int, bits: int) -> bytes:
    data = bytearray(pictures.encode(PICTURE, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


def _as_xcode_packs() -> bytes:
    plain = pictures.encode(PICTURE, "PNG")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)  # without the head of zlib
    pixels = packer.compress(zlib.decompress(plain[41 : 41 + int.from_bytes(plain[33:37])])) + packer.flush()
    return plain[:8] + chunk(b"CgBI", bytes(4)) + plain[8:33] + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(_with_frame(0xC0, 12), "a JPEG of 12 bits a colour", id="12 bits"),
        pytest.param(_with_frame(0xC3, 8), "a lossless or hierarchical JPEG", id="lossless"),
        pytest.param(_with_frame(0xF7, 8), "a lossless or hierarchical JPEG", id="JPEG-LS"),
        pytest.param(_as_xcode_packs(), "a PNG as Xcode packs it for iPhones", id="CgBI"),
    ],
)
def test_a_picture_in_a_form_that_no_decoder_takes_is_named_and_not_called_cut_off(data: bytes, told: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^image.data: the data is {told}; save it as a common") as caught:
        decode(data, LIMITS)
    assert caught.value.reason == "IMAGE_UNREADABLE"
