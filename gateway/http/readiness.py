"""Whether this server is to get requests."""

import os
from pathlib import Path

from gateway.http.client import GatewayClient

DRAIN_MARK = "AXIA_DRAIN_MARK"
"""Environment variable with the path of a file that is there once the server is about to stop; set by `__main__`."""


async def is_ready(gateway: GatewayClient) -> bool:
    """Whether a gateway with a model answers and this server isn't about to stop."""
    mark = os.environ.get(DRAIN_MARK)
    if mark and Path(mark).exists():  # noqa: ASYNC240 - a look at a local file
        return False
    return await gateway.ready()
