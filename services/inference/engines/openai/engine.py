"""Asks any endpoint that speaks OpenAI's chat completions: a hosted model such as GPT-4o, or a vLLM server elsewhere.

Why it is done this way:

- One streamed request a completion, not the endpoint's `n`: each has a seed of its own, ends alone, and stops at its
  sentence's end. Closing the connection is what cancels it, at OpenAI as at vLLM.
- A completion is asked for again only before its first token came. Afterwards a second try would be another sample.
- Pauses between tries keep the completion's place, so that a busy endpoint is asked less, not by others instead.
- A refusal that names a field is answered at once by a request without it, see `openai_request.Fields`.
- These are all retries there are: `services.serving.upstream.attempts` and the gateway's protocols leave an endpoint's
  failures alone, so that one completion costs an endpoint `openai_retries` + 1 requests at most.
- An endpoint that is away doesn't end this server, which could do nothing about it: calls fail with Unavailable until
  it is back, and at the start health stays NOT_SERVING. So it does while an endpoint that lists models has not loaded
  this one. Only what an operator must change ends the start: a refused key, an address that is none.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from axia.version import __version__
from services.inference import metrics
from services.inference.engines.engine import (
    Conversation,
    Delta,
    EngineLoad,
    Message,
    ModelDescription,
    Prepared,
    Role,
    Sampling,
)
from services.inference.engines.openai.endpoint import Endpoint
from services.inference.engines.openai.errors import EndpointFailure, with_field
from services.inference.engines.openai.request import Fields, messages_json, named_field, request_body, sampled_with
from services.inference.engines.openai.retry import pause_before
from services.inference.engines.queue import CompletionQueue
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, InvalidArgument, ServiceError

logger = logging.getLogger(__name__)

_PROBE_TOKENS = 16
"""Some reasoning models fail on less."""
_MAX_START_PAUSE_S = 30.0
_MOST_LEARNED = 7
"""Refusals of one completion at most that are answered by another request: as many as there are things to learn."""
_MAX_NAMED = 10
"""Models of the endpoint's list that a message names."""


class OpenAIEngine:
    """One model behind one endpoint."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings)
        self._fields = Fields(settings)
        self._queue = CompletionQueue(settings.openai_concurrency, settings.max_queue)
        self._encoders = ThreadPoolExecutor(settings.decode_workers, thread_name_prefix="encode")

    async def start(self) -> None:
        """Waits until the endpoint answers.

        Raises:
            FailedPrecondition: If it refuses the key or isn't an endpoint of this kind.
        """
        for attempt in itertools.count():
            try:
                await self._check_endpoint()
            except EndpointFailure as failure:
                if not failure.retryable and not self._may_come(failure):
                    logger.error("the endpoint's error: %s", failure.detail)  # noqa: TRY400 - its words are in the detail
                    raise _as_precondition(failure) from failure
                pause_s = pause_before(attempt, failure.pause_s, _MAX_START_PAUSE_S) or _MAX_START_PAUSE_S
                logger.warning(
                    "%s (%s); not serving, next attempt in %.1f s",
                    failure.error.message,
                    failure.detail,
                    pause_s,
                )
                await asyncio.sleep(pause_s)
            else:
                return

    def _may_come(self, failure: EndpointFailure) -> bool:
        """Whether a refusal may be because the model is not loaded yet: the endpoint lists others."""
        listed = self._endpoint.listed
        if not listed or failure.error.reason in {"ENDPOINT_KEY_REFUSED", "ENDPOINT_CREDIT", "ENDPOINT_QUOTA"}:
            return False
        logger.warning(
            "the endpoint does not list %s and refuses to answer with it. It lists %s. Set AXIA_INFERENCE_MODEL to one "
            "of those, or load the model there",
            self._settings.model,
            ", ".join(listed[:_MAX_NAMED]) + (f" and {len(listed) - _MAX_NAMED} more" * (len(listed) > _MAX_NAMED)),
        )
        return True

    async def _check_endpoint(self) -> None:
        """Asks for the list of models, and for a few tokens where that doesn't settle it."""
        if await self._endpoint.holds():
            return
        prepared = await self.prepare(Conversation([Message(Role.USER, "Hello")]))
        sampling = Sampling(0, 0.0, 1.0, _PROBE_TOKENS)
        async with aclosing(self._asked(_handle(prepared), sampling, self._endpoint.deadline())) as deltas:
            async for _ in deltas:
                pass
        if self._endpoint.listed:
            logger.warning(
                "the endpoint answers with %s, which is not among the %d models that it lists",
                self._settings.model,
                len(self._endpoint.listed),
            )

    def describe(self) -> ModelDescription:
        """The model, as far as the endpoint tells: its revision is what its latest answer named."""
        return ModelDescription(
            name=self._settings.model_name or self._settings.model,
            revision=self._endpoint.state,
            engine="openai",
            engine_version=__version__,
            max_context_tokens=self._endpoint.max_context_tokens,
            accepts_images=self._settings.openai_accepts_images,
            max_images=self._settings.max_images,
            structured_answers=self._settings.openai_structured,
            engine_settings={
                **self._fields.described,
                "image_format": self._settings.openai_image_format,
                "image_detail": self._settings.openai_image_detail,
                "extra": self._settings.openai_extra,
            },
        )

    def special_tokens(self, role: Role) -> Sequence[str]:
        """Those that the settings name; an endpoint doesn't tell."""
        return self._settings.openai_special_tokens

    def admit(self, completions: int) -> None:
        """Applies the queue bound, before any picture is decoded."""
        self._queue.admit(completions)

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Writes the turns and the picture as JSON, once for all completions. Tokens are known with the answer only."""
        loop = asyncio.get_running_loop()
        return Prepared(0, await loop.run_in_executor(self._encoders, messages_json, conversation, self._settings))

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Samples one completion, chunk by chunk as the endpoint sends it."""
        self.admit(1)  # others may have come since the call was admitted
        async with self._queue.place() as waited:
            waited_s: float | None = waited
            async with aclosing(self._deltas(_handle(prepared), sampling)) as deltas:
                async for delta in deltas:
                    yield delta._replace(queued_s=waited_s)
                    waited_s = None

    async def _asked(self, messages: bytes, sampling: Sampling, deadline: float) -> AsyncGenerator[Delta, None]:
        """A completion, asked for once, and again without the fields that the endpoint refuses."""
        for left in reversed(range(_MOST_LEARNED + 1)):
            fields = self._fields.of(sampling)
            sampled = sampled_with(sampling, fields)
            used = None if sampled == sampling else sampled
            completion = self._endpoint.complete(
                request_body(messages, fields), sampling.max_tokens, deadline, sampling.answer_format
            )
            try:
                async with aclosing(completion) as deltas:
                    async for delta in deltas:
                        yield delta._replace(used=used)
            except EndpointFailure as failure:
                if failure.retryable or not self._fields.learn(failure.said, fields) or not left:
                    raise with_field(failure, named_field(failure.said)) from failure
            else:
                return

    async def _deltas(self, messages: bytes, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """A completion, asked for again where that may help."""
        deadline = self._endpoint.deadline()
        for attempt in itertools.count():
            begun = False
            try:
                async with aclosing(self._asked(messages, sampling, deadline)) as deltas:
                    async for delta in deltas:
                        begun = begun or bool(delta.text or delta.tokens)
                        yield delta
            except EndpointFailure as failure:
                said = failure.detail if self._settings.log_content else failure.without_words()
                logger.warning("%s; the endpoint's error: %s", failure.error.reason, said)
                pause_s = pause_before(attempt, failure.pause_s, self._settings.openai_retry_max_s)
                give_up = begun or not failure.retryable or attempt >= self._settings.openai_retries
                if give_up or pause_s is None or asyncio.get_running_loop().time() + pause_s >= deadline:
                    raise failure.error from failure
                metrics.ENDPOINT_RETRIES.labels(failure.error.reason).inc()
            else:
                return
            await asyncio.sleep(pause_s)

    def load(self) -> EngineLoad:
        """Requests that are open at the endpoint, and completions that wait here."""
        return self._queue.load

    async def watch(self) -> None:
        """Lives as long as the server: an endpoint that is away is told call by call."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Closes the connections."""
        self._encoders.shutdown(wait=False, cancel_futures=True)
        await self._endpoint.close()


def _handle(prepared: Prepared) -> bytes:
    if not isinstance(prepared.handle, bytes):
        raise TypeError("a conversation is asked that another engine prepared")
    return prepared.handle


def _as_precondition(failure: EndpointFailure) -> ServiceError:
    """What an operator must change before the server can start."""
    if isinstance(failure.error, InvalidArgument):
        return FailedPrecondition(
            "the endpoint refuses a plain request, see the log above; it may need another "
            "AXIA_INFERENCE_OPENAI_MAX_TOKENS_FIELD, _SEED_BITS, _USAGE, _STREAM or _EXTRA",
            reason="ENDPOINT_REFUSES",
        )
    return failure.error
