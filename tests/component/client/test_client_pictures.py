"""Pictures and arguments as they arrive at the server."""

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from axia import Client, InvalidRequest
from axia._pictures import read
from axia.contact_sheet import Entry, write_contact_sheet
from axia.testing import FakeGateway
from tests.support import pictures


def test_a_proxy_in_the_environment_does_not_get_between(
    fake: FakeGateway, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client() as client:
        assert client.detect(picture).completions_done == 3


def test_a_picture_may_be_a_path_or_bytes(fake: FakeGateway, picture: Path) -> None:
    data = picture.read_bytes()
    with Client() as client:
        paths = [client.detect(image).image.path for image in (str(picture), picture, data, bytearray(data))]
    assert paths == [str(picture), str(picture), None, None]
    assert {call.request.image.data for call in fake.received} == {data}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I", "I;16"]
)
def test_a_pil_image_is_sent_as_png(fake: FakeGateway, mode: str) -> None:
    with Client() as client:
        detection = client.detect(Image.new(mode, (5, 4)))
    assert detection.image.path is None
    assert (detection.image.format, detection.image.width, detection.image.height) == ("PNG", 5, 4)


def test_a_pil_image_is_sent_upright(fake: FakeGateway, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (16, 12)).save(tmp_path / "turned.jpg", exif=exif)
    with Client() as client, Image.open(tmp_path / "turned.jpg") as image:
        detection = client.detect(image)
    assert (detection.image.width, detection.image.height) == (12, 16)
    with Image.open(io.BytesIO(fake.received[0].request.image.data)) as sent:
        assert 0x0112 not in sent.getexif()


def test_prompts_may_be_named(fake: FakeGateway, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(picture, prompt_id="detect/health", system_prompt_id="system/terse", temperature=0)
    request = fake.received[0].request
    assert (request.WhichOneof("prompt"), request.WhichOneof("system_prompt")) == ("prompt_id", "system_prompt_id")
    assert request.HasField("temperature")
    assert detection.completions[0].temperature == 0


def as_sent(image: Any, **options: Any) -> Image.Image:
    """What a server gets of an image."""
    picture = Image.open(io.BytesIO(read(image, **options)[0]))
    picture.load()
    return picture


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_a_pil_image_of_16_bits_keeps_its_brightness(mode: str) -> None:
    image = Image.new(mode, (3, 1))
    for x, value in enumerate((0, 32_896, 65_535)):
        image.putpixel((x, 0), value)
    sent = as_sent(image)
    assert [sent.getpixel((x, 0)) for x in range(3)] == [0, 32_896, 65_535]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (Image.new("F", (4, 4)), "mode F, which doesn't say which values are black and white: scale it to 0 to 255"),
        (Image.new("I", (4, 4), -1), "mode I, which has values from -1 to -1, where 0 to 65535 are allowed: scale it"),
        (Image.new("I", (4, 4), 70_000), "mode I, which has values from 70000"),
        (Image.new("LAB", (4, 4)), "mode LAB"),
        (Image.new("RGB", (0, 4)), r"no pixels \(0 × 4\)"),
    ],
)
def test_a_pil_image_that_cannot_be_scaled_is_refused_by_its_mode(image: Image.Image, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        read(image)
    assert caught.value.fields[0].field == "image.data"


def test_a_premultiplied_grey_image_is_sent_with_alpha() -> None:
    assert as_sent(Image.new("LA", (4, 4), (100, 200)).convert("La")).mode == "LA"


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_colour_profile_of_megabytes_is_not_sent(mode: str) -> None:
    """Offset printers' profiles are of this size."""
    profile = random.Random(1).randbytes(1_800_000)
    plain = Image.open(io.BytesIO(pictures.photograph(1))).convert(mode)
    with Image.open(io.BytesIO(pictures.encode(plain, "JPEG", icc_profile=profile))) as image:
        assert image.info["icc_profile"] == profile
        sent = as_sent(image)
        assert sent.tobytes() == image.convert("RGB").tobytes()
    assert "icc_profile" not in sent.info


def exif(*entries: tuple[int, int, int, int]) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0)


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ([(0x0112, 3, 1, 6), (0x0100, 2, 4, 0x41414141)], (12, 16)),
        ([(0x0112, 3, 1, 6), (0x0101, 11, 1, 0x7F800000)], (12, 16)),
        ([(0x0112, 3, 1, 6), (0x8825, 4, 1, 99_999)], (12, 16)),
        ([(0x0112, 3, 1, 6), (0x8769, 4, 1, 8)], (12, 16)),
        ([(0x0112, 3, 1, 6), (0x011A, 5, 1, 9_999)], (12, 16)),
        ([(0x0112, 2, 2, 0x36)], (16, 12)),
        ([(0x0112, 5, 1, 26)], (16, 12)),
        ([(0x0112, 3, 4, 9999)], (16, 12)),
        ([(0x0112, 3, 1, 99)], (16, 12)),
    ],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_of_a_pil_image_does_no_harm(
    entries: list[tuple[int, int, int, int]], size: tuple[int, int], file_format: str
) -> None:
    data = pictures.encode(Image.new("RGB", (16, 12)), file_format, exif=exif(*entries))
    with Image.open(io.BytesIO(data)) as image:
        assert as_sent(image).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_as_pil_itself_does(orientation: int) -> None:
    image = Image.open(io.BytesIO(pictures.photograph(2, (32, 20), "PNG", exif=exif((0x0112, 3, 1, orientation)))))
    assert as_sent(image).tobytes() == ImageOps.exif_transpose(image).tobytes()


def test_a_pil_image_that_breaks_off_says_what_to_do() -> None:
    with Image.open(io.BytesIO(pictures.photograph(1)[:3000])) as image, pytest.raises(OSError, match="give the path"):
        read(image)


def test_a_pil_image_too_large_as_png_says_what_to_do() -> None:
    side = 3500
    noise = Image.frombytes("RGB", (side, side), random.Random(1).randbytes(3 * side * side))
    with pytest.raises(InvalidRequest, match="MiB as PNG, a call carries 32 MiB: make it smaller, or give the path"):
        read(noise)


FRAME = np.random.default_rng(1).integers(0, 256, (12, 16, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "channels", "wanted"),
    [
        (FRAME[:, :, :3], "RGB", FRAME[:, :, :3]),
        (FRAME[:, :, :3], "BGR", FRAME[:, :, 2::-1]),
        (FRAME[:, :, 2::-1], "BGR", FRAME[:, :, :3]),
        (FRAME, "RGB", FRAME),
        (FRAME, "BGR", FRAME[:, :, [2, 1, 0, 3]]),
        (FRAME[:, :, 0], "BGR", FRAME[:, :, 0]),
        (FRAME[:, :, :1], "RGB", FRAME[:, :, 0]),
        (FRAME[:, :, 0].astype(np.uint16) * 257, "RGB", FRAME[:, :, 0].astype(np.uint16) * 257),
        (FRAME[::2, ::-1, :3], "RGB", FRAME[::2, ::-1, :3]),
    ],
)
def test_a_numpy_array_is_sent_in_its_colours(array: Any, channels: str, wanted: Any) -> None:
    assert (np.asarray(as_sent(array, channels=channels)) == wanted).all()


@pytest.mark.parametrize(
    "array",
    [
        FRAME.astype(float), FRAME.astype(np.uint16), FRAME[:, :, :2], FRAME[0, 0], FRAME[None], FRAME[:0], FRAME > 3,
        np.moveaxis(FRAME[:, :, :3], 2, 0),
    ],
)  # fmt: skip
def test_another_array_is_refused_with_its_shape_and_type(array: Any) -> None:
    with pytest.raises(
        InvalidRequest, match=r"has shape \(.*\) and type \w+: give uint8 of shape \(height, width, 3\)"
    ):
        read(array)


def test_calls_take_the_order_of_an_arrays_colours() -> None:
    blue_last = np.zeros((12, 16, 3), dtype=np.uint8)
    blue_last[:, :, 2] = 255
    with FakeGateway(answers={"interesting": "Yes."}) as fake, Client(fake.address) as client:
        client.detect(blue_last, channels="BGR")
        list(client.stream(blue_last, channels="BGR"))
        list(client.watch([blue_last], channels="BGR"))
        client.judge_interest([blue_last], ["I love red."], channels="BGR")
        list(client.index_images([blue_last], channels="BGR"))
        client.search_image(blue_last, channels="BGR")
        found = client.stats().images
        sent = [
            fake.received[0].request.image.data,  # type: ignore[attr-defined]  # each its own message
            fake.received[1].request.detection.image.data,  # type: ignore[attr-defined]
            fake.received[3].request.pictures[0].image.data,  # type: ignore[attr-defined]
            fake.received[4].request.image.data,  # type: ignore[attr-defined]
            fake.received[5].request.image.data,  # type: ignore[attr-defined]
        ]
        with pytest.raises(InvalidRequest, match='\'GBR\' is not an order of colours: give "RGB" or "BGR"'):
            client.detect(blue_last, channels="GBR")  # type: ignore[arg-type]
    assert found == 1
    assert [Image.open(io.BytesIO(data)).getpixel((0, 0)) for data in sent] == [(255, 0, 0)] * 5


@pytest.mark.parametrize(("given", "sent"), [(300.0, 300), (300, 300)])
def test_a_whole_float_is_a_whole_number(fake: FakeGateway, picture: Path, given: Any, sent: int) -> None:
    with Client() as client:
        client.detect(picture, max_tokens=given, seed=5.0)  # type: ignore[arg-type]  # as JSON and YAML have numbers
    request = fake.received[0].request
    assert (request.max_tokens, request.seed) == (sent, 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [{"max_tokens": 300.5}, {"max_tokens": "300"}, {"temperature": "hot"}, {"model": 5}])
def test_an_argument_of_another_type_is_an_invalid_request_that_names_it(
    fake: FakeGateway, picture: Path, wrong: dict[str, Any]
) -> None:
    with Client() as client, pytest.raises(InvalidRequest, match=f"^{next(iter(wrong))}: .* can't be sent") as caught:
        client.detect(picture, **wrong)
    assert caught.value.fields[0].field == next(iter(wrong))


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
def test_a_contact_sheet_shows_what_servers_take_and_a_grey_square_for_the_rest(tmp_path: Path) -> None:
    red = Image.new("RGB", (64, 64), "red")
    whole = pictures.encode(red, "JPEG")
    odd = pictures.encode(red, "JPEG", exif=exif((0x0112, 3, 1, 6), (0x0101, 11, 1, 0x7F800000)))
    entries = [Entry(data, ("", "")) for data in (whole, whole[:-2], odd, b"nothing")]
    write_contact_sheet(entries, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = [sheet.getpixel((12 + 212 * number + 100, 180)) for number in range(4)]
    assert colours[:3] == [pytest.approx((254, 0, 0), abs=2)] * 3
    assert colours[3] == (200, 200, 200)
