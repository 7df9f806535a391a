"""What every endpoint needs."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple, ParamSpec, TypeVar

from gateway.http.client import GatewayClient
from gateway.http.settings import HttpSettings

P = ParamSpec("P")
T = TypeVar("T")


class Context(NamedTuple):
    """The parts that endpoints share."""

    settings: HttpSettings
    gateway: GatewayClient
    workers: Executor
    """Threads that read bodies: one with a large image would hold the event loop."""

    async def in_worker(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function in a worker."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, lambda: function(*args, **kwargs))
