"""Calls of every kind at a steady rate while something is done to the suite, and what became of them."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import grpc
import httpx

from axia._connection.call import channel_options
from axia._connection.duplex import Responses
from axia.v1 import (
    gateway_pb2,
    gateway_pb2_grpc,
    image_pb2,
    retrieval_pb2,
    retrieval_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
)
from tests.support.pictures import photograph

LATE_S = 1.0
"""How long beyond its deadline a call may last."""


class Kind(NamedTuple):
    """A kind of call."""

    name: str
    rate: float
    """Calls a second."""
    deadline_s: float


KINDS = (
    Kind("detect", 8, 3.0),
    Kind("stream", 3, 3.0),
    Kind("score", 5, 2.0),
    Kind("search", 3, 3.0),
    Kind("ingest", 2, 4.0),
    Kind("http", 3, 3.0),
)


class Outcome(NamedTuple):
    """What became of a call."""

    kind: str
    began: float
    ended: float
    code: str
    deadline_s: float
    detail: str


class Load:
    """Sends calls until its context ends.

    Args:
        gateway: Address of the gateway over gRPC.
        http: Address of the HTTP API.
        key: For both.
        first_image: Number of the first image that is indexed; each has a number of its own.
        rate: How many times the usual rate.
        roots: Certificates of the authority, where the servers speak TLS.
    """

    def __init__(
        self,
        gateway: str,
        http: str,
        key: str,
        first_image: int = 0,
        rate: float = 1.0,
        roots: Path | None = None,
    ) -> None:
        self._addresses = gateway, http
        self._roots = roots
        self.use_key(key)
        self.rate = rate
        self._images = itertools.count(first_image)
        self._stack = AsyncExitStack()
        self._usual = photograph(7)
        self.outcomes: list[Outcome] = []
        self.acknowledged: set[str] = set()
        """Ids of images whose indexing was acknowledged."""
        self._calls: set[asyncio.Task[None]] = set()

    def use_key(self, key: str) -> None:
        """Sends another key from now on."""
        self._metadata = (("authorization", f"Bearer {key}"),)

    async def __aenter__(self) -> Self:
        gateway, http = self._addresses
        enter = self._stack.enter_async_context
        options = channel_options(gateway)
        if self._roots is None:
            channel = await enter(grpc.aio.insecure_channel(gateway, options=options))
        else:
            credentials = grpc.ssl_channel_credentials(self._roots.read_bytes())
            channel = await enter(grpc.aio.secure_channel(gateway, credentials, options=options))
        verify: Any = True if self._roots is None else ssl.create_default_context(cafile=self._roots)
        self._gateway: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        self._scoring: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        self._retrieval: Any = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        # Idle connections are let go before the server does so: it may at the moment at which one is used again.
        limits = httpx.Limits(max_connections=200, keepalive_expiry=2.0)
        self._http = await enter(
            httpx.AsyncClient(base_url=http, trust_env=False, verify=verify, timeout=30, limits=limits)
        )
        self._senders = [asyncio.create_task(self._send(kind)) for kind in KINDS]
        return self

    async def __aexit__(self, *error: object) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._stack.aclose()

    async def _send(self, kind: Kind) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self._call(kind))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            due += 1 / (kind.rate * self.rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _call(self, kind: Kind) -> None:
        began = time.monotonic()
        calls: dict[str, Callable[[float], Awaitable[str]]] = {
            "detect": self._detect,
            "stream": self._stream,
            "score": self._score,
            "search": self._search,
            "ingest": self._ingest,
            "http": self._over_http,
        }
        detail = ""
        try:
            code = await calls[kind.name](kind.deadline_s)
        except grpc.aio.AioRpcError as error:
            code, detail = str(error.code().name), str(error.details())
        except httpx.HTTPError as error:
            code, detail = type(error).__name__, str(error)
        self.outcomes.append(Outcome(kind.name, began, time.monotonic(), code, kind.deadline_s, detail))

    def _detection(self) -> gateway_pb2.DetectValuesRequest:
        return gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=self._usual), n=2)

    async def _detect(self, deadline_s: float) -> str:
        answer = await self._gateway.DetectValues(self._detection(), timeout=deadline_s, metadata=self._metadata)
        return _whole(answer)

    async def _stream(self, deadline_s: float) -> str:
        asked = gateway_pb2.StreamDetectValuesRequest(detection=self._detection())
        async for event in self._gateway.StreamDetectValues(asked, timeout=deadline_s, metadata=self._metadata):
            if event.HasField("summary"):
                return _whole(event.summary)
        return "NO_SUMMARY"

    async def _score(self, deadline_s: float) -> str:
        asked = scoring_pb2.ClassifyResponsesRequest(sentences=["The child is near the hot stove.", "None."])
        await self._scoring.ClassifyResponses(asked, timeout=deadline_s, metadata=self._metadata)
        return "OK"

    async def _search(self, deadline_s: float) -> str:
        asked = retrieval_pb2.SearchByTextRequest(query="a child near a stove")
        await self._retrieval.SearchByText(asked, timeout=deadline_s, metadata=self._metadata)
        return "OK"

    async def _ingest(self, deadline_s: float) -> str:
        number = next(self._images)
        request = retrieval_pb2.IndexImagesRequest(image=image_pb2.Image(data=photograph(number, (96, 72))))
        responses = self._retrieval.IndexImages(iter([request]), timeout=deadline_s, metadata=self._metadata)
        code = "NO_ANSWER"
        async for response in Responses(responses):
            if response.HasField("indexed"):
                self.acknowledged.add(response.indexed.id)
                code = "OK"
            else:
                code = "REJECTED"
        return code

    async def _over_http(self, deadline_s: float) -> str:
        posted = await self._http.post(
            "/v1/detect",
            files={"image": self._usual},
            data={"n": "1"},
            headers={"X-Request-Timeout": str(deadline_s), "Authorization": self._metadata[0][1]},
            # Who asks gives up when its own time is over, as a gRPC client does.
            timeout=httpx.Timeout(deadline_s + LATE_S / 2),
        )
        return "OK" if posted.status_code == 200 else str(posted.status_code)

    async def capacity(self, seconds: float, at_a_time: int = 16) -> float:
        """Calls a second of the usual mix that are answered where the next begins when one ends."""
        kinds = [kind for kind in KINDS for _ in range(round(kind.rate))]
        end = time.monotonic() + seconds
        before = len(self.outcomes)

        async def ask(first: int) -> None:
            for number in itertools.count(first):
                if time.monotonic() > end:
                    return
                await self._call(kinds[number % len(kinds)])

        await asyncio.gather(*(ask(number * 5) for number in range(at_a_time)))
        answered = sum(each.code == "OK" for each in self.outcomes[before:])
        return answered / seconds

    async def stored(self) -> set[str]:
        """Ids of all images that the index holds now."""
        found: set[str] = set()
        token = ""
        while True:
            asked = retrieval_pb2.ListImagesRequest(page_token=token)
            page = await self._retrieval.ListImages(asked, timeout=30, metadata=self._metadata)
            found |= {hit.id for hit in page.images}
            token = page.next_page_token
            if not token:
                return found

    def late(self) -> Iterator[Outcome]:
        """Calls that lasted longer than they may."""
        return (each for each in self.outcomes if each.ended - each.began > each.deadline_s + LATE_S)


class Effect(NamedTuple):
    """What a fault did to the calls around it."""

    calls: int
    failed: Counter[str]
    recovery_s: float
    """From the beginning of the fault until the last call that failed, in seconds; 0 if none did."""


def effect_of(outcomes: list[Outcome], began: float, ended: float) -> Effect:
    """What happened between two times, by the calls that ended there."""
    within = [each for each in outcomes if began <= each.ended <= ended]
    failed = [each for each in within if each.code != "OK"]
    last = max((each.ended for each in failed), default=began)
    return Effect(len(within), Counter(f"{each.kind} {each.code}" for each in failed), last - began)


def _whole(answer: gateway_pb2.DetectValuesResponse) -> str:
    """Whether a detection has all that it should; one that lacks parts is an answer, and not a failure."""
    return "OK" if answer.completions_done else "EMPTY"
