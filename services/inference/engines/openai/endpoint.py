"""The connection to an OpenAI-compatible endpoint: one request at a time, without retries.

Nothing but the base URL of the settings is ever connected to: redirects are not followed, and pictures go as bytes.
httpx is imported here alone.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx

from axia.version import __version__
from services.inference.engines.engine import AnswerFormat, Delta
from services.inference.engines.openai.errors import (
    EndpointFailure,
    broken_off,
    cut_off,
    format_ignored,
    from_error_event,
    from_status,
    malformed,
    readable,
    too_late,
    unreachable,
    with_format,
)
from services.inference.engines.openai.events import DONE, BodyReader
from services.inference.engines.openai.tally import FormatIgnored, Tally
from services.inference.engines.openai.wire import Answer, MalformedAnswer, read_answer, read_listing
from services.inference.settings import InferenceSettings

logger = logging.getLogger(__name__)
# A line for each request, with the address; ours say more.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

ResultT = TypeVar("ResultT")

_CONNECT_S = 10.0
_USAGE_GRACE_S = 2.0
"""How long the token count that follows a completion is waited for."""
_MAX_ERROR_BYTES = 2**16
_MAX_LISTING_BYTES = 2**23
_ANSWER_BYTES = 2**20
_TOKEN_BYTES = 4096
"""An answer has at most `_ANSWER_BYTES` and as many bytes a token, or something else than a completion is coming."""
_MAX_STATE_CHARS = 128


class Endpoint:
    """One model behind one address."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
        self.state = settings.revision
        """State of the model: what the settings or else the latest answer called it."""
        self.max_context_tokens = settings.max_model_len or 0
        """0 if unknown."""
        self.listed: tuple[str, ...] = ()
        """Names of the models that it lists; empty where it doesn't tell."""
        self._client = httpx.AsyncClient(
            base_url=settings.openai_base_url,
            headers={
                # Unpacked answers could be of any size.
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "User-Agent": f"axia/{__version__}",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
            # One deadline covers the whole completion, so httpx's own are for connecting alone.
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=settings.openai_concurrency + 1),
            follow_redirects=False,
        )

    def deadline(self) -> float:
        """When a completion that begins now has to be done, by the event loop's clock."""
        return asyncio.get_running_loop().time() + self._settings.openai_timeout_s

    async def holds(self) -> bool:
        """Whether the endpoint lists the model.

        Many list no models, leave aliases out, or don't let every key see the list, so False means no more than that
        it can't be told this way.
        """
        deadline = self.deadline()
        async with self._response("GET", "models", None, deadline) as response:
            body = await self._body(response, deadline, _MAX_LISTING_BYTES)
        if response.status_code != HTTPStatus.OK:
            failure = from_status(response.status_code, response.headers, body, self._key)
            if response.status_code == HTTPStatus.UNAUTHORIZED or failure.retryable:
                raise failure
            return False
        try:
            listing = read_listing(body)
        except MalformedAnswer:
            return False
        self.listed = tuple(model.id for model in listing.data)
        for model in listing.data:
            if model.id == self._settings.model:
                self.max_context_tokens = self._settings.max_model_len or model.max_model_len or 0
                return True
        return False

    async def complete(
        self, body: bytes, max_tokens: int, deadline: float, answer_format: AnswerFormat | None = None
    ) -> AsyncGenerator[Delta, None]:
        """One request and its answer, delta by delta.

        Args:
            body: The request.
            max_tokens: Tokens that it asks for.
            deadline: By the event loop's clock.
            answer_format: What it asks the answer to be held to.

        Raises:
            EndpointFailure: Whatever goes wrong.
        """
        tally, instead = Tally(max_tokens, answer_format), None
        async with self._response("POST", "chat/completions", body, deadline) as response:
            if not response.is_success:  # some answer with 201
                said = await self._body(response, deadline, _MAX_ERROR_BYTES)
                failure = from_status(response.status_code, response.headers, said, self._key)
                raise failure if answer_format is None else with_format(failure)
            async with aclosing(self._answers(response, max_tokens)) as answers:
                while not tally.overfull:
                    try:
                        answer = await self._within(self._wait_until(deadline, tally), anext(answers, None))
                        if answer is None:
                            break
                        if answer.failure:
                            raise from_error_event(answer.failure, self._key)
                        if answer.broken_off:
                            raise broken_off(answer.broken_off, self._key)
                    except EndpointFailure:
                        if tally.finish is None:
                            raise
                        break  # the completion is whole, only its token count is missing
                    self._note_state(answer)
                    instead = answer.instead or instead
                    if (delta := tally.add(answer)) is not None:
                        yield delta
        if not tally.answered:
            failure = from_error_event(instead, self._key)
            raise failure if failure.said.message else malformed("the answer holds no choice")
        try:
            yield tally.last()
        except FormatIgnored:
            raise format_ignored() from None

    @staticmethod
    def _wait_until(deadline: float, tally: Tally) -> float:
        """Until when the next chunk is waited for."""
        if tally.finish is None:
            return deadline
        return min(deadline, asyncio.get_running_loop().time() + _USAGE_GRACE_S)

    async def _answers(self, response: httpx.Response, max_tokens: int) -> AsyncGenerator[Answer, None]:
        """The chunks of a streamed answer, or the one of an answer that is not streamed.

        A stream that ends without saying so is a failure.
        """
        most = _ANSWER_BYTES + _TOKEN_BYTES * max_tokens
        reader, received = self._reader(response), 0
        try:
            async for part in response.aiter_raw():
                received += len(part)
                if received > most:
                    raise malformed(f"the answer has more than {most} bytes")
                for data in reader.feed(part):
                    if data.strip() == DONE:
                        return
                    if data.strip():
                        yield read_answer(data)
            for data in reader.rest():
                if data.strip() == DONE:
                    return
                try:
                    yield read_answer(data)
                except MalformedAnswer as error:
                    if not reader.streamed:
                        raise malformed(str(error), data.encode(), self._key) from error
                    # else cut off within an event
            if not reader.streamed:
                return
        except MalformedAnswer as error:
            raise malformed(str(error)) from error
        except httpx.HTTPError as error:
            raise cut_off(type(error).__name__, self._key) from error
        raise cut_off("the stream ended before the completion", self._key)

    @staticmethod
    def _reader(response: httpx.Response) -> BodyReader:
        if (packed := response.headers.get("content-encoding", "identity")) != "identity":
            raise malformed(f"it is compressed with {packed[:_MAX_STATE_CHARS]}, which was not requested")
        return BodyReader(response.headers.get("content-type", ""))

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: bytes | None, deadline: float
    ) -> AsyncIterator[httpx.Response]:
        """Sends a request; the connection is closed unless the answer was read to its end."""
        try:
            request = self._client.build_request(method, path, content=body)
            response = await self._within(deadline, self._client.send(request, stream=True))
        except httpx.HTTPError as error:
            # Its text names the cause, such as a refused connection; some hold headers, so the key is left out.
            cause = f"{type(error).__name__}: {error}"
            never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol))
            raise unreachable(cause, self._key) if never_sent else cut_off(cause, self._key) from error
        try:
            yield response
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response, deadline: float, most: int) -> bytes:
        """The first bytes of a body."""
        body = bytearray()

        async def read() -> None:
            async for part in response.aiter_raw():
                body.extend(part)
                if len(body) >= most:
                    return

        try:
            await self._within(deadline, read())
        except httpx.HTTPError as error:
            raise cut_off(type(error).__name__, self._key) from error
        return bytes(body[:most])

    async def _within(self, deadline: float, awaitable: Awaitable[ResultT]) -> ResultT:
        """Awaits until a deadline. Not around a whole generator, where it would strike its consumer."""
        try:
            async with asyncio.timeout_at(deadline):
                return await awaitable
        except TimeoutError as error:
            raise too_late(self._settings.openai_timeout_s) from error

    def _note_state(self, answer: Answer) -> None:
        """Keeps what an answer says about the state of the model, such as gpt-4o-2024-08-06 and a fingerprint."""
        if self._settings.revision:
            return
        snapshot = answer.model if answer.model != self._settings.model else ""
        state = "+".join(part for part in (snapshot, answer.system_fingerprint) if part)
        if state and state.isprintable():
            self.state = readable(state, self._key)[:_MAX_STATE_CHARS]

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
