"""The HTTP API over real HTTP, in front of a scripted gateway in the same process."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http_api import Api, FakeGateway, http_api


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway.serving() as fake:
        yield fake


@pytest.fixture
async def http(gateway: FakeGateway) -> AsyncIterator[Api]:
    async with http_api(gateway) as running:
        yield running
