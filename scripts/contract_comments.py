"""Writes gateway/http/transcoding/contract_comments.json: the comments of proto/, which the OpenAPI document shows.

Descriptors hold no comments, so protoc is asked for them. `make proto` runs this; a test compares.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).parents[1]
FILE = ROOT / "gateway" / "http" / "transcoding" / "contract_comments.json"
_PROTOC = ROOT / ".proto-tools" / "bin" / "python"
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
"""Numbers of FileDescriptorProto's fields, with which a path of a location begins."""
_PART = 2
"""Number of a message's fields, an enumeration's values and a service's methods in their descriptors."""


def text() -> str:
    """The file's whole text."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        protos = [path.relative_to(ROOT) for path in sorted((ROOT / "proto").rglob("*.proto"))]
        options = ["-I", "proto", "--include_source_info", f"--descriptor_set_out={out}"]
        subprocess.run([_PROTOC, "-m", "grpc_tools.protoc", *options, *protos], cwd=ROOT, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    found = {name: comment for file in files for name, comment in _comments(file)}
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        named = _name(file, list(location.path))
        if named and location.leading_comments:
            yield f"{file.package}.{named}", _paragraphs(location.leading_comments)


def _name(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str | None:
    """Full name, less the package, of a message, field, enumeration, value or method; None for anything else."""
    kinds = {_MESSAGE: file.message_type, _ENUM: file.enum_type, _SERVICE: file.service}
    outer: Any = kinds.get(path[0] if path else 0)
    if outer is None:
        return None
    match path[1:]:
        case [index]:
            return str(outer[index].name)
        case [index, part, inner] if part == _PART:
            parts = getattr(outer[index], {_MESSAGE: "field", _ENUM: "value", _SERVICE: "method"}[path[0]])
            return f"{outer[index].name}.{parts[inner].name}"
    return None


def _paragraphs(comment: str) -> str:
    paragraphs = comment.strip().replace("\n ", "\n").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")
