"""The Qdrant server for tests as a process of its own, which can be killed and stopped: python -m
tests.support.qdrant_process PORT FOLDER

What it has acknowledged is in the files of its folder, as with the real server.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdrant_client import QdrantClient

from axia.testing import free_port
from tests.support.processes import ROOT
from tests.support.qdrant_server import QdrantServer


class QdrantProcess:
    """The process; it may not answer yet.

    Args:
        folder: Where it keeps its collections, and its log.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", __name__, str(self.port), str(folder / "data")]
        self.start()

    def start(self) -> None:
        """Starts the process with what its folder holds."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> int:
        """Ends the process if it runs; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(10)


@contextmanager
def qdrant_process(folder: Path) -> Iterator[QdrantProcess]:
    """A Qdrant server that ends with the context."""
    started = QdrantProcess(folder)
    try:
        yield started
    finally:
        started.stop()


async def serve(port: int, folder: Path) -> None:
    """Answers until SIGTERM."""
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    local = QdrantClient(path=str(folder))
    server = QdrantServer(local=local, port=port)
    await server.start()
    await ending.wait()
    await server.stop()
    local.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
