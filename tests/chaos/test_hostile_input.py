"""Malformed images and messages over gRPC and HTTP: each gets a defined status, and everybody else is served."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2, retrieval_pb2, retrieval_pb2_grpc
from gateway.http.transcoding.calls import CALLS
from tests.component.identity.test_matrix import METHODS
from tests.support.chaos.faults import ChaosSuite, Tally, size
from tests.support.chaos.hostile_images import crafted, mutated, real_files
from tests.support.chaos.hostile_messages import fill, request_for
from tests.support.pictures import photograph

IMAGES = size(600, 10_000, "IMAGES")
MESSAGES = size(500, 5_000, "MESSAGES")
AT_A_TIME = 8
GOOD_EVERY = 50
GROWTH_MIB = 50.0
"""Of one server."""
STEP = 1_000
WARM_UP = 1_500
"""Calls after which memory is looked at: allocators keep what the largest calls of each thread have taken."""
TIMEOUT_S = 60.0

LIMITS = httpx.Limits(keepalive_expiry=2.0)
"""Less than the server's, which may close a connection at the moment at which it is used again."""

DEFINED = frozenset({
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED",
    "OUT_OF_RANGE", "ABORTED",
})  # fmt: skip
"""What malformed input may come to. Not UNKNOWN or INTERNAL, and neither a deadline nor a server that is away."""
DEFINED_HTTP = frozenset({"200", "400", "404", "405", "408", "409", "411", "413", "415", "422", "429"})
LASTING = {"/axia.v1.RetrievalService/StartReindex", "/axia.v1.RetrievalService/PurgeImages"}
"""Calls that begin hours of work where a request happens to be good."""


class Attack:
    """Sends hostile calls some at a time, a good one between them, and measures memory after a warm-up."""

    def __init__(self, suite: ChaosSuite) -> None:
        self.suite = suite
        self.tally = Tally()
        self.good = 0

    async def send(
        self, count: int, send_one: Callable[[int], Awaitable[None]], good: Callable[[], Awaitable[None]]
    ) -> str:
        """Sends them all; returns what came of it."""
        pids = self.suite.pids()
        warm = min(count // 2, WARM_UP)
        await self._some(range(warm), send_one, good)
        before = self.suite.resident()
        seen = [before]
        for begin in range(warm, count, STEP):
            await self._some(range(begin, min(begin + STEP, count)), send_one, good)
            seen.append(self.suite.resident())
        after = seen[-1]
        for name in after:
            print(f"\n{name}: MiB every {STEP:,} calls: {', '.join(f'{each[name]:.0f}' for each in seen)}", end="")
        self.suite.require_alive(pids)
        grown = {name: after[name] - before[name] for name in after}
        assert self.tally.odd == [], f"{len(self.tally.odd)} of {count}: {self.tally.odd[:5]}"
        assert max(grown.values()) < GROWTH_MIB, grown
        self.suite.require_no_tracebacks()
        told = ", ".join(f"{name} {mib:+.1f}" for name, mib in grown.items())
        return (
            f"{count:,} calls: {self.tally.told()}; {self.good} good ones answered; memory in MiB after {warm}: {told}"
        )

    async def _some(
        self, numbers: range, send_one: Callable[[int], Awaitable[None]], good: Callable[[], Awaitable[None]]
    ) -> None:
        waiting = iter(numbers)

        async def work() -> None:
            for number in waiting:
                await send_one(number)
                if number % GOOD_EVERY == 0:
                    await good()
                    self.good += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(work())


def code_of(error: grpc.aio.AioRpcError) -> str:
    return str(error.code().name)


async def test_malformed_images(attacked: ChaosSuite) -> None:
    named = [(name, make()) for name, make in crafted().items()]
    attack = Attack(attacked)
    retrieval, http = attacked.grpc("gateway").address, attacked.http.url
    options = [("grpc.max_send_message_length", 2**26)]
    async with (
        grpc.aio.insecure_channel(attacked.grpc("gateway").address, options=options) as channel,
        grpc.aio.insecure_channel(retrieval, options=options) as searching,
        httpx.AsyncClient(
            base_url=http, timeout=TIMEOUT_S, trust_env=False, headers=attacked.headers, limits=LIMITS
        ) as client,
    ):
        gateway: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        index: Any = retrieval_pb2_grpc.RetrievalServiceStub(searching)

        async def detect(data: bytes) -> None:
            request = gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=data), n=1)
            await gateway.DetectValues(request, timeout=TIMEOUT_S, metadata=attacked.metadata)

        async def search(data: bytes) -> None:
            request = retrieval_pb2.SearchByImageRequest(image=image_pb2.Image(data=data))
            await index.SearchByImage(request, timeout=TIMEOUT_S, metadata=attacked.metadata)

        async def send_one(number: int) -> None:
            # Each of the crafted ones goes each way; of the others most are detections.
            turn, place = divmod(number, len(named))
            name, data = named[place] if turn < 3 else (f"seed {number}", mutated(number))
            way = (5, 6, 7)[turn] if turn < 3 else number % 8
            if way == 7:
                posted = await client.post("/v1/detect", files={"image": data}, data={"n": "1"})
                attack.tally.add(str(posted.status_code), DEFINED_HTTP, f"{name} over HTTP: {posted.text[:300]}")
                return
            try:
                await (search(data) if way == 6 else detect(data))
            except grpc.aio.AioRpcError as error:
                attack.tally.add(code_of(error), DEFINED, f"{name}: {error.details()}")
            else:
                attack.tally.add("OK", DEFINED, name)

        usual = photograph(5)

        async def good() -> None:
            await detect(usual)
            await search(usual)
            posted = await client.post("/v1/detect", files={"image": usual})
            assert posted.status_code == 200, posted.text

        print(f"\nimages, {len(named)} of them crafted, {await attack.send(IMAGES, send_one, good)}")


async def test_malformed_messages(attacked: ChaosSuite) -> None:
    attack = Attack(attacked)
    methods = sorted(set(METHODS) - LASTING)
    own = {"InferenceService": "inference", "RetrievalService": "retrieval", "ScoringService": "scoring"}
    picture = real_files()[0]
    posted_calls = [
        call
        for call in CALLS
        if call.verb == "POST" and f"/{call.method.containing_service.full_name}/{call.method.name}" not in LASTING
    ]
    options = [("grpc.max_send_message_length", 2**26)]
    # Not asyncio's, which says INTERNAL where a call ends while requests are sent, whatever the server said.
    async with AsyncExitStack() as stack:
        channels = {
            name: stack.enter_context(grpc.insecure_channel(attacked.grpc(name).address, options=options))
            for name in ("gateway", "inference", "retrieval", "scoring")
        }
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=attacked.http.url, timeout=TIMEOUT_S, trust_env=False, headers=attacked.headers, limits=LIMITS
            )
        )

        async def over_grpc(number: int, draw: random.Random) -> None:
            path = methods[number % len(methods)]
            method = METHODS[path]
            # Through the gateway, and at the service's own port.
            service = own.get(path.split("/")[1].rpartition(".")[2], "gateway") if draw.random() < 0.5 else "gateway"
            requests = [
                request_for(method, draw, picture) for _ in range(draw.choice((1, 3)) if method.client_streaming else 1)
            ]
            code, details = await asyncio.to_thread(status_of, channels[service], path, requests, attacked.metadata)
            attack.tally.add(code, DEFINED, f"{number} {path} at {service}: {details}")

        async def over_http(number: int, draw: random.Random) -> None:
            call = posted_calls[number // 4 % len(posted_calls)]
            message = GetMessageClass(call.body)()  # type: ignore[arg-type]
            fill(message, draw, picture)
            body = bytearray(hostile_json(message, draw))
            for _ in range(draw.choice((0, 1, 4))):
                if body:
                    body[draw.randrange(len(body))] = draw.randrange(256)
            kind = "application/json"
            if draw.random() < 0.3:
                kind = "multipart/form-data; boundary=b" if draw.random() < 0.9 else "multipart/form-data"
                body = hostile_form(bytes(body), picture, draw)
            try:
                posted = await client.post(call.path, content=bytes(body), headers={"Content-Type": kind})
            except httpx.TransportError as error:
                attack.tally.add(
                    type(error).__name__, DEFINED_HTTP, f"{number} {call.path} {kind}: {bytes(body[:200])!r}"
                )
                return
            attack.tally.add(str(posted.status_code), DEFINED_HTTP, f"{number} {call.path}: {posted.text[:300]}")

        async def send_one(number: int) -> None:
            draw = random.Random(number)
            await (over_http if number % 4 == 3 else over_grpc)(number, draw)

        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channels["gateway"])
        usual = photograph(5)

        async def good() -> None:
            request = gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=usual))
            detect = partial(stub.DetectValues, request, timeout=TIMEOUT_S, metadata=attacked.metadata)
            answer = await asyncio.to_thread(detect)
            assert answer.completions
            listed = await client.get("/v1/models")
            assert listed.status_code == 200

        told = await attack.send(MESSAGES, send_one, good)
        print(f"\nmessages to {len(methods)} RPCs and {len(posted_calls)} addresses, {told}")


def status_of(
    channel: grpc.Channel, path: str, requests: list[bytes], metadata: tuple[tuple[str, str], ...]
) -> tuple[str, str]:
    """The code and the details with which a call ends."""
    send: Any = channel.stream_stream(path)
    try:
        for _ in send(iter(requests), timeout=TIMEOUT_S, metadata=metadata):
            pass
    except grpc.RpcError as error:
        return str(error.code().name), str(error.details())  # type: ignore[attr-defined]
    return "OK", ""


def hostile_json(message: Any, draw: random.Random) -> bytes:
    """A message in JSON, sometimes with values that no message can have."""
    try:
        fields: Any = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except json_format.Error:  # a time in no calendar, say
        fields = {}
    if fields and draw.random() < 0.4:
        wrong = (None, -1, 1e400, "NaN", [], {}, [[[]]], "\ud800", "9" * 400, True, {"data": 5}, "*" * 100)
        fields[draw.choice(list(fields))] = draw.choice(wrong)
    if draw.random() < 0.1:
        return b'{"a":' * draw.choice((10, 20_000)) + b"1"
    return json.dumps(fields).encode()


def hostile_form(body: bytes, picture: bytes, draw: random.Random) -> bytearray:
    """A form, some of whose parts are wrong."""
    parts = [
        b'Content-Disposition: form-data; name="request"\r\n\r\n' + body,
        b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + picture,
        b'Content-Disposition: form-data; name="image"\r\n\r\n' + base64.b64encode(picture),
        b"Content-Disposition: form-data\r\n\r\nx",
        b'Content-Disposition: form-data; name="n"; filename="../../x"\r\n\r\n1',
        b"\r\n\r\n",
        b"X" * 5_000,
    ]
    chosen = [draw.choice(parts) for _ in range(draw.randrange(0, 4))]
    end = draw.choice((b"--b--\r\n", b"--b\r\n", b"", b"--b-"))
    return bytearray(b"".join(b"--b\r\n" + part + b"\r\n" for part in chosen) + end)
