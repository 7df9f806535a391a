"""What new connections meet once the server stops, by the uvicorn that is installed."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from gateway.http.middleware.stopping import refuse_when_stopping

PROMISE_S = 20.0


async def connects(port: int) -> bool:
    """Whether a new connection is taken."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def test_new_connections_are_refused_while_a_request_goes_on_and_another_process_holds_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another release of uvicorn must call what is replaced, and with the sockets, or this fails."""
    monkeypatch.setattr(uvicorn.Server, "shutdown", uvicorn.Server.shutdown)  # put back at the end
    refuse_when_stopping()
    asked, may_end = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with listening.dup():  # as BentoML's process manager has it
        async with asyncio.timeout(PROMISE_S):
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await asked.wait()
            server.should_exit = True
            while await connects(port):
                await asyncio.sleep(0.05)
            assert not serving.done()
            may_end.set()
            assert (await reader.read()).endswith(b"done")
            writer.close()
            await serving
