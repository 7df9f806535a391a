"""What the scoring tests share; properties are given as much time on a busy machine as they need."""

import pytest
from hypothesis import settings

from services.scoring.reading.model import OnnxReader, load_reader

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def reader() -> OnnxReader:
    return load_reader(threads=1, remembered=50_000)
