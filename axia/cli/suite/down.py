"""`axia down`: stops the suite on this machine."""

import os

import typer

from axia.cli._output import complain, console
from axia.cli.suite.checkout import needs_checkout


def down() -> None:
    """Stop the suite of this checkout. Calls in flight finish first; the command returns when all servers have
    stopped."""
    with needs_checkout():
        from suite import SuiteError
        from suite.services import find_checkout, services_from
        from suite.supervisor import Supervisor

    try:
        services = services_from(os.environ)
        supervisor = Supervisor(find_checkout())
    except SuiteError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    if not supervisor.running:
        console().print("Nothing to stop: no suite of this checkout is running.")
        return
    console().print("Stopping; calls in flight may finish.")
    if not supervisor.stop(services):
        complain("the suite did not stop in time and was killed; calls in flight were cut off")
        raise typer.Exit(1)
    console().print("Stopped.")
