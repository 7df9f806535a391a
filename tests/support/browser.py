"""A page in a real browser, headless Chromium, driven by its DevTools protocol over a WebSocket.

Chromium comes from the system: on Debian and Ubuntu `apt-get install chromium`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; on Debian and Ubuntu: apt-get install chromium"
)
PROMISE_S = 120.0
"""Time for the browser's start, and for what a page is waited for: a busy machine takes a while for both."""


class Page:
    """The one page of a browser."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())
        self.requested: list[str] = []
        """Addresses that the page has asked for."""
        self.logged: list[str] = []
        """What the page's scripts and the browser have complained of."""

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if answer := self._answers.pop(message.get("id", 0), None):
                answer.set_result(message)
            elif message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.logged.append(str(message["params"]["exceptionDetails"]))
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.logged.append(str(message["params"]["entry"]))

    async def send(self, method: str, **parameters: Any) -> Any:
        """The result of a command of the protocol."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(PROMISE_S):
            answer = await self._answers[number]
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    async def open(self, url: str) -> None:
        """Loads an address."""
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def run(self, script: str) -> Any:
        """The value of an expression."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{script}: {result}"
        return result["result"].get("value")

    async def until(self, script: str) -> Any:
        """Waits until an expression is true of the page; its value."""
        async with asyncio.timeout(PROMISE_S):
            while not (value := await self.run(script)):
                await asyncio.sleep(0.1)
        return value

    async def click(self, selector: str) -> None:
        """Clicks an element once it is there."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a list once it is there."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(
            f"(list => {{ list.value = {json.dumps(value)};"
            f" list.dispatchEvent(new Event('change', {{bubbles: true}})) }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    async def choose_files(self, selector: str, *files: Path) -> None:
        """Chooses files as a person does in the system's dialog."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        root = (await self.send("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.send("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    async def text(self, selector: str) -> str:
        """The text of an element once it is there."""
        return str(await self.until(f"document.querySelector({json.dumps(selector)})?.innerText"))

    async def close(self) -> None:
        """Hears no more of the page."""
        await self._socket.close()
        await asyncio.gather(self._reading, return_exceptions=True)


@asynccontextmanager
async def browser_page(profile: Path) -> AsyncIterator[Page]:
    """A page of a browser that reaches this machine alone.

    Args:
        profile: A folder for what the browser keeps.
    """
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
        *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0"),
        *(f"--user-data-dir={profile}", "about:blank"),
        env=os.environ | {"HOME": str(profile)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PROMISE_S):
            port = await _port(profile / "DevToolsActivePort", process)
            address = await asyncio.to_thread(_page_address, port)
        async with websockets.connect(address, max_size=None) as socket:
            page = Page(socket)
            try:
                for domain in ("Page", "DOM", "Network", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
            finally:
                await page.close()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    while not (lines := await asyncio.to_thread(_lines, file)):
        assert process.returncode is None, f"Chromium ended with {process.returncode}"
        await asyncio.sleep(0.1)
    return int(lines[0])


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def _page_address(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PROMISE_S) as response:
        targets = json.load(response)
    return str(next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page"))
