"""The HTTP face over real HTTP, in front of a scripted gateway in the same process."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http_face import Face, FakeGateway, face


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway.serving() as fake:
        yield fake


@pytest.fixture
async def http(gateway: FakeGateway) -> AsyncIterator[Face]:
    async with face(gateway) as running:
        yield running
