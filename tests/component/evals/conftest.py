"""A scoring server with its reader model, where tasks look for a gateway: that serves scoring under the same name."""

import os
from collections.abc import Iterator

import pytest

from tests.support import processes

pytest.importorskip("inspect_ai")


@pytest.fixture(scope="session")
def scoring_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with processes.scoring(tmp_path_factory.mktemp("scoring") / "scoring.log", reader="packaged") as server:
        server.wait_for("SERVING")
        yield server.address


@pytest.fixture(autouse=True)
def address(scoring_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address, also of clients that tests make."""
    monkeypatch.setitem(os.environ, "AXIA_ADDRESS", scoring_address)
    return scoring_address
