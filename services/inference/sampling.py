"""What the inference service does: has a request checked, reads its pictures, samples its completions."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from services.inference import metrics
from services.inference.engines.engine import Conversation, Engine, ModelDescription, Picture, Prepared, Sampling
from services.inference.generation import Completion, Finished, Started, TextDelta, generate
from services.inference.preparation import prepare
from services.inference.request import SampleRequest, check_request
from services.inference.settings import InferenceSettings
from services.serving.errors import DeadlineExceeded, Unavailable
from services.serving.images.reading import PictureHeader, PictureReader
from services.serving.tracing import record_span, span

_SPARE = 4
"""A picture is reduced to this many times the pixels that the model sees, so that its processor, which scales what it
gets, has twice the width and height that it needs. On demo scenes of 64 megapixels the result differs from the whole
picture's by 0.05 to 0.12 of 255 levels at sides of 336 to 1,400 pixels; JPEG of quality 95 differs by 0.4 to 1.0."""
_LEAST_USED_PIXELS = 4_000_000
"""Fewer than these are never asked for: a processor that scales by the shorter side needs more of a long picture."""


@dataclass(frozen=True)
class Summary:
    """The end of a request. Times are seconds."""

    image: PictureHeader | None
    """The first picture."""
    used_size: tuple[int, int]
    """Width and height of that picture as the engine got it, in pixels."""
    model: ModelDescription
    sampling: Sampling
    """Of the first completion; `top_p` and length are the same for all."""
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
                "the model is loading; try again when health says SERVING",
                reason="MODEL_LOADING",
                retry_after_s=5.0,
            )
        return self._engine.describe()

    @property
    def settings(self) -> InferenceSettings:
        """The bounds that apply."""
        return self._settings

    async def sample(self, request: SampleRequest) -> AsyncGenerator[Started | TextDelta | Completion | Summary, None]:
        """Samples the completions of a request; see `generate` for the order of events.

        Everything that can be refused cheaply is refused first: no pixel of a refused request is decoded.
        """
        began = time.perf_counter()
        model = self.describe()
        check_request(request, model, self._settings, self._engine.special_tokens)
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
                    "no completion was finished in time; give the call a longer timeout or ask for fewer tokens",
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
            conversation = Conversation(request.messages, cache_salt=request.cache_salt)
            with span("prepare"):
                return None, (0, 0), time.perf_counter(), await prepare(self._engine, conversation, model)
        began = time.perf_counter()
        async with self._pictures.reading_all([(image.data, image.field) for image in request.images]) as read:
            decoded = time.perf_counter()
            record_span("decode", began, decoded, {"axia.images": len(read)})
            pictures = [
                Picture(pixels, header.sha256, image.message, image.after_chars)
                for (header, pixels), image in zip(read, request.images, strict=True)
            ]
            conversation = Conversation(request.messages, pictures, request.cache_salt)
            with span("prepare"):
                prepared = await prepare(self._engine, conversation, model)
            header, pixels = read[0]
            return header, pixels.size, decoded, prepared

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


def _note_cancelled(tokens: int) -> None:
    metrics.COMPLETIONS.labels("cancelled").inc()
    metrics.TOKENS.labels("completion").inc(tokens)
