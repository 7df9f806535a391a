"""A scripted suite of real processes, shared by the tests of this folder."""

from collections.abc import Iterator

import grpc
import pytest

from axia.v1 import gateway_pb2_grpc, inference_pb2_grpc
from tests.support import processes
from tests.support.processes import Suite


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    logs = tmp_path_factory.mktemp("suite")
    with (
        processes.inference(logs / "inference.log") as inference,
        processes.gateway(logs / "gateway.log", inference.address, refresh_s=0.2) as gateway,
    ):
        inference.wait_for("SERVING")
        gateway.wait_for("SERVING")
        yield Suite(inference, gateway)


@pytest.fixture
def gateway_stub(suite: Suite) -> Iterator[gateway_pb2_grpc.GatewayServiceStub]:
    with grpc.insecure_channel(suite.gateway.address, options=MESSAGE_SIZES) as channel:
        yield gateway_pb2_grpc.GatewayServiceStub(channel)


@pytest.fixture
def inference_stub(suite: Suite) -> Iterator[inference_pb2_grpc.InferenceServiceStub]:
    with grpc.insecure_channel(suite.inference.address, options=MESSAGE_SIZES) as channel:
        yield inference_pb2_grpc.InferenceServiceStub(channel)


MESSAGE_SIZES = [("grpc.max_send_message_length", 64 * 2**20), ("grpc.max_receive_message_length", 64 * 2**20)]
