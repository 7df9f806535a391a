"""The least that a gateway can be: python -m loadtests.benchmark.children.bare_proxy, started for comparison.

It takes DetectValues, asks the inference server of AXIA_PROXY_INFERENCE as the gateway does and answers with nothing:
what is left of a gateway when only gRPC's own work remains.
"""

import asyncio
import hashlib
import os
import signal
from typing import Any

import grpc

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.v1 import gateway_pb2, gateway_pb2_grpc, inference_pb2, inference_pb2_grpc
from gateway.protocols.sampling import completion_seed

SIZES = [("grpc.max_receive_message_length", 2**25), ("grpc.max_send_message_length", 2**25)]


def question(image: bytes, seed: int, sha256: str, prompt: str) -> inference_pb2.GenerateAllRequest:
    """What the gateway asks the inference server for a detection, by its defaults."""
    request = inference_pb2.GenerateAllRequest()
    generation = request.generation
    generation.image.data = image
    generation.messages.add(role=inference_pb2.ROLE_USER, text=prompt)
    for index in range(3):
        generation.samples.add(seed=completion_seed(seed, index, sha256), temperature=1)
    generation.stop_rule = inference_pb2.STOP_RULE_FIRST_SENTENCE
    return request


class BareProxy(gateway_pb2_grpc.GatewayServiceServicer):
    """Passes detections on.

    Args:
        inference: Stub of the inference server.
    """

    def __init__(self, inference: Any) -> None:
        self._inference = inference
        self._prompt = load_prompts()[DEFAULT_DETECTION_PROMPT].text

    async def DetectValues(  # noqa: N802 - the contract's name
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> gateway_pb2.DetectValuesResponse:
        """Gets three completions and says nothing of them."""
        sha256 = hashlib.sha256(request.image.data).hexdigest()
        await self._inference.GenerateAll(question(request.image.data, request.seed, sha256, self._prompt))
        return gateway_pb2.DetectValuesResponse()


async def main() -> None:
    """Serves until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with grpc.aio.insecure_channel(os.environ["AXIA_PROXY_INFERENCE"], options=SIZES) as channel:
        server = grpc.aio.server(options=SIZES)
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        proxy = BareProxy(stub)  # type: ignore[abstract]  # the calls that it lacks are refused by the stubs' base
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(proxy, server)
        server.add_insecure_port(f"127.0.0.1:{os.environ['AXIA_PROXY_PORT']}")
        await server.start()
        await stop.wait()
        await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
