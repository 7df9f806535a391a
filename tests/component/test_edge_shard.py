"""How a shard with a quantized graph is searched."""

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.retrieval import edge_shard
from services.retrieval.edge_log import Added
from services.retrieval.edge_shard import HnswOptions, ShardReader, ShardWriter
from services.retrieval.index import Query
from tests.support.vectors import picture_id, record, unit

DIMENSION = 128


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors that integers tell apart badly: as CLIP's, they are alike but for small differences."""
    path = tmp_path_factory.mktemp("quantized") / "shard"
    path.mkdir()
    vectors = np.random.default_rng(1).standard_normal((3_000, DIMENSION))
    vectors[:, :2] += (25, -12)
    writer = ShardWriter(path, DIMENSION, HnswOptions(m=16, ef_construct=100, quantization=True))
    for start in range(0, 3_000, 500):
        writer.add(
            [
                Added(bytes.fromhex(picture_id(number)), vector, record(number))
                for number, vector in enumerate(unit(vectors)[start : start + 500], start)
            ]
        )
    writer.finish(path)
    return path


@pytest.fixture
def shard(path: Path) -> Iterator[ShardReader]:
    reader = ShardReader(path)
    yield reader
    reader.close()


def test_what_comes_first_does_not_depend_on_how_far_is_looked(shard: ShardReader) -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        direction = random.standard_normal(DIMENSION)
        direction[:2] += (25, -12)
        vector = unit(direction)
        few, more, most = (shard.search([Query(vector, k)], set())[0] for k in (5, 10, 25))
        assert [few[:5], more[:10]] == [most[:5], most[:10]]


def test_searches_read_nothing_from_the_disk(shard: ShardReader) -> None:
    vectors = unit(np.random.default_rng(3).standard_normal((20, DIMENSION)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    for vector in vectors:
        shard.search([Query(vector, 5)], set())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_majflt == before


def test_hits_are_the_same_whether_their_records_are_kept_or_read_again(
    shard: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [Query(vector, 5) for vector in unit(np.random.default_rng(4).standard_normal((30, DIMENSION)))]
    kept = shard.search(queries, set())
    monkeypatch.setattr(edge_shard, "_MOST_RECORDS", 12)
    few = [shard.search([query], set())[0] for query in (*queries, *queries)]
    assert few == [*kept, *kept]
    (all_of_them,) = shard.search([Query(queries[0].vector, 1_000)], set())
    assert len(all_of_them) >= 1_000
    assert all_of_them[:5] == kept[0][:5]
    assert len(shard._records) <= 12  # and not all that one search found
    assert {hit.record.id for hits in kept for hit in hits} <= {picture_id(number) for number in range(3_000)}
