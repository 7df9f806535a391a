"""The size of a WebP by its container is what Pillow reads with its decoder, or left to Pillow."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.serving.errors import InvalidArgument
from services.serving.images.reading import PictureLimits, read, read_header
from services.serving.images.webp import still_size

LIMITS = PictureLimits(max_bytes=1 << 20, max_pixels=10_000_000, max_side=8_000)


def webp(size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "red").save(buffer, "WEBP", **options)
    return buffer.getvalue()


@given(
    st.tuples(st.integers(3, 300), st.integers(3, 300)),
    st.sampled_from(["RGB", "RGBA"]),
    st.booleans(),
    st.booleans(),
)
def test_the_size_is_pillows(size: tuple[int, int], mode: str, lossless: bool, with_exif: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = webp(size, mode, lossless=lossless, **({"exif": exif} if with_exif else {}))
    assert still_size(data) == size == Image.open(io.BytesIO(data)).size
    assert read_header(data, LIMITS)[1:] == ("WEBP", *(size[::-1] if with_exif else size))


def test_all_that_is_no_still_webp_is_left_to_pillow() -> None:
    animated = webp((4, 4), save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    assert Image.open(io.BytesIO(animated)).n_frames == 2
    for data in (animated, b"", b"RIFF", b"RIFF\x04\x00\x00\x00WEBP", b"\x89PNG\r\n\x1a\n" + b"\0" * 20):
        assert still_size(data) is None
    with pytest.raises(InvalidArgument, match="2 frames"):
        read_header(animated, LIMITS)


@given(st.integers(0, 200))
def test_one_that_is_cut_off_is_left_to_pillow(kept: int) -> None:
    data = webp((40, 30), "RGBA")
    assert still_size(data[: min(kept, len(data) - 1)]) is None


def test_one_of_very_many_chunks_is_left_to_pillow() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = webp((40, 30), exif=exif)
    at = data.index(b"VP8X") + 8 + 10
    for number, size in ((50, (40, 30)), (100, None)):
        inside = data[8:at] + (b"JUNK" + bytes(4)) * number + data[at:]
        several = b"RIFF" + struct.pack("<I", len(inside)) + inside
        assert still_size(several) == size
        assert read_header(several, LIMITS)[1:] == ("WEBP", 30, 40)


@given(st.binary(max_size=64), st.sampled_from([b"VP8 ", b"VP8L", b"VP8X"]))
def test_no_bytes_make_it_fail(body: bytes, chunk: bytes) -> None:
    inside = b"WEBP" + chunk + struct.pack("<I", len(body)) + body
    size = still_size(b"RIFF" + struct.pack("<I", len(inside)) + inside)
    assert size is None or all(1 <= side <= 16_384 for side in size)


def test_a_canvas_of_another_size_than_its_picture_is_left_to_pillow() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(webp((40, 30), exif=exif))
    at = data.index(b"VP8X") + 8 + 4
    assert still_size(bytes(data)) == (40, 30)
    data[at] += 1
    assert still_size(bytes(data)) is None


@pytest.mark.parametrize("reader", [read_header, read])
def test_one_over_the_limits_is_refused_before_pillow_opens_it(reader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(webp((8, 8), lossless=True))
    at = data.index(b"VP8L") + 8 + 1
    data[at : at + 4] = (16_382 | 16_382 << 14).to_bytes(4, "little")
    assert still_size(bytes(data)) == (16_383, 16_383)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a decoder took memory for the picture"))
    with pytest.raises(InvalidArgument, match="16383 × 16383"):
        reader(bytes(data), LIMITS)  # type: ignore[operator]
