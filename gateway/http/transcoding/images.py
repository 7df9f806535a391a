"""Images of retrieval: upload, download, metadata, deletion."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from sse_starlette import ServerSentEvent
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, Response

from axia.v1 import retrieval_pb2
from gateway.http.context import Context
from gateway.http.problems import from_validation
from gateway.http.transcoding import openapi
from gateway.http.transcoding.body import media_type, parse_form, read_message, read_timeout, wrong_media_type
from gateway.http.transcoding.calls import RETRIEVAL
from gateway.http.transcoding.contract import request_model, to_json, to_message
from gateway.http.transcoding.spool import SpoolingParser
from gateway.http.transcoding.sse import event_stream, to_event, until_disconnect
from services.serving.deadlines import Deadline
from services.serving.errors import DeadlineExceeded, InvalidArgument, NotFound, ServiceError

_INDEX = RETRIEVAL["IndexImages"]
_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def add_images(app: FastAPI, context: Context) -> None:
    """Adds the routes."""
    settings, gateway = context.settings, context.gateway

    async def get(request: Request) -> Any:
        identity = request.path_params["id"]
        timeout_s = read_timeout(request, settings) or settings.default_timeout_s
        asked = retrieval_pb2.GetImagesRequest(ids=[identity])
        found = await until_disconnect(request, _first(gateway.stream(RETRIEVAL["GetImages"], asked, timeout_s)))
        if found is None or not found.HasField("image"):
            raise NotFound("id", f"no image has the id {identity!r}", reason="IMAGE_UNKNOWN")
        return found

    async def download(request: Request) -> Response:
        found = await get(request)
        kind = _MEDIA_TYPES.get(found.info.format, "application/octet-stream")
        # The id is the content's hash, so what is at this address never changes.
        headers = {"ETag": f'"{found.id}"', "Cache-Control": "private, max-age=31536000, immutable"}
        return Response(found.image.data, media_type=kind, headers=headers)

    async def describe(request: Request) -> Response:
        found = await get(request)
        found.ClearField("image")  # or its bytes would be written as base64
        return JSONResponse(to_json(found))

    async def delete(request: Request) -> Response:
        timeout_s = read_timeout(request, settings) or settings.default_timeout_s
        asked = retrieval_pb2.DeleteImagesRequest(ids=[request.path_params["id"]])
        return JSONResponse(to_json(await gateway.unary(RETRIEVAL["DeleteImages"], asked, timeout_s)))

    async def upload(request: Request) -> Response:
        timeout_s = read_timeout(request, settings)
        deadline = Deadline(settings.max_timeout_s)
        try:
            async with asyncio.timeout(settings.max_timeout_s):
                form, requests = await _requests(request, context)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "the images did not arrive in time; send fewer at once", reason="DEADLINE_EXCEEDED"
            ) from error
        if "text/event-stream" in request.headers.get("accept", ""):
            responses = _closing(form, gateway.stream(_INDEX, requests, timeout_s))
            return await event_stream(request, _as_events(responses), settings.keep_alive_s)
        # One answer at the end: the time that the body took counts, as for every call with one answer.
        within_s = deadline.call_s(timeout_s)
        acknowledged = await until_disconnect(request, _all(_closing(form, gateway.stream(_INDEX, requests, within_s))))
        return JSONResponse(acknowledged)

    routes: tuple[tuple[str, str, Any, str, dict[str, Any]], ...] = (
        ("POST", "/v1/images", upload, "Index images", openapi.upload_operation()),
        ("GET", "/v1/images/{id}", download, "Get an image", openapi.download_operation()),
        ("GET", "/v1/images/{id}/metadata", describe, "Get the metadata of an image", openapi.metadata_operation()),
        (
            "DELETE",
            "/v1/images/{id}",
            delete,
            "Delete an image",
            openapi.operation(RETRIEVAL["DeleteImages"], None, None, "/v1/images/{id}", "id"),
        ),
    )
    for verb, path, endpoint, summary, extra in routes:
        app.add_api_route(
            path,
            endpoint,
            methods=[verb],
            operation_id=openapi.operation_id(verb, path),
            tags=["pictures"],
            summary=summary,
            response_model=None,
            response_class=Response,
            openapi_extra=extra,
        )


async def _first(responses: AsyncGenerator[Any, None]) -> Any:
    async with aclosing(responses):
        return await anext(responses, None)


async def _all(responses: AsyncGenerator[Any, None]) -> list[dict[str, Any]]:
    async with aclosing(responses):
        return [to_json(response) async for response in responses]


async def _as_events(responses: AsyncGenerator[Any, None]) -> AsyncGenerator[ServerSentEvent, None]:
    async with aclosing(responses):
        async for response in responses:
            yield to_event(response)


async def _closing(form: FormData, responses: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The same responses; the form's files are closed after them."""
    try:
        async with aclosing(responses):
            async for response in responses:
                yield response
    finally:
        await form.close()


async def _requests(request: Request, context: Context) -> tuple[FormData, AsyncIterator[Any]]:
    """The form of a body, which has been read when this returns, and a request for each of its images."""
    kind = media_type(request)
    if kind == "application/json":
        message = retrieval_pb2.IndexImagesRequest()
        await read_message(request, message, context)
        return FormData(), _given(message)
    if kind != "multipart/form-data":
        raise wrong_media_type(["multipart/form-data", "application/json"])
    form = await parse_form(request, SpoolingParser, context.settings.max_upload_files)
    try:
        return form, _read(_files(form), _metadata(form.get("metadata")))
    except ServiceError:
        await form.close()
        raise


def _files(form: FormData) -> list[UploadFile]:
    files = [value for value in form.getlist("image") if isinstance(value, UploadFile)]
    odd = [
        name
        for name, value in form.multi_items()
        if name not in ("image", "metadata") or (name == "image") != isinstance(value, UploadFile)
    ]
    if odd or not files:
        raise InvalidArgument(
            odd[0] if odd else "image",
            "send files in parts named image, and at most one text in a part named metadata",
            reason="WRONG_PART",
        )
    return files


def _metadata(text: Any) -> Any:
    message = retrieval_pb2.ImageMetadata()
    if text:  # Swagger UI sends an empty part where nothing was written into it
        model = request_model(retrieval_pb2.ImageMetadata.DESCRIPTOR)
        try:
            to_message(model.model_validate(json.loads(text)), message)
        except ValidationError as error:
            raise from_validation(error, model).renamed(lambda field: f"metadata.{field}") from error
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("metadata", "is not JSON", reason="INVALID_FIELD") from error
    return message


async def _given(request: Any) -> AsyncIterator[Any]:
    yield request


async def _read(files: list[UploadFile], metadata: Any) -> AsyncIterator[Any]:
    for tag, file in enumerate(files):
        data = await file.read()
        message = retrieval_pb2.IndexImagesRequest(metadata=metadata, tag=tag)
        message.image.data = data
        yield message
        await file.close()
