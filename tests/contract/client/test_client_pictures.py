"""Pictures and arguments as they arrive at the server."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from axia import Client


def test_a_proxy_in_the_environment_does_not_get_between(
    gateway: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client() as client:
        assert client.detect(picture).completions_done == 3


def test_a_picture_may_be_a_path_or_bytes(gateway: Any, picture: Path) -> None:
    data = picture.read_bytes()
    with Client() as client:
        paths = [client.detect(image).image.path for image in (str(picture), picture, data, bytearray(data))]
    assert paths == [str(picture), str(picture), None, None]
    assert {request.image.data for request in gateway.requests} == {data}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "F", "HSV"])
def test_a_pil_image_is_sent_as_png(gateway: Any, mode: str) -> None:
    with Client() as client:
        detection = client.detect(Image.new(mode, (5, 4)))
    assert detection.image.path is None
    assert (detection.image.format, detection.image.width, detection.image.height) == ("PNG", 5, 4)


def test_a_pil_image_is_sent_upright(gateway: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (16, 12)).save(tmp_path / "turned.jpg", exif=exif)
    with Client() as client, Image.open(tmp_path / "turned.jpg") as image:
        detection = client.detect(image)
    assert (detection.image.width, detection.image.height) == (12, 16)
    with Image.open(io.BytesIO(gateway.requests[0].image.data)) as sent:
        assert 0x0112 not in sent.getexif()


def test_prompts_may_be_named(gateway: Any, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(picture, prompt_id="detect/health", system_prompt_id="system/terse", temperature=0)
    request = gateway.requests[0]
    assert (request.WhichOneof("prompt"), request.WhichOneof("system_prompt")) == ("prompt_id", "system_prompt_id")
    assert request.HasField("temperature")
    assert detection.completions[0].temperature == 0
