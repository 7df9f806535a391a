"""A client of HTTP/2 that does what no library of gRPC would: it takes nothing, or pings all the time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived
from h2.settings import SettingCodes

_NO_MESSAGE = b"\0\0\0\0\0"
"""An empty message as gRPC frames it."""


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self._reader, self._writer = reader, writer
        self._http2 = H2Connection(H2Configuration(client_side=True))
        self._http2.initiate_connection()
        self._http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.received = 0
        """Bytes of data."""
        self.told_to_go = b""
        """Why the server ends the connection."""
        self.closed = asyncio.Event()
        self._flush()
        self._reading = asyncio.create_task(self._read())

    def call(self, path: str) -> int:
        """Begins a call with an empty message; its number."""
        number = self._http2.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        headers |= {"te": "trailers", "content-type": "application/grpc"}
        self._http2.send_headers(number, list(headers.items()))
        self._http2.send_data(number, _NO_MESSAGE, end_stream=True)
        self._flush()
        return number

    def make_room(self, number: int, size: int) -> None:
        """Says that so many bytes more of a call's answer are taken."""
        self._http2.increment_flow_control_window(size)
        self._http2.increment_flow_control_window(size, number)
        self._flush()

    def ping(self) -> None:
        """Sends a ping."""
        self._http2.ping(os.urandom(8))
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._http2.data_to_send())

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while data := await self._reader.read(65_536):
                for event in self._http2.receive_data(data):
                    if isinstance(event, DataReceived):
                        self.received += len(event.data)
                    if isinstance(event, ConnectionTerminated):
                        self.told_to_go = event.additional_data or b""
                self._flush()
        self.closed.set()

    async def close(self) -> None:
        """Closes the connection."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def raw_client(port: int, window: int = 65_535) -> AsyncIterator[RawClient]:
    """A connection to a server on this machine.

    Args:
        port: Of the server.
        window: Bytes of each answer that the client takes at first.
    """
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port), window)
    try:
        yield client
    finally:
        await client.close()
