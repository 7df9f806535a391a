"""An OpenAI-compatible endpoint that does what a test scripts, byte for byte, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.inference.engines.engine import Conversation, Delta, Message, Role, Sampling
from services.inference.engines.openai.engine import OpenAIEngine
from services.inference.settings import InferenceSettings

KEY = "sk-unguessable-0123456789"
ASKED = Conversation([Message(Role.USER, "What needs attention?")])

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer; the connection is closed afterwards."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.body)
        return fields


def plain(body: object, status: int = 200, **headers: str) -> Reply:
    """A whole answer: bytes as they are, anything else as JSON."""

    async def write(writer: asyncio.StreamWriter) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + content)
        await writer.drain()

    return write


def streamed(*events: object, pause_s: float = 0.0, then: asyncio.Event | None = None) -> Reply:
    """Server-sent events: strings and bytes as they are, anything else as the JSON of a `data:` line."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for event in events:
            if isinstance(event, bytes):
                writer.write(event)
            else:
                writer.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then is not None:
            await then.wait()

    return write


def chunk(text: str | None = None, finish: str | None = None, **other: object) -> dict[str, object]:
    """A chunk of a streamed completion."""
    delta = {} if text is None else {"content": text}
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **other}


def usage(prompt: int, completion: int) -> dict[str, object]:
    """The chunk that counts tokens."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


LISTING = plain({"object": "list", "data": [{"id": "other"}, {"id": "m", "max_model_len": 2048}]})
ANSWER = streamed(chunk("The child"), chunk(" by the stove."), chunk(finish="stop"), usage(70, 6), "[DONE]")


class FakeEndpoint:
    """Answers each completion with the next reply of a script, the last one again and again."""

    def __init__(self) -> None:
        self.listing: Reply = LISTING
        self.replies: list[Reply] = [ANSWER]
        self.answer: Callable[[dict[str, Any]], Reply] | None = None
        """The reply to a request by its fields, in place of `replies`."""
        self.asked: list[Asked] = []
        self.listed = 0
        self.open = 0
        self.most_open = 0
        self.left = 0
        """Connections that the client closed before the reply was written."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await self._read(reader)
            if asked.method == "GET":
                self.listed += 1
                await self.listing(writer)
                return
            self.asked.append(asked)
            if self.answer is not None:
                reply = self.answer(asked.fields)
            else:
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                await self._reply(reader, writer, reply)
            finally:
                self.open -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> None:
        writing = asyncio.ensure_future(reply(writer))
        leaving = asyncio.ensure_future(reader.read(1))  # nothing more is sent, so this ends when the client leaves
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            self.left += not writing.done()
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(method, path, headers, body, asyncio.get_running_loop().time())


@asynccontextmanager
async def fake_endpoint() -> AsyncIterator[FakeEndpoint]:
    """A fake on a free port of the loopback interface."""
    endpoint = FakeEndpoint()
    server = await asyncio.start_server(endpoint._serve, "127.0.0.1", 0, limit=2**24)
    endpoint.port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def engine(endpoint: FakeEndpoint, **settings: Any) -> AsyncIterator[OpenAIEngine]:
    """The engine at a fake, with short pauses."""
    values = {"openai_base_url": endpoint.url, "openai_api_key": KEY, "openai_retry_max_s": 0.02, **settings}
    made = OpenAIEngine(InferenceSettings(engine="openai", model="m", **values))
    try:
        yield made
    finally:
        await made.close()


async def deltas(made: OpenAIEngine, max_tokens: int = 20, conversation: Conversation = ASKED) -> list[Delta]:
    """One completion."""
    prepared = await made.prepare(conversation)
    return [delta async for delta in made.stream(prepared, Sampling(7, 1.0, 0.9, max_tokens))]
