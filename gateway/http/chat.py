"""Chat completions in OpenAI's form, answered by InferenceService.Generate at the gateway."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from sse_starlette import ServerSentEvent
from starlette.responses import JSONResponse, Response

from axia.v1 import inference_pb2
from gateway.http import openapi
from gateway.http.body import json_body, read_json, read_timeout
from gateway.http.chat_request import ChatRequest, field_of, to_generate
from gateway.http.context import Context
from gateway.http.examples import EXAMPLES
from gateway.http.problems import problem, problem_response
from gateway.http.sse import event_stream, json_event, until_disconnect
from services.serving.errors import Code, Internal, ServiceError
from services.serving.logs import request_id

_PATH = "/v1/chat/completions"
_GENERATE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].methods_by_name["Generate"]
_FINISH_REASONS = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "stop",
    inference_pb2.FINISH_REASON_LENGTH: "length",
    inference_pb2.FINISH_REASON_REASONING: "length",
}
_ERROR_TYPES = {
    Code.RESOURCE_EXHAUSTED: "rate_limit_error",
    Code.INVALID_ARGUMENT: "invalid_request_error",
    Code.NOT_FOUND: "invalid_request_error",
    Code.FAILED_PRECONDITION: "invalid_request_error",
}
_DESCRIPTION = """Messages in text with at most one picture, in a data: address of the first message of the user.

The system's message comes first; turns alternate between user and assistant. `stop` sequences, tools, log probabilities
and penalties are not offered and refused. `temperature`, `top_p` and `max_tokens` that aren't given are the model's
defaults in the gateway's routing table, or else 1, 1 and 100; `sampling` in the answer, and in the chunk that counts a
stream's tokens, says what was used. With `stream` each completion comes whole, as one chunk when it ends, followed by
one with its finish reason: models answer by the completion, not by the token. What a model thought before it answered
is `reasoning_content` beside `content`, where there is some. Errors are problem details that also hold OpenAI's `error`
object."""


def add_chat(app: FastAPI, context: Context) -> None:
    """Adds the route."""

    async def chat(request: Request) -> Response:
        try:
            return await answer(request)
        except ServiceError as error:
            return problem_response(error, request_id.get(), extension={"error": _openai_error(error)})

    async def answer(request: Request) -> Response:
        timeout_s = read_timeout(request, context.settings)
        body = await json_body(request, ["application/json"])
        asked, generate = await context.in_worker(_read, body)
        if asked.stream:
            chunks = _chunks(asked, generate, timeout_s, context)
            return await event_stream(request, chunks, context.settings.keep_alive_s, _error_event)
        timeout_s = timeout_s or context.settings.default_timeout_s
        return JSONResponse(await until_disconnect(request, _whole(asked, generate, timeout_s, context)))

    schema = openapi.SCHEMAS.ref(ChatRequest)
    app.add_api_route(
        _PATH,
        chat,
        methods=["POST"],
        operation_id="post_chat_completions",
        tags=["chat"],
        summary="Answer a conversation, in OpenAI's form",
        response_model=None,
        response_class=Response,
        openapi_extra={
            "description": _DESCRIPTION,
            "parameters": openapi.parameters(None),
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": EXAMPLES[_PATH]}},
            },
            "responses": openapi.responses(
                {
                    "application/json": {"schema": {"type": "object"}},
                    "text/event-stream": {"schema": {"type": "string"}},
                }
            ),
        },
    )


def _read(body: bytes) -> tuple[ChatRequest, inference_pb2.GenerateRequest]:
    asked: ChatRequest = read_json(body, ChatRequest)
    return asked, to_generate(asked)


async def _events(
    asked: ChatRequest, generate: inference_pb2.GenerateRequest, timeout_s: float | None, context: Context
) -> AsyncGenerator[Any, None]:
    """Completions as they end, then the summary; errors with OpenAI's field names."""
    try:
        async with aclosing(context.gateway.stream(_GENERATE, generate, timeout_s)) as responses:
            async for response in responses:
                if response.WhichOneof("event") in ("completion", "summary"):
                    yield getattr(response, response.WhichOneof("event"))
    except ServiceError as error:
        raise error.renamed(lambda field: field_of(field, asked)) from error


async def _whole(
    asked: ChatRequest, generate: inference_pb2.GenerateRequest, timeout_s: float | None, context: Context
) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    tokens, temperature = 0, 0.0
    async with aclosing(_events(asked, generate, timeout_s, context)) as events:
        async for event in events:
            if isinstance(event, inference_pb2.GenerateSummary):
                choices.sort(key=lambda choice: choice["index"])
                return _head("chat.completion", event.model.name) | {
                    "choices": choices,
                    "usage": _usage(event.prompt_tokens, tokens),
                    "sampling": _sampling(event, temperature),
                }
            tokens += event.tokens
            temperature = event.temperature
            choices.append(
                {
                    "index": event.index,
                    "message": {"role": "assistant", "content": event.text, "refusal": None} | _reasoning(event),
                    "logprobs": None,
                    "finish_reason": _FINISH_REASONS.get(event.finish_reason, "stop"),
                }
            )
    raise Internal("the model's server ended its answer early; try again", reason="ANSWER_INCOMPLETE")


async def _chunks(
    asked: ChatRequest, generate: inference_pb2.GenerateRequest, timeout_s: float | None, context: Context
) -> AsyncGenerator[ServerSentEvent, None]:
    head = _head("chat.completion.chunk", asked.model)
    with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    usage: dict[str, Any] = {"usage": None} if with_usage else {}
    tokens, temperature = 0, 0.0
    async with aclosing(_events(asked, generate, timeout_s, context)) as events:
        async for event in events:
            if isinstance(event, inference_pb2.GenerateSummary):
                if with_usage:
                    last = {"choices": [], "usage": _usage(event.prompt_tokens, tokens)}
                    yield json_event(None, head | last | {"sampling": _sampling(event, temperature)})
                yield ServerSentEvent("[DONE]", sep="\n")
                return
            tokens += event.tokens
            temperature = event.temperature
            delta = {"role": "assistant", "content": event.text} | _reasoning(event)
            yield json_event(None, head | {"choices": [_choice(event.index, delta, None)]} | usage)
            reason = _FINISH_REASONS.get(event.finish_reason, "stop")
            yield json_event(None, head | {"choices": [_choice(event.index, {}, reason)]} | usage)
    raise Internal("the model's server ended its answer early; try again", reason="ANSWER_INCOMPLETE")


def _choice(index: int, delta: dict[str, str], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _reasoning(completion: inference_pb2.Completion) -> dict[str, str]:
    """What the model thought, as other servers of OpenAI's form name it; nothing where there is none."""
    return {"reasoning_content": completion.reasoning} if completion.reasoning else {}


def _head(kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id.get()}", "object": kind, "created": int(time.time()), "model": model}


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _sampling(summary: inference_pb2.GenerateSummary, temperature: float) -> dict[str, float]:
    """How the completions were sampled, beyond OpenAI's form; less what a server of an earlier release leaves out."""
    known = {name: getattr(summary, name) for name in ("top_p", "max_tokens") if summary.HasField(name)}
    return {"temperature": temperature, **known}


def _openai_error(error: ServiceError) -> dict[str, Any]:
    field = error.violations[0].field if error.violations else None
    kind = _ERROR_TYPES.get(error.code, "server_error")
    return {"message": error.message, "type": kind, "param": field, "code": error.reason.lower()}


def _error_event(error: ServiceError) -> ServerSentEvent:
    """An error within a stream; OpenAI's clients look for `error` in the data."""
    return json_event(None, problem(error, request_id.get()) | {"error": _openai_error(error)})
