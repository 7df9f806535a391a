"""Chat completions in OpenAI's form, answered by InferenceService.Generate at the gateway."""

from typing import Any

from fastapi import FastAPI, Request
from sse_starlette import ServerSentEvent
from starlette.responses import JSONResponse, Response

from gateway.http.context import Context
from gateway.http.openai.answers import chunks, whole
from gateway.http.openai.request import ChatRequest, read_chat
from gateway.http.openai.turns import Asked, to_asked
from gateway.http.problems import problem, problem_response
from gateway.http.transcoding import openapi
from gateway.http.transcoding.body import json_body, read_timeout
from gateway.http.transcoding.examples import EXAMPLES
from gateway.http.transcoding.sse import event_stream, json_event, until_disconnect
from services.serving.errors import Code, ServiceError
from services.serving.logs import request_id

_PATH = "/v1/chat/completions"
_ERROR_TYPES = {
    Code.RESOURCE_EXHAUSTED: "rate_limit_error",
    Code.INVALID_ARGUMENT: "invalid_request_error",
    Code.NOT_FOUND: "invalid_request_error",
    Code.FAILED_PRECONDITION: "invalid_request_error",
}
_DESCRIPTION = """Messages with text, and with images as `data:` URLs in user messages.

System messages come first. Adjacent messages of the same role are joined; empty system and assistant messages are
dropped. A message with images and without text gets the prompt detect/baseline. `max_images` of the model in
/v1/models is the maximum number of images in a conversation.

The defaults of `temperature`, `top_p` and `max_tokens` are the model's defaults in the gateway's routing table, or else
1, 1 and 100. A `max_tokens` above the model's limit is reduced to the limit. `sampling`, in the answer and in the last
chunk of a stream, has the values that were used, and `notices` lists differences from the request. `response_format`
restricts the answer to a JSON object or a schema, if the model has `structured_answers` in its description. With
`stream`, text is sent as it is generated. A model's reasoning is in `reasoning_content`, next to `content`.

Null means not set. Fields that don't change the answer, such as `user`, are ignored. Unsupported fields, such as tools,
log probabilities and penalties, are refused by name. Errors are problem details that also have OpenAI's `error`
object."""


def add_chat(app: FastAPI, context: Context) -> None:
    """Adds the route."""

    async def chat(request: Request) -> Response:
        try:
            return await answer(request)
        except ServiceError as error:
            return problem_response(error, request_id.get(), extension={"error": openai_error(error)})

    async def answer(request: Request) -> Response:
        timeout_s = read_timeout(request, context.settings)
        body = await json_body(request, ["application/json"])
        asked = await context.in_worker(_read, body)
        if asked.chat.stream:
            events = chunks(asked, timeout_s, context)
            return await event_stream(request, events, context.settings.keep_alive_s, _error_event)
        timeout_s = timeout_s or context.settings.default_timeout_s
        return JSONResponse(await until_disconnect(request, whole(asked, timeout_s, context)))

    schema = openapi.SCHEMAS.ref(ChatRequest)
    app.add_api_route(
        _PATH,
        chat,
        methods=["POST"],
        operation_id="post_chat_completions",
        tags=["chat"],
        summary="Answer a conversation, in OpenAI's format",
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


def _read(body: bytes) -> Asked:
    return to_asked(read_chat(body))


def openai_error(error: ServiceError) -> dict[str, Any]:
    """An error as OpenAI's clients read it, beside the problem details."""
    field = error.violations[0].field if error.violations else None
    kind = _ERROR_TYPES.get(error.code, "server_error")
    return {"message": error.message, "type": kind, "param": field, "code": error.reason.lower()}


def _error_event(error: ServiceError) -> ServerSentEvent:
    """An error within a stream; OpenAI's clients look for `error` in the data."""
    return json_event(None, problem(error, request_id.get()) | {"error": openai_error(error)})
