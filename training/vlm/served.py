"""Ask a served model: the same questions through the production code, InferenceService and the engine behind it.

AXIA_INFERENCE_MODEL=demo/models/vlm axia up
python -m training.vlm.evaluate --served 127.0.0.1:50051
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from PIL import Image

from axia.v1 import image_pb2, inference_pb2, inference_pb2_grpc
from training.vlm.conversations import Conversation

CONCURRENCY = 32
TIMEOUT_S = 120.0
ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}


class ServedAsker:
    """Asks the model of an inference server, many conversations at a time.

    Args:
        address: host and port of the inference server.
    """

    def __init__(self, address: str) -> None:
        self._stub = inference_pb2_grpc.InferenceServiceStub(grpc.insecure_channel(address))

    def __call__(
        self,
        conversations: Sequence[Conversation],
        images: Sequence[Image.Image | None],
        max_new_tokens: int,
        temperature: float = 0.0,
    ) -> list[str]:
        """The answer to each conversation; see `training.vlm.asking.Asker`."""
        requests = [
            self._request(conversation, image, max_new_tokens, temperature, seed)
            for seed, (conversation, image) in enumerate(zip(conversations, images, strict=True))
        ]
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            return list(pool.map(self._answer, requests))

    def _answer(self, request: inference_pb2.GenerateRequest) -> str:
        events = self._stub.Generate(request, timeout=TIMEOUT_S)
        return next(event.completion.text for event in list(events) if event.HasField("completion"))

    @staticmethod
    def _request(
        conversation: Conversation, image: Image.Image | None, max_tokens: int, temperature: float, seed: int
    ) -> inference_pb2.GenerateRequest:
        picture = None
        if image is not None:
            buffer = io.BytesIO()
            image.save(buffer, "PNG", compress_level=1)
            picture = image_pb2.Image(data=buffer.getvalue())
        return inference_pb2.GenerateRequest(
            image=picture,
            messages=[inference_pb2.Message(role=ROLES[turn.role], text=turn.text) for turn in conversation.turns],
            samples=[inference_pb2.Sample(seed=seed, temperature=temperature)],
            max_tokens=max_tokens,
            stop_rule=inference_pb2.STOP_RULE_NONE,
        )
