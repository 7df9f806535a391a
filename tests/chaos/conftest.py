"""A suite that takes what callers send, shared by the tests of hostile input."""

from collections.abc import Iterator

import pytest

from tests.support.harm.suite import ChaosSuite, chaos_suite


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosSuite]:
    with chaos_suite(tmp_path_factory.mktemp("chaos")) as suite:
        yield suite
