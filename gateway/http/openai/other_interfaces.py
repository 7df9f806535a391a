"""Addresses of interfaces that are not offered, which clients call by default: each says what to set instead."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.http.openai.chat import openai_error
from gateway.http.problems import problem_response
from services.serving.errors import NotFound
from services.serving.logs import request_id

_CHAT = "set the client to use chat completions, POST /v1/chat/completions"
_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "/v1/responses": f"OpenAI's Responses API is not supported; {_CHAT}",
        "/v1/completions": f"OpenAI's text completions API is not supported; {_CHAT}",
        "/v1/embeddings": "OpenAI's embeddings API is not supported; to search images, use POST /v1/search/text",
        "/v1/messages": f"Anthropic's API is not supported; {_CHAT}",
        "/api/chat": f"Ollama's API is not supported; {_CHAT}",
        "/api/generate": f"Ollama's API is not supported; {_CHAT}",
        "/chat/completions": "chat completions are at /v1/chat/completions; end the client's base URL with /v1",
    }
)
"""What is said at each address."""


def add_other_interfaces(app: FastAPI) -> None:
    """Adds the addresses; they answer 404, and are no part of the document."""
    for path, advice in _OTHERS.items():
        app.add_api_route(path, _refusal(advice), methods=["GET", "POST"], include_in_schema=False)


def _refusal(advice: str) -> Callable[[Request], Awaitable[Response]]:
    error = NotFound("path", advice, reason="OTHER_INTERFACE")

    async def refuse(_: Request) -> Response:
        return problem_response(error, request_id.get(), extension={"error": openai_error(error)})

    return refuse
