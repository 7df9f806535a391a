"""The OpenAPI document, built from the contract's descriptors and comments, and its page, served from this machine."""

from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from axia.v1 import retrieval_pb2
from axia.version import __version__
from gateway.http.problems import MEDIA_TYPE, Problem
from gateway.http.transcoding.body import TIMEOUT_HEADER
from gateway.http.transcoding.contract import comments, request_model, response_model
from gateway.http.transcoding.examples import EXAMPLES

_REF = "#/components/schemas/{model}"
_INTRODUCTION = """The gateway over HTTP. Messages are those of proto/axia/v1 in protobuf's JSON mapping with the same
field names: 64-bit integers are strings (numbers are accepted too), bytes are base64, enumerations are names. A field
that is missing or null is not set; an unknown field is refused.

Errors are problem details (RFC 9457). `X-Request-Timeout` is the timeout of a call in seconds. `X-Request-Id` is in all
logs of the call and in its answer. Streams are server-sent events with the names of the fields in proto/axia/v1. A
stream that fails ends with an `error` event; comments keep a quiet stream open. `/v1/watch` is a WebSocket of
WatchValuesRequest and WatchValuesResponse.
"""


class Schemas:
    """Models that the document describes beside those that FastAPI finds."""

    def __init__(self) -> None:
        self._models: dict[str, type[BaseModel]] = {}

    def ref(self, model: type[BaseModel]) -> dict[str, str]:
        """A reference to a model, which is then described."""
        self._models[model.__name__] = model
        return {"$ref": _REF.format(model=model.__name__)}

    def definitions(self) -> dict[str, Any]:
        """The schemas by name."""
        _, schema = models_json_schema([(model, "validation") for model in self._models.values()], ref_template=_REF)
        return dict(schema["$defs"])


SCHEMAS = Schemas()


def operation_id(verb: str, path: str) -> str:
    """A name for generated clients, such as post_detect_stream."""
    words = path.removeprefix("/v1/").replace("{", "by_").replace("}", "").replace("/", "_").replace("-", "_")
    return f"{verb.lower()}_{words}"


def operation(
    method: MethodDescriptor, body: Descriptor | None, pictures: str | None, path: str, path_field: str | None
) -> dict[str, Any]:
    """What the document says of a call of the contract."""
    response = SCHEMAS.ref(response_model(method.output_type))
    kind = "text/event-stream" if method.server_streaming else "application/json"
    return {
        "description": comments().get(method.full_name, ""),
        "parameters": parameters(path_field),
        "responses": responses({kind: {"schema": response}}),
    } | ({"requestBody": _body(body, pictures, EXAMPLES.get(path))} if body else {})


def upload_operation() -> dict[str, Any]:
    """What the document says of uploading images."""
    method = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].methods_by_name["IndexImages"]
    item = SCHEMAS.ref(response_model(method.output_type))
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "The files."},
            "metadata": {"type": "string", "description": "ImageMetadata for all files, as JSON."},
        },
    }
    content = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": SCHEMAS.ref(request_model(method.input_type))},
    }
    return {
        "description": comments().get(method.full_name, "")
        + "\n\nThe files of a form are numbered from 0 in `tag`. With `Accept: text/event-stream` each acknowledgement "
        "is sent as soon as it is available.",
        "parameters": parameters(None),
        "requestBody": {"required": True, "content": content},
        "responses": responses(
            {
                "application/json": {"schema": {"type": "array", "items": item}},
                "text/event-stream": {"schema": {"type": "string"}},
            }
        ),
    }


def download_operation() -> dict[str, Any]:
    """What the document says of downloading an image."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "parameters": parameters("id"),
        "responses": responses(
            dict.fromkeys(("image/jpeg", "image/png", "image/webp", "application/octet-stream"), binary)
        ),
    }


def metadata_operation() -> dict[str, Any]:
    """What the document says of an image's metadata."""
    schema = SCHEMAS.ref(response_model(retrieval_pb2.GetImagesResponse.DESCRIPTOR))
    return {"parameters": parameters("id"), "responses": responses({"application/json": {"schema": schema}})}


def parameters(path_field: str | None) -> list[dict[str, Any]]:
    """Headers that every call takes, and what its address holds."""
    timeout = {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "required": False,
        "description": "Timeout of the call, in seconds.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }
    named = {"name": path_field, "in": "path", "required": True, "schema": {"type": "string"}}
    return [named, timeout] if path_field else [timeout]


def responses(content: dict[str, Any]) -> dict[str, Any]:
    """The answer of a call, or problem details."""
    failure = {"description": "What went wrong.", "content": {MEDIA_TYPE: {"schema": SCHEMAS.ref(Problem)}}}
    return {"200": {"description": "The answer.", "content": content}, "4XX": failure, "5XX": failure}


def _body(body: Descriptor, pictures: str | None, example: Any) -> dict[str, Any]:
    json_content: dict[str, Any] = {"schema": SCHEMAS.ref(request_model(body))}
    if example is not None:
        json_content["example"] = example
    content = {"application/json": json_content}
    if pictures:
        file = {"type": "string", "format": "binary", "description": "The image's file."}
        text = "The other fields as JSON. You can also send each field as a separate part, such as n=3."
        form = {
            "type": "object",
            "required": ["image"],
            "properties": {
                "image": file if pictures == "image" else {"type": "array", "items": file},
                "request": {"type": "string", "description": text},
            },
        }
        content["multipart/form-data"] = {"schema": form}
    return {"required": True, "content": content}


def add_document(app: FastAPI) -> None:
    """Serves the document at /openapi.json and its page at /docs, with no other host's help."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title="axia", version=__version__, description=_INTRODUCTION, routes=app.routes)
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            found["components"]["schemas"] = schemas | SCHEMAS.definitions()
            app.openapi_schema = found
        return app.openapi_schema

    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="axia",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-light-32x32.png",
        )

    async def index() -> RedirectResponse:
        return RedirectResponse("/docs")

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_api_route("/docs", docs, include_in_schema=False, response_class=HTMLResponse)
    app.add_api_route("/", index, include_in_schema=False, response_class=RedirectResponse)
    # BentoML brings Swagger UI for pages of its own; its release is pinned, and a test asks for these files.
    assets = Path(str(resources.files("bentoml"))) / "_internal" / "server" / "static_content"
    app.mount("/docs/assets", StaticFiles(directory=assets, check_dir=False), name="docs-assets")
