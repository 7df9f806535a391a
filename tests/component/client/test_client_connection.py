"""Encryption, the API key, and which calls may be repeated."""

import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import axia
from axia._connection.call import Call
from axia._connection.transport import resolve_api_key, service_config
from axia.testing import FakeGateway
from axia.v1 import gateway_pb2_grpc
from tests.support import pictures


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AXIA_API_KEY", "AXIA_TLS", "AXIA_TLS_ROOTS", "AXIA_TLS_CERTIFICATE", "AXIA_TLS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and a self-signed cert.pem for the name axia.test."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "axia.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("axia.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder


async def test_the_key_goes_with_every_call_and_into_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeGateway(api_key="s3cret") as fake:
        with axia.Client(fake.address, api_key="s3cret") as client:
            client.models()
        monkeypatch.setenv("AXIA_API_KEY", "s3cret")
        async with axia.AsyncClient(fake.address) as client:
            await client.models()
            await client.scoring.classify_responses(["x"])
        assert {call.metadata["authorization"] for call in fake.received} == {"Bearer s3cret"}
        with axia.Client(fake.address, api_key="wr0ng") as client, pytest.raises(axia.Unauthenticated) as caught:
            client.models()
    assert "AXIA_API_KEY" in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert "s3cret" not in repr(Call("x", None, "s3cret"))


@pytest.mark.parametrize("key", ["with space", "line\n", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        resolve_api_key(key)
    assert key not in str(caught.value)


async def test_an_encrypted_connection(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, chain = (certificate / "key.pem").read_bytes(), (certificate / "cert.pem").read_bytes()
    fake = FakeGateway(detections=["a cat"])
    server = grpc.server(ThreadPoolExecutor(4))
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(fake._gateway, server)
    # The client shows a certificate too: it signed itself, so it is its own authority.
    credentials = grpc.ssl_server_credentials([(key, chain)], chain, require_client_auth=True)
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        path: Any = certificate / "cert.pem"
        tls = axia.TLS(path, certificate=chain, key=certificate / "key.pem", server_name="axia.test")
        with axia.Client(address, tls=tls) as client:
            assert client.detect(pictures.photograph()).consensus == "a cat"
        for name, value in (("ROOTS", path), ("CERTIFICATE", path), ("KEY", certificate / "key.pem")):
            monkeypatch.setenv(f"AXIA_TLS_{name}", str(value))
        monkeypatch.setenv("AXIA_TLS_SERVER_NAME", "axia.test")
        async with axia.AsyncClient(address) as client:
            assert (await client.detect(pictures.photograph())).consensus == "a cat"
        with axia.Client(address, tls=axia.TLS(path)) as client, pytest.raises(axia.Unavailable):
            client.models()
    finally:
        server.stop(0).wait()


def test_files_and_pairs_of_tls_are_checked() -> None:
    with pytest.raises(ValueError, match="a certificate needs its key"):
        axia.TLS(certificate=b"x")
    with pytest.raises(FileNotFoundError, match=r"no root certificates at gone\.pem"):
        axia.Client(tls=axia.TLS("gone.pem"))
    assert "secret" not in repr(axia.TLS(b"a", b"b", b"secret"))
    assert axia.TLS.from_environment() is None


def test_only_reads_may_be_repeated() -> None:
    (policy,) = json.loads(service_config())["methodConfig"]
    repeated = {f"{name['service'].rpartition('.')[2]}/{name.get('method', '')}" for name in policy["name"]}
    assert "ScoringService/" in repeated
    assert "GatewayService/ListModels" in repeated
    assert (
        not {"GatewayService/DetectValues", "GatewayService/", "RetrievalService/", "RetrievalService/DeleteImages"}
        & repeated
    )
    assert policy["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
