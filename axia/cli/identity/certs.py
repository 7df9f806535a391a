"""`axia certs`: certificates for a trial of TLS."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import complain, console

if TYPE_CHECKING:
    from axia.identity.certs import Issued

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the authority and the certificates.")]
_Days = Annotated[int, typer.Option(min=1, max=825, help="Days until the certificates expire.")]


def init(
    folder: _Folder,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Host name or IP address of the servers (repeatable)."),
    ] = None,
    days: _Days = 90,
    ca_days: Annotated[int, typer.Option(min=1, max=7300, help="Days until the authority expires.")] = 1825,
) -> None:
    """Create a certificate authority, and certificates for each server and one client.

    For development and for trusted networks: anybody who has ca.key can impersonate any server. `axia up --certs
    FOLDER` uses them.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    with _certificates():
        from axia.identity.certs import init_certificates

        _print(init_certificates(folder, host or [], days, ca_days))


def renew(
    folder: _Folder,
    days: _Days = 90,
    within: Annotated[
        int | None,
        typer.Option(min=0, help="Renew only certificates that expire within this number of days.", show_default="all"),
    ] = None,
) -> None:
    """Create new certificates and keys with the same names. Servers use them without a restart.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    with _certificates():
        from axia.identity.certs import renew_certificates

        _print(renew_certificates(folder, days, within))


@contextmanager
def _certificates() -> Iterator[None]:
    try:
        from axia.identity.certs import CertificatesError
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("cryptography"):
            raise
        complain("this command needs the package cryptography: pip install cryptography")
        raise typer.Exit(1) from error
    try:
        yield
    except CertificatesError as error:
        complain(str(error))
        raise typer.Exit(1) from error


def _print(made: "Sequence[Issued]") -> None:
    from rich import box
    from rich.table import Table

    out = console()
    if not made:
        out.print("No certificate expires within this number of days.")
        return
    table = Table("certificate", "until", "names", box=box.SIMPLE_HEAD)
    for issued in made:
        table.add_row(str(issued.path), f"{issued.until:%Y-%m-%d %H:%M} UTC", ", ".join(issued.names))
    out.print(table)
