"""Refuses new connections once the server stops.

BentoML's process manager holds the listening socket too, as long as requests in flight continue in its worker. Closing
the worker's own descriptor therefore ends nothing: the kernel would continue taking connections that nobody answers.
What is shut down is shut down for all processes.
"""

import socket
from contextlib import suppress

import uvicorn


def refuse_when_stopping() -> None:
    """Has uvicorn's servers of this process shut their listening sockets down before they wait for requests to end."""
    usual = uvicorn.Server.shutdown

    async def shutdown(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        for listening in sockets or ():
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
        await usual(server, sockets)

    uvicorn.Server.shutdown = shutdown  # type: ignore[method-assign, assignment]  # BentoML makes the server and offers no hook
