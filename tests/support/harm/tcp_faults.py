"""A TCP proxy that does to connections what networks do: delays, cuts, and silence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 2**16


@dataclass
class FaultyProxy:
    """Forwards connections to an address until it is told to do otherwise; what is set holds for open ones as well."""

    target: tuple[str, int]
    seed: int = 0
    delay_s: float = 0.0
    """Mean delay of each piece of data, each way, in seconds."""
    jitter_s: float = 0.0
    """How much a delay differs from the mean at most, in seconds."""
    silent: bool = False
    """Whether all is swallowed, and no connection closed: they are half-open, as when a machine has lost power."""
    cut_after: int = 0
    """Bytes after which each connection is reset, from when this is set; 0 for none."""
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._left = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def cut(self, after: int) -> None:
        """Has every connection reset once this many more bytes have gone through the proxy, once."""
        self._left = self.cut_after = after

    def heal(self) -> None:
        """Forwards as before. Connections that were silent are closed, as a router does that has forgotten them."""
        was_silent = self.silent
        self.delay_s = self.jitter_s = 0.0
        self.silent, self.cut_after = False, 0
        if was_silent:
            self._reset_all()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}
            for each in (writer, back):
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards in one direction; the delay of a piece holds up those behind it, as TCP keeps their order."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.silent:
                    continue
                if self.delay_s:
                    await asyncio.sleep(self.delay_s + self._draw.uniform(-self.jitter_s, self.jitter_s))
                if self.cut_after:
                    self._left -= len(data)
                    if self._left < 0:
                        writer.write(data[: len(data) // 2])
                        self.cut_after = 0
                        self._reset_all()
                        return
                writer.write(data)
                await writer.drain()
        if not writer.transport.is_closing() and writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()


@asynccontextmanager
async def faulty_proxy(target: str, seed: int = 0, port: int = 0) -> AsyncIterator[FaultyProxy]:
    """A proxy to an address for as long as the context lasts."""
    host, _, number = target.rpartition(":")
    made = FaultyProxy((host, int(number)), seed)
    server = await asyncio.start_server(made._serve, "127.0.0.1", port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made._reset_all()
        await asyncio.sleep(0.1)  # for the pumps to end
