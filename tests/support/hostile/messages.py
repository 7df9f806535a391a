"""Messages that nobody means well with: for each RPC, well-formed ones with extreme values, and bytes that are none."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_TEXTS = (
    "", "a", "None.", "The child is near the hot stove.", "<image>", "</s>", "\0", "\u202e\u0000x", "ё" * 300,
    "a" * 70_000,
    "{" * 5_000, "[" * 5_000, "%s%n", "../../etc/passwd", "https://127.0.0.1:1/x", "' OR 1=1 --", "\ud7ff", "🙂" * 900,
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, -1, 7, 64, 100, 4096, 2**31 - 1, -(2**31))
_LARGE = (*_NUMBERS, 2**53, 2**63 - 1, -(2**63))
_FLOATS = (0.0, 0.5, 1.0, -1.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), float("-inf"))
_DEPTH = 5
_LIMIT = 400_000
"""Bytes of a message, about."""


def request_for(method: MethodDescriptor, draw: random.Random, picture: bytes) -> bytes:
    """The bytes of a request: of a message with values at random, or changed ones, or of none at all."""
    message = GetMessageClass(method.input_type)()
    fill(message, draw, picture)
    data = bytearray(message.SerializeToString())
    kind = draw.randrange(4)
    if kind == 1:
        return draw.randbytes(draw.choice((0, 1, 20, 2_000)))
    if kind > 1:
        for _ in range(draw.randrange(1, 6)):
            _change(data, draw)
    return bytes(data)


def fill(message: Message, draw: random.Random, picture: bytes, depth: int = 0) -> None:
    """Sets some fields of a message to values that are usual, extreme or wrong."""
    for field in message.DESCRIPTOR.fields:
        if draw.random() < (0.4 if depth else 0.25) or message.ByteSize() > _LIMIT:
            continue
        if field.is_repeated:
            _fill_list(message, field, draw, picture, depth)
        elif field.message_type is not None:
            if depth < _DEPTH:
                part = getattr(message, field.name)
                part.SetInParent()
                fill(part, draw, picture, depth + 1)
        else:
            setattr(message, field.name, _value(field, draw, picture))


def _fill_list(message: Message, field: FieldDescriptor, draw: random.Random, picture: bytes, depth: int) -> None:
    count = draw.choice((0, 1, 2, 3, 70, 600) if depth < 2 else (0, 1, 2, 9))
    held: Any = getattr(message, field.name)
    if _is_map(field.message_type):
        held[draw.choice(_TEXTS[:4])]
        return
    if field.message_type is None:
        held.extend([_value(field, draw, picture) for _ in range(count)])
        return
    if depth >= _DEPTH:
        return
    for _ in range(count):
        if message.ByteSize() > _LIMIT:
            return
        fill(held.add(), draw, picture, depth + 1)


def _is_map(kind: Descriptor | None) -> bool:
    return kind is not None and kind.GetOptions().map_entry


def _value(field: FieldDescriptor, draw: random.Random, picture: bytes) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return draw.choice((picture, picture, picture[:200], b"", b"\xff" * 50))
        return draw.choice(_TEXTS)
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        value = draw.choice(_FLOATS)
        return value if kind == FieldDescriptor.CPPTYPE_DOUBLE or abs(value) < 1e38 else 0.25
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return draw.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return draw.choice([*field.enum_type.values_by_number, 999])
    numbers = _LARGE if kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else _NUMBERS
    unsigned = kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    return abs(draw.choice(numbers)) if unsigned else draw.choice(numbers)


def _change(data: bytearray, draw: random.Random) -> None:
    if not data:
        return
    place = draw.randrange(len(data))
    kind = draw.randrange(6)
    if kind == 0:
        data[place] = draw.randrange(256)
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        data[place:place] = b"\xff" * 9 + b"\x01"  # a length or number of 64 bits
    elif kind == 3:
        data[place:place] = b"\x0a\x82\x80\x80\x00" * draw.choice((1, 200))
    elif kind == 4:
        data[place:place] = b"\x0b" * draw.choice((1, 300))  # groups within groups
    else:
        data[place : place + 8] = draw.randbytes(8)
