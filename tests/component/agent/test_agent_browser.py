"""The agent in a real Chromium: awkward pages, and axia's own feed."""

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="needs axia's extra agent: pip install playwright")

import uvicorn

import axia
from agent import AgentError
from agent.browser import VIEWPORT
from agent.chromium import find_chromium
from agent.collection import Asked, Collection
from agent.judges import AsPersona, Collects
from agent.manners import Manners
from agent.policy import Bounds
from agent.record import read_record
from agent.replay import replay
from agent.results import summary
from agent.runs import Visit, visit
from agent.watching import Ended
from axia.testing import FakeGateway
from feed.app import Feed, build
from feed.demo_videos import DemoVideos
from feed.session import Kind
from feed.store import Store
from tests.support.awkward_pages import AwkwardPages, awkward_pages
from tests.support.browser import needs_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def pages() -> Iterator[AwkwardPages]:
    with awkward_pages() as server:
        yield server


def run(pages: AwkwardPages, path: str, folder: Path, videos: int = 4, **bounds: int) -> Ended:
    wanted = Visit(
        pages.address + path,
        folder,
        "r1",
        Bounds(videos=videos, collect_ms=10, **bounds),
        Manners(),
        virtual_time=False,
    )
    return visit(wanted, Collects())


def events(folder: Path) -> list[str]:
    return [event for row in read_record(folder) for event in row.get("events", ())]


def test_a_feed_is_watched_under_a_fixed_viewport_and_an_honest_name(pages: AwkwardPages, tmp_path: Path) -> None:
    pages.asked.clear()
    assert run(pages, "/feed", tmp_path).reason == "done"
    rows = [row for row in read_record(tmp_path) if "step" in row]
    assert len({row["sha256"] for row in rows}) == 5
    assert {Image.open(io.BytesIO((tmp_path / row["screenshot"]).read_bytes())).size for row in rows} == {VIEWPORT}
    assert [path for path, _ in pages.asked[:2]] == ["/robots.txt", "/feed"]
    assert all(name.startswith("axia-agent/") for _, name in pages.asked)
    assert replay(tmp_path).differences == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/ends", "3 swipes changed nothing"),
        ("/login", "a log-in wall"),
        ("/challenge", "a challenge for people"),
        ("/spinner", "still loading after 3 looks"),
        ("/consent-only", "a consent dialog that can't be refused"),
        ("/many", "HTTP 429: the host wants fewer visits; try again after 60 s"),
        ("/429", "HTTP 429"),
        ("/forbidden", "HTTP 403"),
        ("/elsewhere", r"the page went to http://elsewhere.invalid/feed, whose host isn't allowed"),
        ("/redirect", r"the page went to http://elsewhere.invalid/feed, whose host isn't allowed"),
        ("/private", "robots.txt of 127.0.0.1 disallows /private"),
    ],
)
def test_it_stops_where_it_may_not_or_cannot_go_on(pages: AwkwardPages, tmp_path: Path, path: str, reason: str) -> None:
    ended = run(pages, path, tmp_path, videos=20, max_waits=3)
    assert reason in ended.reason
    assert replay(tmp_path).differences == ()


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/alert", "dismissed alert: Install our app"),
        ("/popup", "closed a pop-up"),
        ("/thirdparty", "not reached: http://tracker.invalid/pixel.gif"),
        ("/consent", None),
    ],
)
def test_it_goes_on_past_dialogs_pop_ups_and_trackers(
    pages: AwkwardPages, tmp_path: Path, path: str, event: str | None
) -> None:
    assert run(pages, path, tmp_path).reason == "done"
    if event is not None:
        assert event in events(tmp_path)
    else:
        assert next(row["action"]["kind"] for row in read_record(tmp_path) if "step" in row) == "reject"


def test_where_it_cannot_begin_it_says_what_to_do(pages: AwkwardPages, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"example.org isn't allowed"):
        visit(Visit("http://example.org/", tmp_path, "r", Bounds(), Manners()), Collects())
    with pytest.raises(AgentError, match="can't be reached"):
        visit(Visit("http://127.0.0.1:9/", tmp_path, "r", Bounds(), Manners()), Collects())
    elsewhere = Manners(("127.0.0.1", "example.org"))
    with pytest.raises(AgentError, match="virtual time is for pages of this machine"):
        visit(Visit(pages.address + "/feed", tmp_path, "r", Bounds(), elsewhere), Collects())


def test_without_chromium_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="is not a program"):
        find_chromium(tmp_path / "chromium")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentError, match="apt-get install chromium"):
        find_chromium()


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[tuple[str, Store]]:
    store = Store(tmp_path / "feed.sqlite")
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(build(Feed(DemoVideos(), store)), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}", store
    server.should_exit = True
    thread.join()
    store.close()


def test_the_feeds_pages_are_watched_in_virtual_time_by_wheel_and_key(feed: tuple[str, Store], tmp_path: Path) -> None:
    address, store = feed
    with FakeGateway(answers={"interesting": "Yes."}) as fake, axia.Client(fake.address) as client:
        for platform in ("tiktok", "instagram", "youtube"):
            folder = tmp_path / platform
            bounds = Bounds(neutral=2, videos=6, like_every=2)
            ended = visit(
                Visit(f"{address}/{platform}?user=ana&seed=4", folder, "r1", bounds, Manners()),
                AsPersona(client, ["I cook."]),
            )
            assert ended.reason == "done"
            assert summary(ended, 2).not_measurable == "every answer was yes"
            noted = store.events(f"{platform}-ana")
            swipes = [one.event for one in noted if one.event.kind is Kind.SWIPE]
            assert len(swipes) == 6
            # The page's clock says what the agent dwelt; more passes while a screenshot is taken.
            actions = [row["action"] for row in read_record(folder) if row.get("action", {}).get("kind") == "swipe"]
            assert all(event.dwell_ms >= action["dwell_ms"] for event, action in zip(swipes, actions, strict=True))
            assert sum(action["dwell_ms"] for action in actions) > 45_000
            assert {action["by"] for action in actions} == {"wheel", "key"}
            assert sum(one.event.kind is Kind.LIKE for one in noted) == sum(action["like"] for action in actions) == 2
            assert replay(folder).differences == ()


def test_a_collection_goes_on_when_its_browser_is_killed(feed: tuple[str, Store], tmp_path: Path) -> None:
    address, _ = feed
    with FakeGateway() as fake, axia.Client(fake.address) as client:
        url = f"{address}/tiktok?user=ben"
        collection = Collection(tmp_path / "run", Asked(url, "tiktok", "r1"), 10, client)
        killed = []

        def keep(kept):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            wants_more = collection.take(kept)
            if len(killed) < 2 and collection.acknowledged + len(collection._pending()) in {3, 6}:
                killed.append(_kill_chromium())
            return wants_more

        ended = visit(Visit(url, tmp_path / "run", "r1", Bounds(), Manners()), Collects(), keep=keep)
        collection.send()
        assert (ended.reason, len(killed)) == ("done", 2)
        assert collection.acknowledged == len(list(client.list_images())) == 10
    assert replay(tmp_path / "run").differences == ()


def _kill_chromium() -> int:
    children = psutil.Process().children(recursive=True)
    main = [one for one in children if "--host-resolver-rules" in " ".join(one.cmdline())]
    main = [one for one in main if not any("--type=" in part for part in one.cmdline())]
    os.kill(main[0].pid, signal.SIGKILL)
    return main[0].pid
