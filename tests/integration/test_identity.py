"""Servers in processes of their own that speak TLS and check keys, while certificates and keys are replaced."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest

import axia
from axia.errors import AxiaError
from axia.identity.certs import init_certificates, renew_certificates
from axia.identity.keys import revoke_key
from axia.v1 import scoring_pb2, scoring_pb2_grpc
from services.serving.status import from_rpc_error
from suite.services import encryption
from tests.support import pictures, processes
from tests.support.identity import make_key
from tests.support.processes import HttpApi, Server


class Secured(NamedTuple):
    """The servers and their files."""

    certificates: Path
    keys: Path
    inference: Server
    scoring: Server
    gateway: Server
    http: HttpApi

    def client(self, key: str) -> axia.Client:
        return axia.Client(
            self.gateway.address, api_key=key, tls=axia.TLS(root_certificates=self.certificates / "ca.pem")
        )

    def http_client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        return httpx.Client(base_url=f"https://127.0.0.1:{self.http.port}", verify=context, trust_env=False)

    def ready(self, metrics_port: int) -> bool:
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        try:
            return httpx.get(f"https://127.0.0.1:{metrics_port}/readyz", verify=context, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    certificates, keys = tmp_path / "certs", tmp_path / "keys.json"
    init_certificates(certificates, [], days=1, authority_days=1)
    make_key(keys, "nobody", ["admin"])
    variables = encryption(certificates)

    def tls(name: str) -> dict[str, str]:
        prefix = f"AXIA_{name.upper()}_"
        return {key.removeprefix(prefix).lower(): path for key, path in variables.items() if key.startswith(prefix)}

    with ExitStack() as stack:
        enter = stack.enter_context
        inference = enter(processes.inference(tmp_path / "inference.log", **tls("inference")))
        scoring = enter(processes.scoring(tmp_path / "scoring.log", **tls("scoring")))
        chosen: dict[str, Any] = {"scoring": scoring.address, "keys": keys, "refresh_s": 0.2} | tls("gateway")
        gateway = enter(processes.gateway(tmp_path / "gateway.log", inference.address, **chosen))
        http = enter(processes.http_api(tmp_path / "http.log", gateway.address, **tls("http")))
        made = Secured(certificates, keys, inference, scoring, gateway, http)
        for server in (inference, scoring, gateway):
            eventually(lambda server=server: made.ready(server.metrics_port), 60)
        yield made


def eventually(holds: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)


def refusal(call: Callable[[], object]) -> str:
    """The reason why a call is refused; empty if it isn't."""
    try:
        call()
    except AxiaError as error:
        return error.reason
    return ""


def test_calls_go_through_while_certificates_and_keys_are_replaced(secured: Secured) -> None:
    robot = make_key(secured.keys, "robot", ["detect"])
    with secured.client(robot.text) as client, secured.http_client() as http:
        eventually(lambda: not refusal(client.models), 10)  # the file is read again
        assert client.detect(pictures.photograph(0), n=2).completions
        assert refusal(lambda: client.search_text("a")) == "ROLE_MISSING"
        headers = {"Authorization": f"Bearer {robot.text}"}
        eventually(lambda: readyz(http) == 200, 60)
        assert secured.ready(secured.http.metrics_port)
        assert http.get("/v1/models", headers=headers).status_code == 200
        assert http.get("/v1/models").status_code == 401

        renew_certificates(secured.certificates, days=1)
        said = "AXIA_GATEWAY_UPSTREAM_*: the files of TLS were read again"
        eventually(lambda: said in secured.gateway.log_text(), 10)
        for _ in range(20):  # on new channels, without a call that fails meanwhile
            assert client.detect(pictures.photograph(0), n=2).completions
            time.sleep(0.1)
        with secured.client(robot.text) as another:
            assert another.models()
        assert http.get("/v1/models", headers=headers).status_code == 200

        revoke_key(secured.keys, robot.record.id)
        eventually(lambda: refusal(client.models) == "KEY_REVOKED", 10)
        assert http.get("/v1/models", headers=headers).status_code == 401


def readyz(http: httpx.Client) -> int:
    try:
        return http.get("/readyz").status_code
    except httpx.HTTPError:
        return 0


def test_a_service_behind_the_gateway_takes_the_gateways_certificate_alone(secured: Secured) -> None:
    def ask(holder: str) -> str:
        pem, key = (secured.certificates / f"{holder}.{suffix}" for suffix in ("pem", "key"))
        roots = (secured.certificates / "ca.pem").read_bytes()
        credentials = grpc.ssl_channel_credentials(roots, key.read_bytes(), pem.read_bytes())
        with grpc.secure_channel(secured.scoring.address, credentials) as channel:
            stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
            try:
                stub.ClassifyResponses(scoring_pb2.ClassifyResponsesRequest(sentences=["None."]), timeout=10)
            except grpc.RpcError as error:
                return from_rpc_error(error).reason  # type: ignore[arg-type]
        return ""

    assert {holder: ask(holder) for holder in ("gateway", "client", "inference")} == {
        "gateway": "READER_MISSING",  # it was let in: the tests' scoring service has no reader
        "client": "CERTIFICATE_NAME",
        "inference": "CERTIFICATE_NAME",
    }
