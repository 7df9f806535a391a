"""Writes docs/rpc.md from the contract's descriptors and comments. `make proto` runs it; a test compares."""

import json
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from axia.v1 import gateway_pb2, image_pb2, inference_pb2, retrieval_pb2, scoring_pb2

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "rpc.md"
COMMENTS = ROOT / "gateway" / "http" / "transcoding" / "contract_comments.json"
FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR for module in (gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2, image_pb2)
)
HEAD = """# RPCs

The gateway serves all four services at one address (port 50050); inference, retrieval and scoring serve their own as
well. `axia` has the generated stubs in `axia.v1`. Fields marked *optional* tell "not set" from a value. This page is
written by `python -m scripts.rpc_doc`.
"""
TYPES = {
    FieldDescriptor.TYPE_DOUBLE: "double", FieldDescriptor.TYPE_FLOAT: "float", FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64", FieldDescriptor.TYPE_INT32: "int32", FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool", FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
}  # fmt: skip


def page() -> str:
    """The whole page in Markdown."""
    comments: dict[str, str] = json.loads(COMMENTS.read_text(encoding="utf-8"))
    parts = [HEAD]
    for file in FILES:
        for service in file.services_by_name.values():
            parts.append(f"## {service.name}\n\n{comments.get(service.full_name, '')}\n")
            for method in service.methods:
                streams = [
                    "stream " if streamed else "" for streamed in (method.client_streaming, method.server_streaming)
                ]
                parts.append(
                    f"### {service.name}.{method.name}\n\n{comments.get(method.full_name, '')}\n\n"
                    f"{streams[0]}{_link(method.input_type)} → {streams[1]}{_link(method.output_type)}\n"
                )
    parts.append("## Messages\n")
    for message in sorted(_messages(), key=lambda one: one.full_name):
        parts.append(f"### {_name(message)}\n\n{comments.get(message.full_name, '')}\n")
        if message.fields:
            rows = "".join(_row(field, comments) for field in message.fields)
            parts.append(f"| field | type | meaning |\n| --- | --- | --- |\n{rows}")
    parts.append("## Enumerations\n")
    for enum in sorted(_enums(), key=lambda one: one.full_name):
        rows = "".join(
            f"| `{value.name}` | {value.number} | {_cell(comments.get(f'{enum.full_name}.{value.name}', ''))} |\n"
            for value in enum.values
        )
        parts.append(f"### {_name(enum)}\n\n{comments.get(enum.full_name, '')}\n")
        parts.append(f"| value | number | meaning |\n| --- | --- | --- |\n{rows}")
    return "\n".join(part.replace("\n\n\n", "\n\n") for part in parts)


def _messages() -> Iterator[Descriptor]:
    pending = [message for file in FILES for message in file.message_types_by_name.values()]
    while pending:
        message = pending.pop()
        pending.extend(message.nested_types)
        if not message.GetOptions().map_entry:
            yield message


def _enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.enum_types_by_name.values()
    for message in _messages():
        yield from message.enum_types


def _name(of: Descriptor | EnumDescriptor) -> str:
    return of.full_name.removeprefix("axia.v1.")


def _link(to: Descriptor | EnumDescriptor) -> str:
    name = _name(to)
    if not to.full_name.startswith("axia.v1."):
        return f"`{to.full_name}`"
    return f"[{name}](#{name.lower().replace('.', '')})"


def _row(field: FieldDescriptor, comments: dict[str, str]) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        kind = f"map of {_type(key)} to {_type(value)}"
    else:
        kind = ("repeated " if field.is_repeated else "*optional* " if _is_optional(field) else "") + _type(field)
    meaning = _cell(comments.get(field.full_name, ""))
    if field.containing_oneof and not _is_optional(field):
        meaning = f"One of `{field.containing_oneof.name}`. {meaning}"
    return f"| `{field.name}` | {kind} | {meaning} |\n"


def _cell(comment: str) -> str:
    return " ".join(comment.split()).replace("|", "\\|")


def _is_optional(field: FieldDescriptor) -> bool:
    oneof = field.containing_oneof
    return bool(oneof and oneof.name.startswith("_") and len(oneof.fields) == 1)


def _type(field: FieldDescriptor) -> str:
    target = field.message_type or field.enum_type
    return _link(target) if target else TYPES[field.type]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
