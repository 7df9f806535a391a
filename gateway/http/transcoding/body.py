"""Reading requests: JSON or a form with images, into checked models and the contract's messages."""

import json
import math
import sys
from http import HTTPStatus
from typing import Any, Literal

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import HTTPConnection, Request

from gateway.http.context import Context
from gateway.http.problems import HttpError, from_validation
from gateway.http.settings import HttpSettings
from gateway.http.transcoding.contract import request_model, to_message
from gateway.http.transcoding.json_text import not_json
from services.serving.errors import InvalidArgument

TIMEOUT_HEADER = "X-Request-Timeout"

_MAX_PICTURES = 64
_MAX_FORM_FIELDS = 200
_MAX_FIELD_BYTES = 4 * 2**20

Pictures = Literal["image", "pictures"]
"""Where a form's files go in the message: its one `image`, or a list of `pictures`."""


class InMemoryParser(MultiPartParser):
    """Reads a form without ever writing a file to disk: images are stored only where a caller says so.

    The bound on the body, which holds before it is read, bounds the memory too.
    """

    spool_max_size = sys.maxsize


async def read_message(request: Request, message: Message, context: Context, pictures: Pictures | None = None) -> None:
    """Reads a request's body into a message of the contract.

    Args:
        request: The request.
        message: To be filled in place: copying a message with a large image into another holds up the event loop.
        context: Where the body is read.
        pictures: Where the files of a form go; None takes JSON alone.

    Raises:
        ServiceError: Naming the fields that are wrong.
        HttpError: For another media type.
    """
    model = request_model(message.DESCRIPTOR)
    kind = media_type(request)
    if kind == "multipart/form-data" and pictures:
        fields = await _read_form(request, message, pictures)
        await context.in_worker(_from_fields, fields, model, message)
    else:
        body = await json_body(request, ["application/json", *(["multipart/form-data"] if pictures else [])])
        await context.in_worker(_from_json, body, model, message)


async def json_body(request: Request, taken: list[str]) -> bytes:
    """The bytes of a body in JSON; none at all stand for {}.

    A body without a media type is refused: a browser lets any page send one without asking first.

    Args:
        request: The request.
        taken: Media types that the address takes.

    Raises:
        HttpError: For another media type.
    """
    kind = media_type(request)
    if kind not in ("application/json", ""):
        raise wrong_media_type(taken)
    body = await request.body()
    if body and not kind:
        raise wrong_media_type(taken)
    return body


def read_json(body: bytes, model: type[BaseModel]) -> Any:
    """A model from a JSON body.

    Raises:
        ServiceError: Naming the fields that are wrong.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise not_json(body) from error
        raise from_validation(error, model) from error


def read_timeout(request: Request, settings: HttpSettings) -> float | None:
    """Seconds that the caller allows by X-Request-Timeout; None without the header.

    Raises:
        InvalidArgument: If it is no number or out of bounds.
    """
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= settings.max_timeout_s:  # also false for NaN
        raise InvalidArgument(
            TIMEOUT_HEADER,
            f"must be a number of seconds above 0 and at most {settings.max_timeout_s:g}",
            reason="OUT_OF_RANGE",
        )
    return seconds


def media_type(request: HTTPConnection) -> str:
    """The body's media type in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def wrong_media_type(taken: list[str]) -> HttpError:
    """Refuses a body's media type."""
    description = f"must be {' or '.join(taken)}"
    return HttpError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, InvalidArgument("Content-Type", description, reason="WRONG_MEDIA_TYPE")
    )


async def parse_form(request: Request, parser: type[MultiPartParser], max_files: int) -> FormData:
    """The parts of a form.

    Raises:
        InvalidArgument: If it can't be read or has too many parts.
    """
    reader = parser(
        request.headers,
        request.stream(),
        max_files=max_files,
        max_fields=_MAX_FORM_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        return await reader.parse()
    except (MultiPartException, KeyError) as error:  # KeyError: the header names no boundary
        raise InvalidArgument(
            "body", f"can't be read as a form with at most {max_files:,} files", reason="UNREADABLE_FORM"
        ) from error


def _from_json(body: bytes, model: type[BaseModel], message: Message) -> None:
    to_message(read_json(body, model), message)


def _from_fields(fields: dict[str, Any], model: type[BaseModel], message: Message) -> None:
    try:
        to_message(model.model_validate(fields), message)
    except ValidationError as error:
        raise from_validation(error, model) from error


async def _read_form(request: Request, message: Message, pictures: Pictures) -> dict[str, Any]:
    """A message's fields from a form: files named `image`, and either `request` in JSON or a field each."""
    form = await parse_form(request, InMemoryParser, 1 if pictures == "image" else _MAX_PICTURES)
    try:
        files, texts = await _parts(form)
    finally:
        await form.close()
    fields = _from_texts(texts, message)
    if files:
        if pictures in fields:
            raise InvalidArgument(pictures, "is both a file and a field; send it once", reason="PICTURE_TWICE")
        images = [{"data": data} for data in files]
        fields[pictures] = images[0] if pictures == "image" else [{"image": image} for image in images]
    return fields


async def _parts(form: FormData) -> tuple[list[bytes], dict[str, list[str]]]:
    files: list[bytes] = []
    texts: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            if name == "image":
                raise InvalidArgument("image", "must be a file, such as curl -F image=@home.jpg", reason="NO_FILE")
            texts.setdefault(name, []).append(value)
        elif name == "image":
            files.append(await value.read())
        else:
            raise InvalidArgument(name, "a file must be in the part named image", reason="WRONG_PART")
    return files, texts


def _from_texts(texts: dict[str, list[str]], message: Message) -> dict[str, Any]:
    if (
        texts.get("request") and not "".join(texts["request"]).strip()
    ):  # Swagger UI sends the part where nothing was written into it
        del texts["request"]
    if "request" not in texts:
        return {name: _field(values, message.DESCRIPTOR.fields_by_name.get(name)) for name, values in texts.items()}
    if len(texts) > 1 or len(texts["request"]) > 1:
        raise InvalidArgument("request", "has all fields as JSON; send no other fields", reason="FIELDS_TWICE")
    try:
        fields = json.loads(texts["request"][0])
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("request", "is not JSON", reason="INVALID_FIELD") from error
    if not isinstance(fields, dict):
        raise InvalidArgument("request", "must be a JSON object", reason="INVALID_FIELD")
    return fields


def _field(values: list[str], field: Any) -> Any:
    if field is None:
        return values[-1]  # refused by the model, by name
    read = [_scalar(value, field) for value in values]
    if field.is_repeated:
        return read[0] if len(read) == 1 and isinstance(read[0], list) else read
    return read[-1]


def _scalar(value: str, field: FieldDescriptor) -> Any:
    """A form's text as what the field takes: numbers, true, lists and objects are written as in JSON."""
    is_text = field.type == FieldDescriptor.TYPE_STRING or field.enum_type is not None
    if is_text and not (field.is_repeated and value.startswith("[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value  # refused by the model, with what it should be
