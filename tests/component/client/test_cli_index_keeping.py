"""`axia stats`, `axia delete` and `axia reindex` against the fake gateway."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.client import Client
from axia.results import ImageMetadata, Reindex
from axia.testing import FakeGateway
from tests.support import pictures


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway() as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        with Client() as client:
            for seed, platform in enumerate(("tiktok", "tiktok", "")):
                list(client.index_images([(pictures.photograph(seed), ImageMetadata(platform=platform))]))
        yield fake


def test_what_is_indexed_is_told_in_words(fake: FakeGateway) -> None:
    result = run("stats")
    assert result.exit_code == 0, result.stderr
    assert "3 images; none is in the HNSW index, so all are searched exactly" in result.stdout
    assert "  tiktok: 2\n  without a platform: 1\n" in result.stdout
    assert "Encoder fake 1, 8 numbers an image" in result.stdout
    assert json.loads(run("stats", "--json").stdout)["platforms"] == {"tiktok": 2, "": 1}


def test_pictures_are_deleted_by_id_and_by_file(fake: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "mine.jpg"
    file.write_bytes(pictures.photograph(0))
    with Client() as client:
        image_id = hashlib.sha256(pictures.photograph(1)).hexdigest()
        result = run("delete", image_id, image_id, file, "f" * 64)
        assert result.exit_code == 0, result.stderr
        assert client.stats().images == 1
    assert result.stdout == "2 images deleted; 1 not stored\n"
    assert file.is_file()
    assert json.loads(run("delete", file, "--json").stdout) == {"deleted": 0, "not_found": 1}


@pytest.mark.parametrize("picture", ["0123456789ab", "gone.jpg", "F" * 64])
def test_what_is_neither_an_id_nor_a_file_is_refused_before_anything_is_deleted(
    fake: FakeGateway, picture: str
) -> None:
    before = len(fake.received)
    with Client() as client:
        image_id = client.search_text("x", k=1).hits[0].id
    result = run("delete", image_id, picture)
    assert (result.exit_code, picture in result.stderr, len(fake.received)) == (2, True, before + 1)


def test_a_re_index_is_followed_to_its_end(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([0, 2, 3])
    done: Any = Client.reindex

    def still_running(client: Client, reindex_id: str = "", **options: Any) -> Reindex:
        now = next(states)
        reindex: Reindex = done(client, reindex_id, **options)
        return reindex.model_copy(update={"done": now, "state": "succeeded" if now == 3 else "running"})

    monkeypatch.setattr(sys.modules["axia.cli.reindex"], "_PAUSE_S", 0.001)
    monkeypatch.setattr(Client, "start_reindex", lambda client, encoder: still_running(client))
    monkeypatch.setattr(Client, "reindex", still_running)
    result = run("reindex", "ViT-B-32/laion2b_s34b_b79k")
    assert result.exit_code == 0, result.stderr
    assert "done: searches use fake 1, 3 of 3 images" in result.stdout
    assert next(states, None) is None


def test_a_re_index_can_be_left_alone_and_looked_at_later(fake: FakeGateway) -> None:
    started = run("reindex", "ViT-B-32/laion2b_s34b_b79k", "--no-wait", "--json")
    assert json.loads(started.stdout)["id"] == "1"
    request: Any = fake.received[-1].request
    assert request.encoder == "ViT-B-32/laion2b_s34b_b79k"
    assert "done: searches use fake 1" in run("reindex").stdout
    assert fake.received[-1].method == "GetReindex"


def test_a_re_index_that_failed_says_why_and_ends_with_1(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    done: Any = Client.reindex
    failed = {"state": "failed", "done": 1, "error": "the pictures\nare gone"}
    monkeypatch.setattr(Client, "reindex", lambda client: done(client).model_copy(update=failed))
    result = run("reindex")
    assert (result.exit_code, "encoder before: the pictures are gone" in result.stdout) == (1, True)


@pytest.mark.parametrize("command", [("stats",), ("delete", "f" * 64), ("reindex",), ("reindex", "a/b")])
def test_a_server_that_is_away_ends_with_1(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXIA_ADDRESS", "127.0.0.1:1")
    result = run(*command)
    assert (result.exit_code, "127.0.0.1:1" in result.stderr) == (1, True)
