"""Addresses, pictures and arguments, before anything is sent."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from axia import TLS, AsyncClient, Client, FieldViolation, InvalidRequest
from axia._connection.call import channel_options, resolve_address
from tests.support.pictures import photograph


@pytest.mark.parametrize(
    ("given", "environment", "address"),
    [
        (None, None, "127.0.0.1:50050"),
        (None, "robot:1", "robot:1"),
        (None, "", "127.0.0.1:50050"),
        ("shelf:2", "robot:1", "shelf:2"),
        ("shelf", None, "shelf:50050"),
        ("[::1]", None, "[::1]:50050"),
        ("[::1]:7", None, "[::1]:7"),
        ("::1", None, "[::1]:50050"),
        ("unix:/run/axia.sock", None, "unix:/run/axia.sock"),
        ("dns:///gateway:50050", None, "dns:///gateway:50050"),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, given: str | None, environment: str | None, address: str) -> None:
    monkeypatch.delenv("AXIA_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("AXIA_ADDRESS", environment)
    assert resolve_address(given) == address


def test_several_replicas_are_called_in_turn_while_their_health_says_serving() -> None:
    address = resolve_address("10.0.0.1, 10.0.0.2:7")
    assert address == "ipv4:10.0.0.1:50050,10.0.0.2:7"
    assert resolve_address("[::1]:1,::2") == "ipv6:[::1]:1,[::2]:50050"
    config = json.loads(str(dict(channel_options(address))["grpc.service_config"]))
    assert config["healthCheckConfig"] == {"serviceName": "axia.v1.GatewayService"}
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert "healthCheckConfig" not in str(dict(channel_options("robot:1")))


@pytest.mark.parametrize("address", ["a:1,b:2", "10.0.0.1,::1", ","])
def test_several_replicas_are_ip_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="several addresses must be IP addresses of one kind"):
        resolve_address(address)


def test_several_addresses_with_tls_need_the_name_in_their_certificates() -> None:
    with pytest.raises(ValueError, match="server_name"):
        Client("10.0.0.1,10.0.0.2", tls=TLS())
    with Client("10.0.0.1,10.0.0.2", tls=TLS(server_name="gateway.example")) as client:
        assert client.address.startswith("ipv4:")


def test_a_url_is_no_address() -> None:
    with pytest.raises(ValueError, match="give host and port of the gateway"):
        Client("http://127.0.0.1:8080")


@pytest.mark.parametrize("port", ["99999", "0", "http", ""])
def test_a_port_that_cannot_be_is_named(port: str) -> None:
    with pytest.raises(
        ValueError, match=f"^'{port}' in 'robot:{port}' is not a port: give host and port of the gateway"
    ):
        Client(f"robot:{port}")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_limit_is_above_zero(timeout: float) -> None:
    with pytest.raises(ValueError, match="give seconds above 0"):
        Client(timeout=timeout)


def test_channels_carry_pictures_and_reconnect_quickly() -> None:
    options = dict(channel_options("robot:50050"))
    assert options["grpc.max_send_message_length"] == options["grpc.max_receive_message_length"] == 32 * 2**20
    assert options["grpc.max_reconnect_backoff_ms"] == 2000
    assert options["grpc.keepalive_time_ms"] > 300_000  # or servers hang up with "too many pings"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x", "ipv4:127.0.0.1:1,127.0.0.2:1"]
)
def test_calls_to_this_machine_take_no_proxy(address: str) -> None:
    assert dict(channel_options(address))["grpc.enable_http_proxy"] == 0
    assert "grpc.enable_http_proxy" not in dict(channel_options("gateway.example:50050"))


async def test_a_missing_picture_is_named() -> None:
    with Client() as client:
        with pytest.raises(FileNotFoundError, match=r"^there is no image at gone\.jpg: give the path"):
            client.detect("gone.jpg")
        with pytest.raises(FileNotFoundError):
            next(client.stream("gone.jpg"))
    async with AsyncClient() as client:
        with pytest.raises(FileNotFoundError):
            await client.detect("gone.jpg")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with Client() as client, pytest.raises(IsADirectoryError, match="give the path of one image in it"):
        client.detect(tmp_path)


def test_something_else_is_no_picture() -> None:
    with Client() as client, pytest.raises(TypeError, match="image is a int: give a path"):
        client.detect(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("as_file", [True, False])
def test_a_picture_beyond_the_message_size_is_refused_before_it_is_read(tmp_path: Path, as_file: bool) -> None:
    size = 33 * 2**20
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)
    with Client() as client, pytest.raises(InvalidRequest, match=r"has 33\.0 MiB, a call carries 32 MiB") as caught:
        client.detect(path if as_file else bytes(size))
    assert caught.value.fields[0].field == "image.data"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"prompt_id": "detect/baseline", "prompt_text": "What?"}, "prompt"),
        ({"system_prompt_id": "system/terse", "system_prompt_text": "Be brief."}, "system_prompt"),
        ({"n": 2**31}, "n"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"prompt_text": "\ud800"}, "prompt_text"),
    ],
)
def test_arguments_that_cannot_be_sent(arguments: dict[str, Any], field: str) -> None:
    with Client() as client, pytest.raises(InvalidRequest) as caught:
        client.detect(photograph(), **arguments)
    violation = caught.value.fields[0]
    assert isinstance(violation, FieldViolation)
    assert violation.field == field
    assert caught.value.code == "INVALID_ARGUMENT"
