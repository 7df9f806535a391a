"""Printing: consoles, text from elsewhere, and errors."""

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia._file_names import shown, written
from axia.cli._encoding import encodable_json

if TYPE_CHECKING:
    from rich.console import Console

    from axia.client import Client

Address = Annotated[
    str | None,
    typer.Option(
        envvar="AXIA_ADDRESS",
        show_default="127.0.0.1:50050",
        help="Host and port of the gateway.",
        metavar="HOST:PORT",
    ),
]
"""The option --address of every command that calls a gateway."""


EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

EXIT_USAGE = 2
"""Exit code where an option or an argument is wrong."""

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"}
"""Endings of the names of images; Windows saves JPEG from browsers as .jfif."""


_OF_PICTURES = re.compile(r"\bimage\b|^pictures|^messages")
"""Fields of requests that hold images."""


def connect(address: str | None) -> "Client":
    """A client for a command.

    Raises:
        typer.BadParameter: If the address or the key can't be used.
    """
    quiet_grpc()
    from axia.client import Client

    try:
        return Client(address)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--address, AXIA_API_KEY or AXIA_TLS_*") from error


def print_json(value: object) -> None:
    """One line of JSON; results of the client may be anywhere in it."""
    print(encodable_json(as_json(value)), flush=True)


def as_json(value: object) -> str:
    """The same as text, whatever bytes of files' names it has in it."""
    from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

    try:
        return to_json(value, bytes_mode="base64").decode()
    except PydanticSerializationError:  # half characters, in a message that names a file
        return to_json(_shown(to_jsonable_python(value, bytes_mode="base64"))).decode()


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {_shown(name): _shown(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return shown(value) if isinstance(value, str) else value


def quiet_grpc() -> None:
    """Keeps the core of gRPC from writing what becomes an error of ours anyway; to call before gRPC is imported."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def console(*, stderr: bool = False) -> "Console":
    """A console for standard output or error. Where that is no terminal, lines have 80 columns or COLUMNS."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Text from a model or a server without characters that could steer a terminal; line breaks become spaces."""
    return "".join(character if character.isprintable() else " " for character in shown(text))


def printable_path(path: str) -> str:
    """A file's path for tables: as JSON has it, so that it can be turned back."""
    return printable(written(path))


def complain(message: str) -> None:
    """Prints an error on standard error, as whole lines that a terminal may wrap."""
    print(f"axia: {shown(message)}", file=sys.stderr)


def some(names: Sequence[str], shown: int = 5) -> str:
    """The first of many names for a message, and how many more there are."""
    first = ", ".join(map(printable, names[:shown]))
    return first if len(names) <= shown else f"{first} and {len(names) - shown} more"


def fault_of(message: str) -> str:
    """What a server says is wrong with an image, without the request's field: who reads it knows the file's name."""
    return printable(message).removeprefix("image.data: ")


def is_usage(error: Exception) -> bool:
    """Whether a server refused an option, such as a temperature of 9, and not an image."""
    from axia.errors import InvalidRequest

    if not isinstance(error, InvalidRequest):
        return False
    return bool(error.fields) and not any(_OF_PICTURES.search(field.field) for field in error.fields)


def exit_code(error: Exception) -> int:
    """How a command ends after an error: 2 where an option is wrong, or else 1."""
    return EXIT_USAGE if is_usage(error) else 1


def describe(error: Exception) -> str:
    """An error as a person should read it, with the id under which the logs have the request."""
    request_id = getattr(error, "request_id", "")
    # Nothing in the logs where the server never saw the request; local errors have no id or no reason.
    if getattr(error, "reason", "") and request_id:
        return f"{fault_of(str(error))} [request {printable(request_id)}]"
    return fault_of(str(error))
