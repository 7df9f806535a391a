"""The contract's messages as pydantic models, made from the protobuf descriptors, and conversions between the two.

A request's model checks what protobuf's JSON mapping would take, with our own words and the field's path. A response's
model serves the OpenAPI document alone. Descriptions come from the comments in proto/ (scripts/contract_comments.py).
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib import resources
from types import GenericAlias
from typing import Annotated, Any, Literal, cast

from google.protobuf import json_format, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.http.problems import LONE_SURROGATE
from gateway.http.transcoding.base64_text import NotBase64, read_base64
from gateway.http.transcoding.json_text import encodes

_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_TIMESTAMP = timestamp_pb2.Timestamp.DESCRIPTOR.full_name


def to_json(message: Message) -> dict[str, Any]:
    """A message in protobuf's JSON mapping: the contract's field names, 64-bit integers and enumerations as strings."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def to_message(model: BaseModel, message: Message) -> None:
    """Fills a message of the contract from its checked model."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(model, field.name)
        if value is None:
            continue
        if field.is_repeated:
            repeated = getattr(message, field.name)
            if field.message_type is None:
                repeated.extend(_scalar(field, item) for item in value)
            else:
                for item in value:
                    to_message(item, repeated.add())
        elif field.message_type is None:
            setattr(message, field.name, _scalar(field, value))
        elif field.message_type.full_name == _TIMESTAMP:
            getattr(message, field.name).FromDatetime(value)
        else:
            part = getattr(message, field.name)
            part.SetInParent()
            to_message(value, part)


def _scalar(field: Any, value: Any) -> Any:
    return value if field.enum_type is None else field.enum_type.values_by_name[value].number


@cache
def comments() -> dict[str, str]:
    """The comment of each message and field of the contract, by full name."""
    data = resources.files("gateway.http.transcoding").joinpath("contract_comments.json").read_text(encoding="utf-8")
    return cast("dict[str, str]", json.loads(data))


@cache
def request_model(descriptor: Descriptor) -> type[BaseModel]:
    """The model of a message that a caller sends: every field may be left out, none may be unknown."""
    name = descriptor.name if descriptor.name.endswith("Request") else f"{descriptor.name}Input"
    fields = {field.name: (_request_type(field) | None, _optional(field)) for field in descriptor.fields}
    return _model(name, descriptor, fields, validators={"one_of": _one_of_check(descriptor)})


@cache
def response_model(descriptor: Descriptor) -> type[BaseModel]:
    """The model of a message that is answered: fields without presence are always there."""
    fields: dict[str, Any] = {}
    for field in descriptor.fields:
        type_ = _response_type(field)
        always = field.is_repeated or not field.has_presence
        fields[field.name] = (type_, _required(field)) if always else (type_ | None, _optional(field))
    return _model(descriptor.name, descriptor, fields)


def _model(
    name: str, descriptor: Descriptor, fields: dict[str, Any], validators: dict[str, Any] | None = None
) -> type[BaseModel]:
    return cast(
        "type[BaseModel]",
        create_model(
            name,
            __config__=ConfigDict(extra="forbid", protected_namespaces=(), title=name),
            __doc__=comments().get(descriptor.full_name, name),
            __validators__=validators,
            **fields,
        ),
    )


def _optional(field: FieldDescriptor) -> Any:
    return Field(default=None, description=_description(field), json_schema_extra=_without_null)


def _required(field: FieldDescriptor) -> Any:
    return Field(description=_description(field))


def _description(field: FieldDescriptor) -> str | None:
    return comments().get(field.full_name)


def _without_null(schema: dict[str, Any]) -> None:
    """Shows a field that may be left out as its type alone; null means the same as leaving it out."""
    schema.pop("default", None)
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
    elif kinds:
        schema["anyOf"] = kinds


def _one_of_check(descriptor: Descriptor) -> Any:
    """A validator that refuses two alternatives at once."""
    one_ofs = [[field.name for field in one_of.fields] for one_of in descriptor.oneofs if len(one_of.fields) > 1]

    def check(model: BaseModel) -> BaseModel:
        for names in one_ofs:
            if sum(getattr(model, name) is not None for name in names) > 1:
                raise PydanticCustomError("one_of", "set only one of {names}", {"names": ", ".join(names)})
        return model

    return model_validator(mode="after")(check)


def _request_type(field: FieldDescriptor) -> Any:
    return _repeated(field, _single_type(field, request_model, _INT64_IN, _BASE64_IN))


def _response_type(field: FieldDescriptor) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        return GenericAlias(dict, (str, _single_type(value, response_model, _INT64_OUT, _BASE64_OUT)))
    return _repeated(field, _single_type(field, response_model, _INT64_OUT, _BASE64_OUT))


def _repeated(field: FieldDescriptor, type_: Any) -> Any:
    return list[type_] if field.is_repeated else type_


def _single_type(
    field: FieldDescriptor, model_of: Callable[[Descriptor], type[BaseModel]], int64: Any, base64_bytes: Any
) -> Any:
    if field.enum_type is not None:
        return Literal[tuple(value.name for value in field.enum_type.values)]
    if field.message_type is not None:
        return _TIME if field.message_type.full_name == _TIMESTAMP else model_of(field.message_type)
    return {
        FieldDescriptor.CPPTYPE_INT32: Annotated[int, Field(strict=True, ge=_INT32[0], le=_INT32[1])],
        FieldDescriptor.CPPTYPE_INT64: int64,
        FieldDescriptor.CPPTYPE_DOUBLE: Annotated[float, Field(strict=True, allow_inf_nan=False)],
        FieldDescriptor.CPPTYPE_BOOL: StrictBool,
        FieldDescriptor.CPPTYPE_STRING: base64_bytes if field.type == FieldDescriptor.TYPE_BYTES else _TEXT,
    }[field.cpp_type]


def _to_int64(value: object) -> object:
    """Takes a whole number or its decimal digits, as protobuf's JSON mapping does."""
    if isinstance(value, str) and len(value) <= len(str(_INT64[0])) and value.removeprefix("-").isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("int64", "must be a whole number")
    if not _INT64[0] <= value <= _INT64[1]:
        raise PydanticCustomError("int64", "must fit in 64 bits")
    return value


def _to_bytes(value: object) -> object:
    if isinstance(value, bytes):
        return value  # a file of a form
    if not isinstance(value, str):
        raise PydanticCustomError("base64", "must be text in base64")
    try:
        return read_base64(value)
    except NotBase64 as error:
        raise PydanticCustomError("base64", "{problem}", {"problem": str(error)}) from error


def _whole(text: str) -> str:
    if not encodes(text):  # as the JSON in a part of a form may hold it
        raise PydanticCustomError("text", "{problem}", {"problem": LONE_SURROGATE})
    return text


def _to_time(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("time", "must be a time such as 2024-07-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("time", "must be a time such as 2024-07-31T12:00:00Z") from error


_INT64_IN = Annotated[
    int, BeforeValidator(_to_int64), WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})
]
_INT64_OUT = Annotated[str, Field(json_schema_extra={"format": "int64"})]
_BASE64_IN = Annotated[
    bytes, BeforeValidator(_to_bytes), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]
_BASE64_OUT = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
_TEXT = Annotated[StrictStr, AfterValidator(_whole)]
_TIME = Annotated[AwareDatetime, BeforeValidator(_to_time), WithJsonSchema({"type": "string", "format": "date-time"})]
