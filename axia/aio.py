"""The client for programs with asyncio: `axia.client` with `await`."""
# ruff: noqa: ASYNC109 - the limit travels to the server, which answers with what is done; asyncio.timeout can't do that

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Unpack

from axia import _requests, convert
from axia._connection.streams import AsyncFeed, each
from axia._gathered import Gathered
from axia._options import DetectOptions, InterestOptions, PreferenceOptions
from axia._pictures import Picture
from axia._retrieval import AsyncRetrievalCalls
from axia.inputs import AlignmentItem
from axia.results import (
    Completion,
    Detection,
    Interest,
    JudgedAnswers,
    ModelList,
    Preference,
    PreferenceEvent,
    PreferenceSummary,
    WatchEvent,
)
from axia.scoring import AsyncScoring
from axia.v1 import gateway_pb2


class AsyncClient(AsyncRetrievalCalls):
    """An asyncio client of an axia gateway. It can run any number of calls at a time. Close it, or use `async with`.

    Each event loop has its own connection, so one client works with several `asyncio.run`, one after another or in
    several threads. Don't use it in a process that was forked after a call: use `Client` there, or start processes with
    spawn.

        >>> async with AsyncClient() as client:
        ...     detection = await client.detect("kitchen.jpg", n=5, seed=1)
        >>> detection.consensus
        'a pot boiling over'

    Args:
        address: Host and port of the gateway. Default: the environment variable AXIA_ADDRESS, or ``127.0.0.1:50050``.
        timeout: Default timeout of a call, in seconds; None for no limit.
        tls: How to encrypt the connection, such as ``TLS(root_certificates="ca.pem")``. Default: the environment
            variables that `TLS.from_environment` names, or no encryption.
        api_key: Sent with each call as ``authorization: Bearer ...``; use TLS if others can read the network. Default:
            the environment variable AXIA_API_KEY, or none.

    Raises:
        ValueError: If the address is a URL or has no valid port, the timeout is not above 0, or the API key can't be
            sent.
        OSError: If a file of `tls` can't be read.
    """

    async def detect(
        self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]
    ) -> Detection:
        """See `Client.detect`."""
        asked = await asyncio.to_thread(_requests.detect, image, **options)
        call = self._new_call(timeout)
        with call.errors():
            response = await self._stub.DetectValues(asked.request, **call.options)
        return convert.to_detection(response, path=asked.path, request_id=call.request_id)

    async def stream(
        self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]
    ) -> AsyncGenerator[Completion | Detection, None]:
        """See `Client.stream`."""
        asked = await asyncio.to_thread(_requests.detect, image, **options)
        request = gateway_pb2.StreamDetectValuesRequest(detection=asked.request)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.StreamDetectValues(request, **call.options)
            try:
                async for event in events:
                    if event.HasField("summary"):
                        yield convert.to_detection(event.summary, path=asked.path, request_id=call.request_id)
                        return
                    if event.HasField("completion"):
                        yield convert.to_completion(event.completion)
            finally:
                events.cancel()
        raise call.ended_early()

    async def watch(
        self,
        frames: Iterable[Picture] | AsyncIterable[Picture],
        *,
        timeout: float | None = math.inf,
        **options: Unpack[DetectOptions],
    ) -> AsyncGenerator[WatchEvent, None]:
        """See `Client.watch`."""
        channels = options.pop("channels", "RGB")
        config = _requests.detect_config(**options)
        paths: dict[int, str | None] = {}

        async def requests() -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
            yield gateway_pb2.WatchValuesRequest(config=config)
            frame_id = 0
            async for frame in each(frames):
                request, paths[frame_id] = await asyncio.to_thread(_requests.frame, frame, frame_id, channels)
                yield request
                frame_id += 1

        call = self._new_call(timeout)
        feed = AsyncFeed(requests(), window=_requests.WATCH_WINDOW)
        async with aclosing(self._duplex(self._stub.WatchValues, feed, call)) as responses:
            async for response in responses:
                path = paths.pop(response.frame_id, None)
                if event := convert.to_watch_event(response, path=path, request_id=call.request_id):
                    yield event

    async def assess_preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> AsyncGenerator[PreferenceEvent, None]:
        """See `Client.assess_preference`."""
        request = _requests.assess_preference(**options)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.AssessPreference(request, **call.options)
            try:
                async for message in events:
                    if event := convert.to_preference_event(message):
                        yield event
                        if isinstance(event, PreferenceSummary):
                            return
            finally:
                events.cancel()
        raise call.ended_early()

    async def preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> Preference:
        """See `Client.preference`."""
        gathered = Gathered(options.get("resume"))
        async with aclosing(self.assess_preference(timeout=timeout, **options)) as events:
            async for event in events:
                gathered.add(event)
        return gathered.preference()

    async def judge_interest(
        self,
        pictures: Iterable[Picture],
        traits: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[InterestOptions],
    ) -> Interest:
        """See `Client.judge_interest`."""
        request = await asyncio.to_thread(_requests.judge_interest, pictures, traits, **options)
        return await self._get(self._stub.JudgeInterest, request, Interest, timeout)

    async def judge_alignment(
        self,
        items: Iterable[AlignmentItem],
        *,
        model: str | None = None,
        samples: int | None = None,
        structured: bool = False,
        timeout: float | None = None,
    ) -> JudgedAnswers:
        """See `Client.judge_alignment`."""
        request = _requests.judge_alignment(items, model, samples, structured)
        return await self._get(self._stub.JudgeAlignment, request, JudgedAnswers, timeout)

    async def models(self, *, timeout: float | None = None) -> ModelList:
        """See `Client.models`."""
        call = self._new_call(timeout)
        with call.errors():
            response = await self._stub.ListModels(gateway_pb2.ListModelsRequest(), **call.options)
        return convert.to_model_list(response)

    @cached_property
    def scoring(self) -> AsyncScoring:
        """See `Client.scoring`."""
        return AsyncScoring(self._open, self._new_call)
