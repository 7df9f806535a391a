"""Models in OpenAI's form with what axia knows of each, and prompts."""

from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from axia.v1 import gateway_pb2
from gateway.http.context import Context
from gateway.http.transcoding import openapi
from gateway.http.transcoding.body import read_timeout
from gateway.http.transcoding.calls import GATEWAY
from gateway.http.transcoding.contract import response_model, to_json
from gateway.http.transcoding.sse import until_disconnect
from services.serving.errors import NotFound


class ModelCard(BaseModel):
    """A model, as OpenAI's interface lists it, with what its server says of it."""

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())

    id: str
    """Name to use in requests."""
    object: str = "model"
    """Always "model"."""
    created: int = 0
    """Always 0: when a model was made isn't known."""
    owned_by: str = "axia"
    """Always "axia"."""
    available: bool
    """Whether its server answers now."""
    address: str
    """Addresses of its servers, host and port, separated by commas."""
    revision: str
    """Revision of the model."""
    engine: str
    """Engine that runs it."""
    engine_version: str
    """Version of that engine."""
    max_context_tokens: int
    """Context length in tokens: prompt and completion together."""
    max_samples: int
    """Completions that one request may ask for."""
    max_tokens: int
    """Tokens that one completion may have."""
    accepts_images: bool
    """Whether it takes an image."""
    max_images: int
    """Images that one conversation may have; 0 for none, or one by a server of an earlier release."""
    structured_answers: bool
    """Whether its answers can be held to a JSON Schema or to some texts."""
    max_model_len: int | None = None
    """The context length again, by vLLM's name for it; left out where it isn't known."""


class ModelList(BaseModel):
    """The models behind the gateway, the default one first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: str = "list"
    """Always "list"."""
    data: list[ModelCard]
    """The models whose servers have answered."""
    silent: list[str]
    """Addresses of servers that have not answered yet, so that their models aren't known."""


def add_models(app: FastAPI, context: Context) -> None:
    """Adds the routes."""

    async def ask(request: Request) -> gateway_pb2.ListModelsResponse:
        timeout_s = read_timeout(request, context.settings) or context.settings.default_timeout_s
        call = context.gateway.unary(GATEWAY["ListModels"], gateway_pb2.ListModelsRequest(), timeout_s)
        response: gateway_pb2.ListModelsResponse = await until_disconnect(request, call)
        return response

    async def models(request: Request) -> Response:
        response = await ask(request)
        listed = ModelList(
            data=[_card(status) for status in response.models if status.HasField("model")],
            silent=[status.address for status in response.models if not status.HasField("model")],
        )
        return JSONResponse(listed.model_dump(exclude_none=True))

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        for status in (await ask(request)).models:
            if status.HasField("model") and status.model.name == name:
                return JSONResponse(_card(status).model_dump(exclude_none=True))
        raise NotFound(
            "name", f"there is no model {name!r} behind this gateway; /v1/models lists them", reason="MODEL_UNKNOWN"
        )

    async def prompts(request: Request) -> Response:
        return JSONResponse({"prompts": [to_json(prompt) for prompt in (await ask(request)).prompts]})

    prompt = openapi.SCHEMAS.ref(response_model(gateway_pb2.Prompt.DESCRIPTOR))
    prompt_list = {
        "type": "object",
        "required": ["prompts"],
        "properties": {"prompts": {"type": "array", "items": prompt}},
    }
    routes: tuple[tuple[str, Any, str, Any, str | None], ...] = (
        ("/v1/models", models, "List the models", openapi.SCHEMAS.ref(ModelList), None),
        ("/v1/models/{name:path}", model, "Describe a model", openapi.SCHEMAS.ref(ModelCard), "name"),
        ("/v1/prompts", prompts, "List the prompts that a request can use by id", prompt_list, None),
    )
    for path, endpoint, summary, schema, path_field in routes:
        app.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            operation_id=openapi.operation_id("GET", path.replace(":path", "")),
            tags=["models"],
            summary=summary,
            response_model=None,
            response_class=Response,
            openapi_extra={
                "parameters": openapi.parameters(path_field),
                "responses": openapi.responses({"application/json": {"schema": schema}}),
            },
        )


def _card(status: gateway_pb2.ModelStatus) -> ModelCard:
    known = to_json(status.model)
    context = status.model.max_context_tokens or None
    return ModelCard(
        id=known.pop("name"), available=status.available, address=status.address, max_model_len=context, **known
    )
