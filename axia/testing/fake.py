"""A fake gateway in the test's own process, with answers that the test sets."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc

from axia.errors import AxiaError
from axia.testing._answers import Answers, Script
from axia.testing._calls import Calls, Received
from axia.testing._gateway import Gateway
from axia.testing._retrieval import Retrieval
from axia.testing._scoring import FakeScoring
from axia.v1 import gateway_pb2_grpc, retrieval_pb2_grpc, scoring_pb2_grpc

__all__ = ["FakeGateway", "Received"]

_THREADS = 16
_MAX_MESSAGE_BYTES = 48 * 2**20


class FakeGateway(Calls):
    """A fake gateway for tests. It answers detection, preference, interest, watch and search with answers that you set.

    The same calls always get the same answers. Pillow must be able to read the images.

        >>> with FakeGateway(answers={"Do you like": "Yes.", "needs attention": ["the stove", "the knife"]}) as fake:
        ...     client = axia.Client(fake.address)

    Args:
        detections: Answers to the detections, in order; after the last one it starts again with the first. Each is one
            sentence for all completions, a sentence for each completion, or an error of `axia.errors`, which the call
            raises.
        answers: Answers by a part of the prompt's text or id, or by the SHA-256 of the image; the first match is used.
            Without a match, images are answered with "the picture" and questions with "Yes."
        images: Images that are already indexed, as paths or bytes.
        latency: Seconds that each answer takes; a cancelled call ends at once.
        api_key: If given, calls without it are refused.
    """

    def __init__(
        self,
        *,
        detections: Sequence[str | Sequence[str] | AxiaError] = (),
        answers: Mapping[str, str | Sequence[str]] | None = None,
        images: Iterable[str | Path | bytes] = (),
        latency: float = 0.0,
        api_key: str | None = None,
    ) -> None:
        super().__init__(latency, api_key)
        self._server: grpc.Server | None = None
        self.retrieval = Retrieval(self)
        """The images that are indexed."""
        for image in images:
            self.retrieval.add(image if isinstance(image, bytes) else Path(image).read_bytes())
        scoring = FakeScoring(self)
        self._gateway = Gateway(self, Script(detections, Answers(answers or {})), self.retrieval, scoring)
        self._scoring = scoring

    def __enter__(self) -> Self:
        options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
        server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(self._gateway, server)
        retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(self.retrieval, server)
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(self._scoring, server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
