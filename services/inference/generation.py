"""Samples n completions of one conversation at once, and stops each at the end of its first sentence if asked.

Every completion is a stream of its own in the engine, with its own seed, so one that is over frees its place while the
others continue; the conversation is prepared once and shared.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

from axia.sentence.first_sentence import FirstSentence, FoundSentence, SentenceRule
from services.inference.engines.engine import Engine, Prepared, Sampling
from services.serving.tracing import record_span


class FinishReason(Enum):
    """Why a completion ended."""

    STOP = "stop"
    """The model ended its answer, or a stop text did."""
    SENTENCE = "sentence"
    """Its first sentence was complete."""
    LENGTH = "length"
    """`max_tokens` or the context length was reached."""
    REASONING = "reasoning"
    """The same, while the model was still reasoning: there is no answer."""


@dataclass(frozen=True)
class Started:
    """The engine produced the first token of the first completion."""

    prompt_tokens: int
    """0 where the engine learns them only at the end."""


@dataclass(frozen=True)
class TextDelta:
    """What was added to a completion, for a caller who reads along."""

    index: int
    text: str
    reasoning: str


@dataclass(frozen=True)
class Completion:
    """One completion that ended."""

    index: int
    first_sentence: str
    text: str
    """Everything that was generated, without the reasoning."""
    finish_reason: FinishReason
    tokens: int
    sampling: Sampling
    """How it was sampled, as far as the engine could do what was asked."""
    omitted: str = ""
    """What comes before the first sentence and is no part of the answer."""
    reasoning: str = ""
    """What the model thought before it answered."""


@dataclass(frozen=True)
class Finished:
    """All completions ended. Times are seconds."""

    prompt_tokens: int
    queue_s: float
    first_token_s: float
    generation_s: float


Event = Started | TextDelta | Completion | Finished


@dataclass(frozen=True)
class Ending:
    """When completions end beside the model's own end, and what is told of them before."""

    first_sentence_only: bool = False
    sentence_rule: SentenceRule = SentenceRule.ANSWER
    stops: Sequence[str] = ()
    """Texts that end a completion."""
    deltas: bool = False
    """Whether text is told as it comes, as TextDeltas."""


@dataclass
class _Progress:
    """What the completions of one call have seen so far."""

    began: float
    prompt_tokens: int
    cancelled: Callable[[int], None]
    first_token: float | None = None
    queue_s: float = 0.0


async def generate(
    engine: Engine,
    prepared: Prepared,
    samplings: Sequence[Sampling],
    ending: Ending,
    *,
    cancelled: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[Event, None]:
    """Samples a completion for each of `samplings` and yields each when it ends.

    The order is Started, a Completion for each in the order in which they end, Finished; with `deltas`, the TextDeltas
    of each before its Completion. Closing the iterator aborts every completion that still runs; `cancelled` is told the
    tokens of each.
    """
    events: asyncio.Queue[Event | Exception] = asyncio.Queue()
    progress = _Progress(time.perf_counter(), prepared.prompt_tokens, cancelled)
    tasks = [
        asyncio.create_task(_complete(engine, prepared, index, sampling, ending, progress, events))
        for index, sampling in enumerate(samplings)
    ]
    try:
        remaining = len(tasks)
        while remaining:
            event = await events.get()
            if isinstance(event, Exception):
                raise event
            remaining -= isinstance(event, Completion)
            yield event
        ended = time.perf_counter()
        first = progress.first_token or ended
        yield Finished(progress.prompt_tokens, progress.queue_s, first - progress.began, ended - first)
    finally:
        for task in tasks:
            task.cancel()
        # The engine is free only when every stream has been closed, and that happens inside the tasks.
        await asyncio.gather(*tasks, return_exceptions=True)
        _trace(progress, len(tasks))


async def _complete(
    engine: Engine,
    prepared: Prepared,
    index: int,
    sampling: Sampling,
    ending: Ending,
    progress: _Progress,
    events: asyncio.Queue[Event | Exception],
) -> None:
    tokens, reason = 0, FinishReason.STOP
    sentence = FirstSentence(ending.sentence_rule, ending.stops)

    def tell() -> None:
        text, reasoning = sentence.news()
        if ending.deltas and (text or reasoning):
            _note_first_token(progress, events)  # an endpoint may not count every chunk's tokens
            events.put_nowait(TextDelta(index, text, reasoning))

    try:
        async with aclosing(engine.stream(prepared, sampling)) as deltas:
            async for delta in deltas:
                sentence.add_reasoning(delta.reasoning)
                sentence.add(delta.text)
                tokens += delta.tokens
                sampling = delta.used or sampling
                if delta.queued_s is not None:
                    progress.queue_s = max(progress.queue_s, delta.queued_s)
                if delta.prompt_tokens is not None:
                    progress.prompt_tokens = delta.prompt_tokens
                if delta.tokens:
                    _note_first_token(progress, events)
                tell()
                if sentence.stopped:
                    break
                if delta.finish is not None:
                    reason = FinishReason(delta.finish)
                    break
                if ending.first_sentence_only and sentence.over:
                    reason = FinishReason.SENTENCE
                    break
        _note_first_token(progress, events)  # also where the model ended without a single token
        found = sentence.finish()
        tell()
        events.put_nowait(_completion(index, found, reason, tokens, sampling))
    except asyncio.CancelledError:
        progress.cancelled(tokens)
        raise
    except Exception as error:  # handed to the caller's task, which raises it
        events.put_nowait(error)


def _completion(index: int, found: FoundSentence, reason: FinishReason, tokens: int, sampling: Sampling) -> Completion:
    if reason is FinishReason.LENGTH and found.reasoning and not found.text.strip():
        reason = FinishReason.REASONING
    return Completion(
        index=index,
        first_sentence=found.sentence,
        text=found.text,
        finish_reason=reason,
        tokens=tokens,
        sampling=sampling,
        omitted=found.omitted,
        reasoning=found.reasoning,
    )


def _trace(progress: _Progress, completions: int) -> None:
    """Adds a span for each stage that was reached, also where the caller went before the end."""
    ended = time.perf_counter()
    record_span("queue", progress.began, progress.began + progress.queue_s)
    if progress.first_token is None:
        record_span("first_token", progress.began, ended, {"axia.cancelled": True})
        return
    record_span("first_token", progress.began, progress.first_token)
    record_span("generation", progress.first_token, ended, {"gen_ai.request.choice.count": completions})


def _note_first_token(progress: _Progress, events: asyncio.Queue[Event | Exception]) -> None:
    if progress.first_token is None:
        progress.first_token = time.perf_counter()
        events.put_nowait(Started(progress.prompt_tokens))
