"""`axia keys`: the file of API keys that servers read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import complain, console, print_json, printable

if TYPE_CHECKING:
    from axia.identity.keys import KeyRecord, Role

_MAX_NAME = 100

_File = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="AXIA_GATEWAY_KEYS",
        metavar="FILE",
        help="The file of keys: the same file as in AXIA_GATEWAY_KEYS.",
    ),
]


def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the key's owner, for logs and `axia keys list`.")
    ],
    file: _File,
    role: Annotated[
        list[str],
        typer.Option("--role", metavar="ROLE", help="detect, score, search, ingest or admin. Repeatable."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A model that the key may call (repeatable).", show_default="all"),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until the key expires.", show_default="never")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of calls per minute.", show_default="the server's setting")
    ] = None,
    images_per_minute: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of images per minute.", show_default="the server's setting"),
    ] = None,
    image_mib_per_minute: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum size of encoded images per minute, in MiB.", show_default="the server's setting"
        ),
    ] = None,
    calls_in_flight: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of concurrent calls.", show_default="the server's setting")
    ] = None,
    open_watches: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of concurrent calls of WatchValues.", show_default="the server's setting"
        ),
    ] = None,
    priority: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="low, normal or high: priority in the queue of a model.",
            show_default="the server's setting",
        ),
    ] = None,
) -> None:
    """Create a key, add it to the file, and print it. The key is shown only once; the file has only its SHA-256.

    Servers accept the key within two seconds. Clients read it from AXIA_API_KEY.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    from axia.identity.keys import PRIORITIES, ROLES, Quota, add_key, new_key

    roles: list[Role] = []
    for given in role:
        known = next((one for one in ROLES if one == given), None)
        if known is None:
            raise typer.BadParameter(f"{given!r} is not a role: use one of {', '.join(ROLES)}", param_hint="--role")
        roles.append(known)
    rank = next((one for one in PRIORITIES if one == priority), None)
    if priority is not None and rank is None:
        raise typer.BadParameter(
            f"{priority!r} is not a priority: use one of {', '.join(PRIORITIES)}", param_hint="--priority"
        )
    if not 1 <= len(name) <= _MAX_NAME:
        raise typer.BadParameter(f"give 1 to {_MAX_NAME} characters", param_hint="NAME")
    try:
        expires = None if days is None else datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    except OverflowError:
        raise typer.BadParameter("the date is too far in the future; give fewer days", param_hint="--days") from None
    except ValueError:  # nan
        raise typer.BadParameter(f"{days} is not a number of days", param_hint="--days") from None
    quota = Quota(
        requests_per_minute=requests_per_minute,
        images_per_minute=images_per_minute,
        image_mib_per_minute=image_mib_per_minute,
        calls_in_flight=calls_in_flight,
        open_watches=open_watches,
        priority=rank,
    )
    made = new_key(name, roles, model, expires, None if quota == Quota() else quota)
    with _failures():
        add_key(file, made.record)
    print(made.text)
    complain(f"added {made.record.id} to {file}; the key is shown this once")


def list_keys(
    file: _File, json: Annotated[bool, typer.Option("--json", help="Print one JSON object a key.")] = False
) -> None:
    """List the keys in the file, including revoked and expired keys.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    from rich import box
    from rich.table import Table

    from axia.identity.keys import read_keys

    with _failures():
        found = read_keys(file).keys
    if json:
        for key in found:
            print_json(key.model_dump(mode="json", exclude={"sha256"}) | {"state": _state(key)})
        return
    table = Table("id", "name", "roles", "models", "expires", "state", box=box.SIMPLE_HEAD)
    for key in found:
        models = "all" if key.models is None else ", ".join(map(printable, key.models))
        expires = "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M} UTC"
        table.add_row(key.id, printable(key.name), ", ".join(key.roles), models, expires, _state(key))
    console().print(table)


def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `axia keys list`.")], file: _File
) -> None:
    """Revoke a key. Servers refuse it within two seconds.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    from axia.identity.keys import revoke_key

    with _failures():
        revoked = revoke_key(file, identity.partition(".")[0])
    console().print(f"Revoked {revoked.id} of {printable(revoked.name)}", soft_wrap=True)


def _state(key: "KeyRecord") -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= datetime.now(UTC) else "valid"


@contextmanager
def _failures() -> Iterator[None]:
    from axia.identity.keys import KeysError

    try:
        yield
    except KeysError as error:
        complain(str(error))
        raise typer.Exit(1) from error
