"""Small files that would take long: refused before the time is spent, while what encoders write is served."""

import io

import pytest
from PIL import Image

from services.serving.errors import InvalidArgument
from services.serving.images import jpeg
from services.serving.images.reading import PictureLimits, read, read_header
from tests.support.chaos.hostile_images import crafted, many_scans, real_files

LIMITS = PictureLimits(20 * 2**20, 64_000_000, 16_384, 16_000_000)


def progressive(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


@pytest.mark.parametrize("scans", [100, 2_000])
def test_thousands_of_passes_over_large_pixels_are_refused_at_once(scans: int) -> None:
    data = many_scans((8_000, 8_000), scans)
    for look in (read_header, read):
        with pytest.raises(InvalidArgument) as caught:
            look(data, LIMITS)
        assert caught.value.reason == "IMAGE_TOO_COMPLEX"
        assert "save it again" in caught.value.message


def test_progressive_files_of_any_size_are_served() -> None:
    assert read(progressive((7_000, 7_000)), LIMITS)[0].width == 7_000
    assert jpeg.scans(progressive((64, 48))) == jpeg.FEW_SCANS
    assert read(many_scans((320, 240), 500), LIMITS)[1].size == (320, 240)  # odd, but quick


def test_scans_are_counted_up_to_the_end_of_the_picture() -> None:
    usual = many_scans((64, 48), 0)
    assert jpeg.scans(many_scans((64, 48), 40)) == 40 + usual.count(b"\xff\xda")
    assert jpeg.scans(usual + b"\xff\xda" * 100) == usual.count(b"\xff\xda")  # a preview behind it, say


@pytest.mark.parametrize(
    "name", [name for name in crafted() if "000 chunks" in name or "million" in name or "4 MB" in name]
)
def test_files_of_nothing_but_segments_are_refused_at_once(name: str) -> None:
    data = crafted()[name]()
    if name == "PNG with 20,000 chunks":
        assert read_header(data, LIMITS).width == 64
        return
    with pytest.raises(InvalidArgument) as caught:
        read_header(data, LIMITS)
    assert caught.value.reason == "IMAGE_TOO_COMPLEX"


def test_real_files_are_not_too_complex() -> None:
    for data in real_files():
        _, pixels = read(data, LIMITS)
        assert pixels.width > 1
