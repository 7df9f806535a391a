"""What the scoring tests share; properties are given as much time on a busy machine as they need."""

import pytest
from hypothesis import settings

from services.scoring.embedder import Embedder, load_embedder

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder()
