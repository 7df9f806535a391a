"""A generation's events as an answer in OpenAI's form, whole or in chunks."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from sse_starlette import ServerSentEvent

from axia.v1 import inference_pb2
from gateway.http.context import Context
from gateway.http.openai.fields import UNLIMITED
from gateway.http.openai.turns import Asked, callers_field
from gateway.http.transcoding.sse import json_event
from services.serving.errors import Internal, renaming
from services.serving.logs import request_id

_GENERATE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].methods_by_name["Generate"]
_FINISH_REASONS = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "stop",
    inference_pb2.FINISH_REASON_LENGTH: "length",
    inference_pb2.FINISH_REASON_REASONING: "length",
}


async def _events(asked: Asked, timeout_s: float | None, context: Context) -> AsyncGenerator[Any, None]:
    """Deltas of completions, completions as they end, then the summary; errors with OpenAI's field names."""
    with renaming(partial(callers_field, asked=asked)):
        async with aclosing(context.gateway.stream(_GENERATE, asked.generate, timeout_s)) as responses:
            async for response in responses:
                if response.WhichOneof("event") in ("delta", "completion", "summary"):
                    yield getattr(response, response.WhichOneof("event"))


class _Counts:
    """What the completions of an answer used."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._tokens = 0
        self._temperature = 0.0

    def add(self, completion: inference_pb2.Completion) -> None:
        self._tokens += completion.tokens
        self._temperature = completion.temperature

    def usage(self, summary: inference_pb2.GenerateSummary) -> dict[str, int]:
        return {
            "prompt_tokens": summary.prompt_tokens,
            "completion_tokens": self._tokens,
            "total_tokens": summary.prompt_tokens + self._tokens,
        }

    def beyond(self, summary: inference_pb2.GenerateSummary) -> dict[str, Any]:
        """How the completions were sampled, beyond OpenAI's form, and what was done otherwise than asked.

        What a server of an earlier release doesn't tell is left out.
        """
        known = {name: getattr(summary, name) for name in ("top_p", "max_tokens") if summary.HasField(name)}
        found: dict[str, Any] = {"sampling": {"temperature": self._temperature, **known}}
        limit = self._asked.chat.limit
        if limit is not None and summary.HasField("max_tokens") and summary.max_tokens < limit:
            name = callers_field("max_tokens", self._asked)
            asked = (
                f"{name} sets no limit" if limit == UNLIMITED else f"{name} {limit:,} is over the limit of this model"
            )
            found["notices"] = [f"{asked}; {summary.max_tokens:,} was used"]
        return found


async def whole(asked: Asked, timeout_s: float | None, context: Context) -> dict[str, Any]:
    """The answer once all completions ended.

    Raises:
        ServiceError: As the gateway tells it, with OpenAI's field names.
    """
    choices: list[dict[str, Any]] = []
    counts = _Counts(asked)
    async with aclosing(_events(asked, timeout_s, context)) as events:
        async for event in events:
            if isinstance(event, inference_pb2.GenerateSummary):
                choices.sort(key=lambda choice: choice["index"])
                head = _head("chat.completion", event.model.name)
                return head | {"choices": choices, "usage": counts.usage(event)} | counts.beyond(event)
            if isinstance(event, inference_pb2.Completion):
                counts.add(event)
                said = {"role": "assistant", "content": event.text, "refusal": None} | _reasoning(event.reasoning)
                choice = {"index": event.index, "message": said, "logprobs": None, "finish_reason": _finish(event)}
                choices.append(choice)
    raise _incomplete()


async def chunks(asked: Asked, timeout_s: float | None, context: Context) -> AsyncGenerator[ServerSentEvent, None]:
    """The answer as it is generated. The last chunk with a choice also says how the completions were sampled.

    Raises:
        ServiceError: As the gateway tells it, with OpenAI's field names.
    """
    head = _head("chat.completion.chunk", asked.generate.model)
    with_usage = asked.chat.stream_options is not None and bool(asked.chat.stream_options.include_usage)
    usage: dict[str, Any] = {"usage": None} if with_usage else {}
    counts = _Counts(asked)
    begun: set[int] = set()
    last: dict[str, Any] | None = None  # held back until it is known whether it is the last with a choice

    def delta_event(index: int, text: str, reasoning: str) -> ServerSentEvent:
        delta = {"content": text} if text or index not in begun else {}
        role = {} if index in begun else {"role": "assistant"}
        begun.add(index)
        return json_event(
            None, head | {"choices": [_choice(index, role | delta | _reasoning(reasoning), None)]} | usage
        )

    async with aclosing(_events(asked, timeout_s, context)) as events:
        async for event in events:
            if isinstance(event, inference_pb2.GenerateSummary):
                if last is not None:
                    yield json_event(None, last | counts.beyond(event))
                if with_usage:
                    counted = {"choices": [], "usage": counts.usage(event)}
                    yield json_event(None, head | counted | counts.beyond(event))
                yield ServerSentEvent("[DONE]", sep="\n")
                return
            if last is not None:
                yield json_event(None, last)
                last = None
            if isinstance(event, inference_pb2.TextDelta):
                yield delta_event(event.index, event.text, event.reasoning)
                continue
            counts.add(event)
            if event.index not in begun:  # it said nothing, or its server is of a release that sends no deltas
                yield delta_event(event.index, event.text, event.reasoning)
            last = head | {"choices": [_choice(event.index, {}, _finish(event))]} | usage
    raise _incomplete()


def _choice(index: int, delta: dict[str, str], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _finish(completion: inference_pb2.Completion) -> str:
    return _FINISH_REASONS.get(completion.finish_reason, "stop")


def _reasoning(text: str) -> dict[str, str]:
    """What the model thought, as other servers of OpenAI's form name it; nothing where there is none."""
    return {"reasoning_content": text} if text else {}


def _head(kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id.get()}", "object": kind, "created": int(time.time()), "model": model}


def _incomplete() -> Internal:
    return Internal("the model's server ended its answer early; try again", reason="ANSWER_INCOMPLETE")
