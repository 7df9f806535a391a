"""axia's sides."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import grpc

from axia._connection.call import channel_options
from axia.v1 import gateway_pb2, gateway_pb2_grpc, retrieval_pb2, retrieval_pb2_grpc, scoring_pb2_grpc
from loadtests.benchmark.sides import Answer, Side
from loadtests.errors import LoadError
from loadtests.pictures import Picture
from loadtests.scenarios.services import isq_request, search_queries
from loadtests.servers import Server

COMPLETIONS = 3
MAX_TOKENS = 100
CALL_S = 60.0


class GrpcSide(Side):
    """A side that is called over gRPC."""

    def __init__(self, name: str, servers: Sequence[Server], address: str) -> None:
        super().__init__(name, servers)
        self._address = address

    async def open(self) -> None:
        """Makes the channel."""
        options = [*channel_options(self._address), ("grpc.enable_retries", 0)]
        self.channel = grpc.aio.insecure_channel(self._address, options=options)

    async def close(self) -> None:
        """Ends the connection."""
        await self.channel.close()


class Detection(GrpcSide):
    """DetectValues with three completions.

    Args:
        full_text: Let them run to their end.
        scored: Refuse answers in which the scoring service's part is missing.
        before: What is done before each repetition.
    """

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        address: str,
        pictures: Sequence[Picture],
        *,
        full_text: bool = False,
        scored: bool = False,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(name, servers, address)
        self._pictures = pictures
        self._full_text = full_text
        self._scored = scored
        self._before = before

    async def open(self) -> None:
        """Makes the channel and the stub."""
        await super().open()
        self._stub: Any = gateway_pb2_grpc.GatewayServiceStub(self.channel)

    async def before(self) -> None:
        """See the base."""
        if self._before is not None:
            await self._before()

    async def call(self, number: int) -> Answer:
        """See the base."""
        return await self.detect(self.picture(number), number)

    async def detect(self, picture: bytes, seed: int) -> Answer:
        """Asks about a picture."""
        request = gateway_pb2.DetectValuesRequest(
            n=COMPLETIONS, temperature=1.0, max_tokens=MAX_TOKENS, full_text=self._full_text, seed=seed
        )
        request.image.data = picture
        response = await self._stub.DetectValues(request, timeout=CALL_S)
        if self._scored and response.missing:
            raise LoadError(f"{', '.join(response.missing)} is missing: the scoring service did not answer")
        said = tuple(completion.first_sentence for completion in response.completions)
        return Answer(1, sum(completion.tokens for completion in response.completions), said)

    def picture(self, number: int) -> bytes:
        """The file of the picture that a call sends."""
        return self._pictures[number % len(self._pictures)].data


class NewPictures(Detection):
    """Pictures that no cache knows: each file has other bytes, and so another hash, with the same pixels."""

    def picture(self, number: int) -> bytes:
        """See the base: a chunk that says the number, which readers of RIFF pass over, follows those of a WebP file."""
        riff = super().picture(number)
        if riff[:4] != b"RIFF":
            raise LoadError("new images are made of WebP files: measure with the demo's images")
        chunk = b"NOTE" + (8).to_bytes(4, "little") + number.to_bytes(8, "little")
        return riff[:4] + (len(riff) - 8 + len(chunk)).to_bytes(4, "little") + riff[8:] + chunk


class HttpDetection(Side):
    """The same over the HTTP API."""

    def __init__(self, name: str, servers: Sequence[Server], http: Server, pictures: Sequence[Picture]) -> None:
        super().__init__(name, servers)
        self._url = f"http://{http.address}/v1/detect"
        self._pictures = [base64.b64encode(picture.data).decode() for picture in pictures]

    async def open(self) -> None:
        """Makes the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CALL_S)
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self._session.close()

    async def call(self, number: int) -> Answer:
        """See the base."""
        request = {
            "n": COMPLETIONS, "temperature": 1.0, "max_tokens": MAX_TOKENS, "seed": str(number),
            "image": {"data": self._pictures[number % len(self._pictures)]},
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=json.dumps(request), headers=headers) as response:
            response.raise_for_status()
            answer = await response.json()
        return Answer(1, sum(int(completion.get("tokens", 0)) for completion in answer["completions"]))


class IsqScoring(GrpcSide):
    """ScoreIsq of one answer, straight from the scoring service."""

    async def open(self) -> None:
        """Makes the channel and the stub."""
        await super().open()
        self._stub: Any = scoring_pb2_grpc.ScoringServiceStub(self.channel)
        self._request = isq_request()

    async def call(self, number: int) -> Answer:
        """See the base."""
        await self._stub.ScoreIsq(self._request, timeout=CALL_S)
        return Answer()


class TextSearch(GrpcSide):
    """SearchByText, straight from the retrieval service or through the gateway."""

    async def open(self) -> None:
        """Makes the channel and the stub."""
        await super().open()
        self._stub: Any = retrieval_pb2_grpc.RetrievalServiceStub(self.channel)
        self._queries: Sequence[str] = search_queries()

    async def call(self, number: int) -> Answer:
        """See the base."""
        request = retrieval_pb2.SearchByTextRequest(query=self._queries[number % len(self._queries)], k=5)
        response = await self._stub.SearchByText(request, timeout=CALL_S)
        return Answer(len(response.hits))
