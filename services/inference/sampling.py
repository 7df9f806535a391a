"""What the inference service does: checks a request, reads its picture, samples its completions."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from services.inference import metrics
from services.inference.engines.answer_format import check_answer_format
from services.inference.engines.engine import (
    Conversation,
    Engine,
    Message,
    ModelDescription,
    Picture,
    Prepared,
    Role,
    Sampling,
)
from services.inference.generation import Completion, Delta, Ending, Finished, Started, generate
from services.inference.preparation import prepare
from services.inference.settings import InferenceSettings
from services.inference.stop_texts import check_stops
from services.serving.errors import DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from services.serving.limits import (
    MAX_SEED,
    MAX_TEMPERATURE,
    check_between,
    check_special_tokens,
    check_text,
    check_top_p,
)
from services.serving.pictures import PictureHeader, PictureReader

_MAX_MESSAGES = 64
_SPARE = 4
"""A picture is reduced to this many times the pixels that the model sees, so that its processor, which scales what it
gets, has twice the width and height that it needs. On demo scenes of 64 megapixels the result differs from the whole
picture's by 0.05 to 0.12 of 255 levels at sides of 336 to 1,400 pixels; JPEG of quality 95 differs by 0.4 to 1.0."""
_LEAST_USED_PIXELS = 4_000_000
"""Fewer than these are never asked for: a processor that scales by the shorter side needs more of a long picture."""


class ShownImage(NamedTuple):
    """A picture within a message."""

    data: bytes
    """The encoded picture."""
    field: str
    """The caller's name of it, for errors."""
    message: int | None = None
    """Index of the message; None for the first of the user's."""
    after_chars: int = 0
    """Characters of the message's text that come before it."""


@dataclass(frozen=True)
class SampleRequest:
    """A conversation and the completions to sample."""

    model: str
    images: Sequence[ShownImage]
    """In the order in which the conversation shows them."""
    messages: Sequence[Message]
    samplings: Sequence[Sampling]
    ending: Ending = field(default_factory=Ending)


@dataclass(frozen=True)
class Summary:
    """The end of a request. Times are seconds."""

    image: PictureHeader | None
    """The first picture."""
    used_size: tuple[int, int]
    """Width and height of that picture as the engine got it, in pixels."""
    model: ModelDescription
    sampling: Sampling
    """Of the first completion; nucleus and length are the same for all."""
    sentence_rule: str
    """The rule that told the first sentences, with its version."""
    prompt_tokens: int
    total_s: float
    decode_s: float
    queue_s: float
    first_token_s: float
    generation_s: float


class Sampled(NamedTuple):
    """All that came of a request."""

    completions: Sequence[Completion]
    """Those that were done in time, by index."""
    summary: Summary | None
    """None where time ran out first."""


class Sampler:
    """Samples completions from one engine within the bounds of the settings."""

    def __init__(self, engine: Engine, settings: InferenceSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._pictures = PictureReader(settings)
        self._loaded = False

    async def start(self) -> None:
        """Loads the model."""
        metrics.LOADING.set(1)
        await self._engine.start()
        metrics.LOADING.set(0)
        self._loaded = True
        metrics.RUNNING.set_function(lambda: self._engine.load().running)
        metrics.WAITING.set_function(lambda: self._engine.load().waiting)
        model = self._engine.describe()
        if model.useful_pixels:
            self._pictures.reduce_to(max(_LEAST_USED_PIXELS, _SPARE * model.useful_pixels))
        metrics.MODEL_INFO.labels(model.name, model.revision, model.engine, model.engine_version).set(1)

    async def watch(self) -> None:
        """Runs as long as the engine lives."""
        await self._engine.watch()

    async def close(self) -> None:
        """Frees the model."""
        self._pictures.close()
        await self._engine.close()

    def describe(self) -> ModelDescription:
        """The model that this service holds.

        Raises:
            Unavailable: While it is being loaded.
        """
        if not self._loaded:
            raise Unavailable(
                "the model is being loaded; health turns to SERVING when it is",
                reason="MODEL_LOADING",
                retry_after_s=5.0,
            )
        return self._engine.describe()

    @property
    def settings(self) -> InferenceSettings:
        """The bounds that apply."""
        return self._settings

    async def sample(self, request: SampleRequest) -> AsyncGenerator[Started | Delta | Completion | Summary, None]:
        """Samples the completions of a request; see `generate` for the order of events.

        Everything that can be refused cheaply is refused first: no pixel of a refused request is decoded.
        """
        began = time.perf_counter()
        model = self.describe()
        self._check(request, model)
        self._engine.admit(len(request.samplings))
        header, used_size, decoded, prepared = await self._prepare(request, model)
        metrics.TOKENS.labels("prompt").inc(prepared.prompt_tokens)
        events = generate(
            self._engine,
            prepared,
            request.samplings,
            request.ending,
            cancelled=_note_cancelled,
        )
        sampling = request.samplings[0]
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Completion):
                    sampling = event.sampling if event.index == 0 else sampling
                    metrics.COMPLETIONS.labels(event.finish_reason.value).inc()
                    metrics.TOKENS.labels("completion").inc(event.tokens)
                if isinstance(event, Finished):
                    metrics.TOKENS.labels("prompt").inc(event.prompt_tokens - prepared.prompt_tokens)
                    # Described again: an endpoint says only with its answer which state of the model gave it.
                    yield self._summary(event, header, used_size, self.describe(), request, sampling, began, decoded)
                else:
                    yield event

    async def sample_all(self, request: SampleRequest, within_s: float | None, started: Callable[[], None]) -> Sampled:
        """Samples the completions of a request and returns them together.

        Args:
            request: What to sample.
            within_s: Seconds after which those that are done are returned and the others aborted; None to wait for all.
            started: Called once the first token exists.

        Raises:
            DeadlineExceeded: If not one is done by then.
        """
        completions: list[Completion] = []
        summary = None
        limit = asyncio.timeout(within_s)
        try:
            async with limit, aclosing(self.sample(request)) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        completions.append(event)
                    elif isinstance(event, Summary):
                        summary = event
                    elif isinstance(event, Started):
                        started()
        except TimeoutError as error:
            if not limit.expired():
                raise
            if not completions:
                raise DeadlineExceeded(
                    "not one completion was done in time; allow the call more time or ask for fewer tokens",
                    reason="DEADLINE_EXCEEDED",
                ) from error
        return Sampled(sorted(completions, key=lambda completion: completion.index), summary)

    async def _prepare(
        self, request: SampleRequest, model: ModelDescription
    ) -> tuple[PictureHeader | None, tuple[int, int], float, Prepared]:
        """Prepares the conversation; nothing keeps the picture's pixels once the engine has taken them.

        Returns:
            What the picture's header says, its size as the engine got it, when it was decoded, and what was prepared.
        """
        if not request.images:
            conversation = Conversation(request.messages)
            return None, (0, 0), time.perf_counter(), await prepare(self._engine, conversation, model)
        async with self._pictures.reading_all([(own.data, own.field) for own in request.images]) as read:
            decoded = time.perf_counter()
            pictures = [
                Picture(pixels, header.sha256, own.message, own.after_chars)
                for (header, pixels), own in zip(read, request.images, strict=True)
            ]
            prepared = await prepare(self._engine, Conversation(request.messages, pictures), model)
            header, pixels = read[0]
            return header, pixels.size, decoded, prepared

    def _check(self, request: SampleRequest, model: ModelDescription) -> None:
        if request.model not in {"", model.name}:
            raise NotFound(
                "model",
                f"this server holds {model.name!r}, not {request.model!r}; leave the model empty or name that one",
                reason="MODEL_UNKNOWN",
            )
        self._check_images(request, model)
        self._check_messages(request.messages)
        check_stops(request.ending.stops)
        check_between("samples", len(request.samplings), 1, self._settings.max_samples)
        for index, sampling in enumerate(request.samplings):
            check_between(f"samples[{index}].seed", sampling.seed, 0, MAX_SEED)
            check_between(f"samples[{index}].temperature", sampling.temperature, 0, MAX_TEMPERATURE)
            check_top_p("top_p", sampling.top_p)
            check_between("max_tokens", sampling.max_tokens, 1, self._settings.max_tokens)
        if (asked := request.samplings[0].answer_format) is not None:  # the same for all
            check_answer_format(asked, model, first_sentence_only=request.ending.first_sentence_only)

    @staticmethod
    def _check_images(request: SampleRequest, model: ModelDescription) -> None:
        if request.images and not model.accepts_images:
            raise InvalidArgument(
                _image_field(request.images[0]), f"{model.name!r} takes no pictures", reason="IMAGE_NOT_SUPPORTED"
            )
        if len(request.images) > model.max_images:
            raise InvalidArgument(
                _image_field(request.images[model.max_images]),
                f"{model.name!r} takes at most {model.max_images} pictures in a conversation, and "
                f"{len(request.images)} are given; leave some out",
                reason="TOO_MANY_IMAGES",
            )
        for own in request.images:
            if own.message is None:
                continue
            name = _image_field(own)
            if request.messages[own.message].role is not Role.USER:
                raise InvalidArgument(name, "must be in a message of the user", reason="IMAGE_MISPLACED")
            check_between(f"{name}.after_chars", own.after_chars, 0, len(request.messages[own.message].text))

    def _check_messages(self, messages: Sequence[Message]) -> None:
        check_between("messages", len(messages), 1, _MAX_MESSAGES)
        due = Role.USER
        for index, message in enumerate(messages):
            if message.role is Role.SYSTEM and index == 0:
                pass
            elif message.role is not due:
                raise InvalidArgument(
                    f"messages[{index}].role",
                    f"must be {due.value}: one system message may come first, then user and assistant take turns",
                    reason="ROLE_ORDER",
                )
            else:
                due = Role.ASSISTANT if due is Role.USER else Role.USER
            check_text(f"messages[{index}].text", message.text, self._settings.max_text_chars)
            check_special_tokens(f"messages[{index}].text", message.text, self._engine.special_tokens(message.role))
        if messages[-1].role is not Role.USER:
            raise InvalidArgument(
                f"messages[{len(messages) - 1}].role", "the last message must be the user's", reason="ROLE_ORDER"
            )

    def _summary(
        self,
        finished: Finished,
        header: PictureHeader | None,
        used_size: tuple[int, int],
        model: ModelDescription,
        request: SampleRequest,
        sampling: Sampling,
        began: float,
        decoded: float,
    ) -> Summary:
        summary = Summary(
            image=header,
            used_size=used_size,
            model=model,
            sampling=sampling,
            sentence_rule=request.ending.sentence_rule.value,
            prompt_tokens=finished.prompt_tokens,
            total_s=time.perf_counter() - began,
            decode_s=decoded - began if header else 0.0,
            queue_s=finished.queue_s,
            first_token_s=finished.first_token_s,
            generation_s=finished.generation_s,
        )
        for stage in ("decode", "queue", "first_token", "generation"):
            metrics.STAGE_SECONDS.labels(stage).observe(getattr(summary, f"{stage}_s"))
        return summary


def _image_field(image: ShownImage) -> str:
    return image.field.removesuffix(".image.data") if image.message is not None else "image"


def _note_cancelled(tokens: int) -> None:
    metrics.COMPLETIONS.labels("cancelled").inc()
    metrics.TOKENS.labels("completion").inc(tokens)
