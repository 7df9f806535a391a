"""The loop over scripted screens, and the collection over a gateway in the test's process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import axia
from agent import AgentError, Stopped
from agent.collection import Asked, Collection, known_run
from agent.hashing import alike, perceptual_hash
from agent.judges import AsPersona, Collects
from agent.policy import Bounds, Policy
from agent.record import Record, read_record
from agent.replay import replay
from agent.screens import ModelEyes, Signs
from agent.watching import Kept, header, watch
from axia.testing import FakeGateway
from tests.support.pictures import photograph


class Look(NamedTuple):
    picture: bytes
    url: str = "http://127.0.0.1/feed"
    signs: Signs = Signs()
    events: tuple[str, ...] = ()


class Scripted:
    """A browser with given screens: a swipe brings the next."""

    def __init__(self, looks: list[Look]) -> None:
        self.looks, self.place, self.done = looks, 0, []

    def look(self) -> Look:
        return self.looks[min(self.place, len(self.looks) - 1)]

    def dwell(self, milliseconds: int) -> None:
        self.done.append(("dwell", milliseconds))

    def wait(self, milliseconds: int) -> None:
        self.done.append(("wait", milliseconds))
        if self.look().signs.busy:
            self.place += 1

    def swipe(self, by: str) -> None:
        self.done.append(("swipe", by))
        self.place += 1

    def like(self) -> None:
        self.done.append(("like", 0))

    def reject(self) -> None:
        self.place += 1


def screens(count: int, first: int = 0) -> list[Look]:
    return [Look(photograph(first + number)) for number in range(count)]


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(answers={"interesting": "Yes.", "short-video app": "video"}) as fake:
        yield fake


def collected(folder: Path, client: axia.Client, wanted: int) -> Collection:
    return Collection(folder, Asked("http://127.0.0.1/feed", "tiktok", "r1"), wanted, client, sleep=lambda _: None)


def run(folder: Path, looks: list[Look], keep: object = None, bounds: Bounds | None = None, **more: object):  # noqa: ANN201
    bounds = bounds or Bounds()
    browser = Scripted(looks)
    with Record(folder, header("r1", "http://127.0.0.1/feed", bounds)) as record:
        judge = more.pop("judge", Collects())
        return watch(browser, Policy(bounds), judge, record, keep=keep, **more), browser  # type: ignore[arg-type]


def test_each_step_is_in_the_record_with_its_screenshot_and_replays(tmp_path: Path) -> None:
    looks = [Look(photograph(90), signs=Signs(busy=True)), *screens(4)]
    ended, _ = run(tmp_path, looks, bounds=Bounds(videos=4))
    rows = list(read_record(tmp_path))[1:]
    assert ended.reason == "done"
    assert [row["seen"]["screen"] for row in rows] == ["loading"] + ["video"] * 5
    assert all((tmp_path / row["screenshot"]).read_bytes() for row in rows)
    assert replay(tmp_path).differences == ()


def test_a_persona_asks_the_model_and_a_model_names_screens(tmp_path: Path, gateway: FakeGateway) -> None:
    with axia.Client(gateway.address) as client:
        ended, browser = run(
            tmp_path,
            screens(3),
            bounds=Bounds(videos=2, like_every=1),
            judge=AsPersona(client, ["I cook."]),
            eyes=ModelEyes(client, None),
        )
    assert ended.answers == (True, True)
    assert ("like", 0) in browser.done
    row = list(read_record(tmp_path))[2]
    assert row["answer"] == "Yes."
    assert row["screen_answer"] == "video"
    assert row["question"]["traits"] == ["I cook."]
    assert row["question"]["prompt"]


def test_a_feed_that_stands_still_ends_the_run(tmp_path: Path) -> None:
    ended, browser = run(tmp_path, screens(2))
    assert "changed nothing" in ended.reason
    assert ("wait", 1600) in browser.done  # a slow page is given a while


def test_nonsense_of_a_model_ends_the_run(tmp_path: Path) -> None:
    with FakeGateway(answers={"interesting": "Purple monkeys."}) as fake, axia.Client(fake.address) as client:
        ended, _ = run(tmp_path, screens(12), bounds=Bounds(max_unread=5), judge=AsPersona(client, ["I cook."]))
    assert "5 answers of the model in a row can't be read" in ended.reason
    assert ended.answers == (None,) * 4


def test_what_was_answered_before_a_page_stops_it_is_kept(tmp_path: Path) -> None:
    class Stops(Scripted):
        def look(self) -> Look:
            if self.place == 3:
                raise Stopped("HTTP 429")
            return super().look()

    with Record(tmp_path, header("r1", "u", Bounds())) as record:
        ended = watch(Stops(screens(5)), Policy(Bounds()), Collects(), record)  # type: ignore[arg-type]
    assert (ended.reason, len(ended.answers)) == ("HTTP 429", 3)


def test_time_is_bounded(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, screens(9), max_seconds=1e-9)
    assert "the most that are allowed" in ended.reason
    assert replay(tmp_path).differences == ()


def test_pictures_that_look_alike_have_near_hashes() -> None:
    one, again, other = (
        perceptual_hash(photograph(seed, quality=quality)) for seed, quality in ((1, 95), (1, 60), (2, 95))
    )
    assert alike(one, again)
    assert not alike(one, other)


def test_screenshots_are_indexed_once_with_what_is_known_of_them(tmp_path: Path, gateway: FakeGateway) -> None:
    again = Look(photograph(1, quality=50))
    looks = [*screens(3), again, *screens(20, first=3)]
    with axia.Client(gateway.address) as client:
        collection = collected(tmp_path, client, 12)
        ended, _ = run(tmp_path, looks, collection.take)
        assert (ended.reason, collection.acknowledged, collection.left_out) == ("done", 12, 1)
        stored = list(client.list_images())
        sheet = json.loads(collection.write_datasheet().with_suffix(".json").read_text())
    assert len(stored) == 12
    assert {one.metadata.platform for one in stored} == {"tiktok"}
    assert {one.metadata.source for one in stored} == {"http://127.0.0.1/feed run r1"}
    assert all(one.metadata.capture_time for one in stored)
    assert (sheet["screenshots"], sheet["look_alikes_left_out"], sheet["platforms"]) == (12, 1, {"tiktok": 12})
    assert sum(sheet["nearest_values"].values()) == 12


def kept(folder: Path, number: int) -> Kept:
    from datetime import UTC, datetime

    picture = photograph(number)
    with Record(folder, {"bounds": {}}) as record:
        path = record.keep(f"{number}.jpg", picture)
    return Kept(picture, perceptual_hash(picture), path, "http://127.0.0.1/feed", datetime.now(UTC))


def test_a_collection_goes_on_and_loses_nothing_wherever_it_was_killed(tmp_path: Path, gateway: FakeGateway) -> None:
    whole = tmp_path / "whole"
    with axia.Client(gateway.address) as client:
        collection = collected(whole, client, 9)
        for number in range(9):
            collection.take(kept(whole, number))
        lines = (whole / "collection.jsonl").read_bytes()
        for cut in range(0, len(lines), len(lines) // 23):
            (whole / "collection.jsonl").write_bytes(lines[:cut])
            again = collected(whole, client, 9)
            again.send()
            for number in range(9):
                again.take(kept(whole, number))
            again.send()
            assert again.acknowledged == 9
            assert len(list(client.list_images())) == 9


def test_an_index_that_is_away_for_a_while_is_asked_again(tmp_path: Path) -> None:
    gateway = FakeGateway()
    with gateway:
        pass  # its port is free again
    back = FakeGateway()
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            back.__enter__()
            collection._client = axia.Client(back.address)

    with axia.Client(gateway.address) as client:
        collection = Collection(tmp_path, Asked("u", "tiktok", "r"), 1, client, sleep=sleep)
        assert not collection.take(kept(tmp_path, 1))
    collection._client.close()
    back.__exit__()
    assert (collection.acknowledged, len(pauses)) == (1, 3)


def test_an_index_that_stays_away_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: FakeGateway
) -> None:
    monkeypatch.setattr("agent.collection._RETRY_S", 0.0)
    with FakeGateway() as gone:
        pass
    with axia.Client(gone.address) as client, pytest.raises(AgentError, match="run the same command again"):
        collected(tmp_path, client, 1).take(kept(tmp_path, 1))
    with axia.Client(gateway.address) as client:
        collection = collected(tmp_path, client, 1)
        collection.send()
        assert collection.acknowledged == 1


def test_another_feed_in_the_same_folder_is_refused(tmp_path: Path, gateway: FakeGateway) -> None:
    with axia.Client(gateway.address) as client:
        collected(tmp_path, client, 1)
        assert known_run(tmp_path) == "r1"
        with pytest.raises(AgentError, match="give another --out"):
            Collection(tmp_path, Asked("http://127.0.0.1/other", "tiktok", "r1"), 1, client)
    assert known_run(tmp_path / "none") is None
