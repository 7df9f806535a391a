"""Addresses of interfaces that are not offered, which clients call by default: each says what to set instead."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.http.openai.chat import openai_error
from gateway.http.problems import problem_response
from services.serving.errors import NotFound
from services.serving.logs import request_id

_CHAT = "set the client to chat completions, POST /v1/chat/completions"
_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "/v1/responses": f"OpenAI's Responses interface is not offered; {_CHAT}",
        "/v1/completions": f"OpenAI's interface for completions of plain text is not offered; {_CHAT}",
        "/v1/embeddings": "OpenAI's interface for embeddings is not offered; POST /v1/search/text finds images",
        "/v1/messages": f"Anthropic's interface is not offered; {_CHAT}",
        "/api/chat": f"Ollama's interface is not offered; {_CHAT}",
        "/api/generate": f"Ollama's interface is not offered; {_CHAT}",
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
