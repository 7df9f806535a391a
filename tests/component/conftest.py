"""Tests of servers use the event loop that servers use."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

SERVERS = {"http", "inference", "retrieval", "scoring"}
"""Folders of tests of servers. uvloop takes fewer options, for child processes for example, than asyncio's own loop."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of a test, by the name that its id gets."""
    if item.path.parent.name in SERVERS:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
