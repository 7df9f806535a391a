"""The retrieval service as a process: the demo CLIP, the index in the process, pictures in a folder."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from axia.v1 import image_pb2, retrieval_pb2, retrieval_pb2_grpc
from tests.support import processes
from tests.support.pictures import photograph
from tests.support.processes import Server

pytestmark = pytest.mark.long

START_S = 120.0
"""How long a start may take on a loaded machine; mostly it takes seconds."""
GALLERY = processes.ROOT / "demo" / "gallery"
KILLS = int(os.environ.get("AXIA_TEST_KILLS", "4"))
"""Rounds of the test that kills; 20 for the full form."""

Stub = retrieval_pb2_grpc.RetrievalServiceStub


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("retrieval")
    with processes.retrieval(folder / "log", data=folder / "data") as running:
        running.wait_for("SERVING", START_S)
        yield running


@pytest.fixture
def stub(server: Server) -> Iterator[Stub]:
    with grpc.insecure_channel(server.address) as channel:
        yield Stub(channel)


def request(data: bytes, tag: int = 0, **metadata: Any) -> retrieval_pb2.IndexImagesRequest:
    return retrieval_pb2.IndexImagesRequest(
        image=image_pb2.Image(data=data), metadata=retrieval_pb2.ImageMetadata(**metadata), tag=tag
    )


def test_pictures_of_keywords_mostly_show_them(stub: Stub) -> None:
    rows = [json.loads(line) for line in (GALLERY / "manifest.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "hedonism" in row["values"] or row["kind"] == "scene"]
    files = [(GALLERY / row["file"]).read_bytes() for row in rows]
    requests = [
        request(data, source=row["file"], platform=row.get("platform", ""))
        for row, data in zip(rows, files, strict=True)
    ]
    responses = list(stub.IndexImages(iter(requests), timeout=300))
    assert all(response.HasField("indexed") for response in responses)
    keywords = {row["file"]: row.get("keywords", []) for row in rows}
    found = stub.SearchByValue(retrieval_pb2.SearchByValueRequest(value="hedonism"))
    shown = [keyword.keyword in keywords[hit.metadata.source] for keyword in found.keywords for hit in keyword.hits]
    assert len(shown) == 50
    assert sum(shown) > 25  # a small model: mostly right; a test of its own measures it


def test_a_picture_finds_itself_and_metrics_tell_of_it(server: Server, stub: Stub) -> None:
    files = [photograph(seed, (64, 64)) for seed in range(20)]
    responses = list(stub.IndexImages(iter([request(data, platform="tiktok") for data in [*files, b"x"]])))
    assert [response.WhichOneof("outcome") for response in responses] == ["indexed"] * 20 + ["rejected"]
    image = image_pb2.Image(data=files[3])
    hits = stub.SearchByImage(retrieval_pb2.SearchByImageRequest(image=image, k=3)).hits
    assert hits[0].id == hashlib.sha256(files[3]).hexdigest()
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    by_value = stub.SearchByValue(retrieval_pb2.SearchByValueRequest(value="hedonism", k=1))
    assert [len(keyword.hits) for keyword in by_value.keywords] == [1] * 10
    samples = server.metrics()
    assert samples['axia_retrieval_ingested_total{outcome="rejected"}'] >= 1
    assert samples['axia_retrieval_rejected_total{reason="IMAGE_UNREADABLE"}'] >= 1
    assert samples['axia_retrieval_searches_total{kind="picture"}'] >= 1
    revision = stub.GetStats(retrieval_pb2.GetStatsRequest()).encoder.revision
    assert samples[f'axia_retrieval_encoder_info{{encoder="clip",revision="{revision}",store="qdrant-edge"}}'] == 1


def test_another_encoder_in_the_settings_is_refused_until_it_is_set_back(tmp_path: Path) -> None:
    # The same weights under another name are another encoder.
    shutil.copytree(processes.ROOT / "demo" / "models" / "clip", tmp_path / "other")
    with processes.retrieval(tmp_path / "log", data=tmp_path / "data") as server:
        server.wait_for("SERVING", START_S)
    settings = {"data": tmp_path / "data", "encoder": f"local-dir:{tmp_path / 'other'}"}
    with processes.retrieval(tmp_path / "log-other", **settings) as server:
        assert server.process.wait(START_S) == 1
        (told,) = (record for record in server.log_records() if record["level"] == "ERROR")
    assert "StartReindex" in told["message"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lexicon": "/nowhere/lexicon.toml"}, "/nowhere/lexicon.toml: can't be read"),
        ({"encoder": "local-dir:/nowhere"}, "/nowhere"),
    ],
)
def test_what_is_not_there_keeps_the_service_from_starting(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with processes.retrieval(tmp_path / "log", data=tmp_path / "data", **settings) as server:
        assert server.process.wait(START_S) == 1
        assert told in server.log_text()
        assert "Traceback" not in server.log_text()


def test_a_re_index_survives_a_restart(tmp_path: Path) -> None:
    shutil.copytree(processes.ROOT / "demo" / "models" / "clip", tmp_path / "other")
    files = [photograph(seed, (32, 32)) for seed in range(40)]
    with processes.retrieval(tmp_path / "log", data=tmp_path / "data") as server:
        server.wait_for("SERVING", START_S)
        with grpc.insecure_channel(server.address) as channel:
            stub = Stub(channel)
            list(stub.IndexImages(iter([request(data) for data in files])))
            stub.StartReindex(retrieval_pb2.StartReindexRequest(encoder=f"local-dir:{tmp_path / 'other'}"))
            deadline = time.monotonic() + START_S
            while True:
                job = stub.GetReindex(retrieval_pb2.GetReindexRequest()).reindex
                if job.state != retrieval_pb2.REINDEX_STATE_RUNNING:
                    break
                assert stub.SearchByText(retrieval_pb2.SearchByTextRequest(query="a crown")).hits
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert (job.state, job.done, job.encoder.name) == (retrieval_pb2.REINDEX_STATE_SUCCEEDED, 40, "other")
        assert server.stop() == 0
        server.start()
        server.wait_for("SERVING", START_S)
        with grpc.insecure_channel(server.address) as channel:
            response = Stub(channel).SearchByText(retrieval_pb2.SearchByTextRequest(query="a crown", k=100))
    assert response.provenance.encoder.name == "other"
    assert len(response.hits) == 40


class Sender:
    """Sends pictures and remembers which were acknowledged, over any number of kills."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.acknowledged: set[str] = set()

    @property
    def left(self) -> list[str]:
        return [name for name in self.files if name not in self.acknowledged]

    def send(self, server: Server, acknowledgements: int, pause_s: float) -> None:
        """Sends all that is left; kills the server a moment after so many acknowledgements."""
        seen = 0
        with grpc.insecure_channel(server.address) as channel:
            calling = Stub(channel).IndexImages(request(self.files[name]) for name in self.left)
            try:
                for response in calling:
                    self.acknowledged.add(response.indexed.id)
                    seen += 1
                    if seen == acknowledgements:
                        time.sleep(pause_s)
                        server.process.send_signal(signal.SIGKILL)
            except grpc.RpcError as error:
                assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_no_kill_loses_or_doubles_a_picture_that_was_acknowledged(tmp_path: Path) -> None:
    draw = random.Random(KILLS)
    count = 100 * KILLS
    made = [photograph(seed, (24, 24), "PNG") for seed in range(count)]
    sender = Sender({hashlib.sha256(data).hexdigest(): data for data in made})
    assert len(sender.files) == count
    with processes.retrieval(tmp_path / "log", data=tmp_path / "data", build_threshold=150) as server:
        for kills_left in range(KILLS, 0, -1):
            server.wait_for("SERVING", START_S)
            check(server, sender)
            wanted = draw.randint(1, max(1, 2 * len(sender.left) // (kills_left + 1)))
            sender.send(server, wanted, draw.uniform(0, 0.05))
            assert server.process.wait(30) == -signal.SIGKILL
            server.start()
        server.wait_for("SERVING", START_S)
        check(server, sender)
        sender.send(server, -1, 0)
        assert not sender.left
        check(server, sender)
        with grpc.insecure_channel(server.address) as channel:
            assert found(Stub(channel)) == sorted(sender.files)
            stats = Stub(channel).GetStats(retrieval_pb2.GetStatsRequest())
            purged = Stub(channel).PurgeImages(retrieval_pb2.PurgeImagesRequest(), timeout=120)
        assert stats.images == count
        assert stats.indexed_images > 0
        assert not [record for record in server.log_records() if record["level"] == "ERROR"]
        assert purged.without_bytes == 0
        stored = (path.name for path in (tmp_path / "data" / "pictures").rglob("*") if path.is_file())
        assert sorted(stored) == sorted(sender.files)
        starts = [
            float(record["message"].split()[2])
            for record in server.log_records()
            if record["message"].startswith("serving after")
        ]
    assert len(starts) == KILLS + 1
    sys.stdout.write(f"{KILLS} kills, {count} images; seconds until serving: {min(starts)} to {max(starts)}\n")


def check(server: Server, sender: Sender) -> None:
    """Every acknowledged picture is there, whole and once."""
    with grpc.insecure_channel(server.address) as channel:
        stub = Stub(channel)
        ids = sorted(sender.acknowledged)
        for start in range(0, len(ids), 500):
            for got in stub.GetImages(retrieval_pb2.GetImagesRequest(ids=ids[start : start + 500])):
                assert got.image.data == sender.files[got.id]
        there = found(stub)
        assert len(there) == len(set(there)) == stub.GetStats(retrieval_pb2.GetStatsRequest()).images
        assert set(there) >= sender.acknowledged


def found(stub: Stub) -> list[str]:
    """The ids of all pictures, from a search page by page."""
    ids: list[str] = []
    asked = retrieval_pb2.SearchByTextRequest(query="a crown", k=1000)
    while True:
        response = stub.SearchByText(asked)
        ids += [hit.id for hit in response.hits]
        asked.page_token = response.next_page_token
        if not asked.page_token:
            return sorted(ids)
