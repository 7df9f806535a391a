"""A robot's node with asyncio: looks when it is told to, and stops looking at once when it has to move.

    python examples/robot_node.py kitchen.jpg

Cancelling the task cancels the call, and the gateway frees the model. A deadline brings back what is done by then.
"""

import asyncio
import sys
from pathlib import Path

import axia

DEADLINE_S = 5.0


class Node:
    """Asks about one image at a time."""

    def __init__(self, client: axia.AsyncClient) -> None:
        self._client = client
        self._looking: asyncio.Task[axia.Detection] | None = None

    async def look(self, picture: Path | bytes) -> str | None:
        """What needs attention; None if nothing is certain, or if the robot had to move."""
        self._looking = asyncio.create_task(self._client.detect(picture, n=3, timeout=DEADLINE_S))
        try:
            detection = await self._looking
        except asyncio.CancelledError:
            if not self._looking.cancelled():
                raise  # it is the node itself that was cancelled
            return None
        except axia.Unavailable:
            return None  # out of the network: the next look may work again
        return detection.consensus

    def move(self) -> None:
        """The robot moves, so that what it looked at is no longer there."""
        if self._looking is not None:
            self._looking.cancel()


async def main(picture: str, address: str | None = None) -> None:
    """Looks once and prints what needs attention."""
    async with axia.AsyncClient(address) as client:
        print(await Node(client).look(Path(picture)) or "nothing certain")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (axia.AxiaError, OSError) as error:
        sys.exit(f"robot_node: {error}")
