"""The feed's pages and JSON, over its application and a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from feed import FeedError
from feed.app import Begin, Feed, Happened, build, replayed
from feed.demo_videos import DemoVideos
from feed.folder_videos import FolderVideos
from feed.session import Kind
from feed.store import Store
from tests.support.pictures import photograph

LIBRARY = DemoVideos()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    store = Store(tmp_path / "feed.sqlite")
    transport = httpx.ASGITransport(build(Feed(LIBRARY, store)))
    async with httpx.AsyncClient(transport=transport, base_url="http://feed") as client:
        yield client
    store.close()


async def begin(client: httpx.AsyncClient, **wanted: object) -> dict[str, object]:
    answer = await client.post("/api/sessions", json={"platform": "tiktok", "seed": 3} | wanted)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_three_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for platform in ("tiktok", "instagram", "youtube"):
        page = await client.get(f"/{platform}")
        assert f'data-platform="{platform}"' in page.text
        assert "http" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert (await client.get("/page/feed.js")).headers["content-type"].startswith("text/javascript")
    assert (await client.get("/page/../app.py")).status_code == 404
    unknown = await client.get("/vimeo")
    assert unknown.json()["detail"] == "there is no platform vimeo; use one of tiktok, instagram, youtube"
    assert "Allow: /" in (await client.get("/robots.txt")).text


async def test_a_swipe_brings_the_next_video(client: httpx.AsyncClient) -> None:
    first = await begin(client)
    path = f"/api/sessions/{first['session']}"
    liked = (await client.post(f"{path}/events", json={"step": 0, "kind": "like"})).json()
    assert (liked["liked"], liked["step"], liked["video"]) == (True, 0, first["video"])
    second = (await client.post(f"{path}/events", json={"step": 0, "kind": "swipe", "dwell_ms": 900})).json()
    assert (second["step"], second["liked"]) == (1, False)
    assert second["video"]["id"] != first["video"]["id"]  # type: ignore[index]
    assert (await client.get(path)).json() == second
    # The same swipe once more, as a page sends it that lost the answer.
    assert (await client.post(f"{path}/events", json={"step": 0, "kind": "swipe", "dwell_ms": 900})).json() == second


async def test_a_user_goes_on_and_another_begins_anew(client: httpx.AsyncClient) -> None:
    first = await begin(client, user="ana")
    await client.post(f"/api/sessions/{first['session']}/events", json={"step": 0, "kind": "swipe", "dwell_ms": 5})
    assert (await begin(client, user="ana"))["step"] == 1
    assert (await begin(client, user="ben"))["step"] == 0


async def test_pictures_are_served_and_unknown_ones_are_not(client: httpx.AsyncClient) -> None:
    name = LIBRARY.videos[0].id
    assert (await client.get(f"/videos/{name}/0")).headers["content-type"] == "image/webp"
    assert (await client.get(f"/videos/{name}/6")).status_code == 404
    assert (await client.get("/videos/none/0")).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"platform": "vimeo"}, 404),
        ({"platform": "tiktok", "user": "../x"}, 422),
        ({"platform": "tiktok", "seed": -1}, 422),
        ({"platform": "tiktok", "colour": "red"}, 422),
    ],
)
async def test_odd_sessions_are_refused(client: httpx.AsyncClient, wanted: dict[str, object], status: int) -> None:
    assert (await client.post("/api/sessions", json=wanted)).status_code == status


async def test_odd_events_are_refused_and_change_nothing(client: httpx.AsyncClient) -> None:
    first = await begin(client)
    path = f"/api/sessions/{first['session']}"
    for event, status in (
        ({"step": 5, "kind": "swipe"}, 409),
        ({"step": 0, "kind": "stare"}, 422),
        ({"step": 0, "kind": "swipe", "dwell_ms": -1}, 422),
    ):
        assert (await client.post(f"{path}/events", json=event)).status_code == status
    assert (await client.get(path)).json() == first
    assert (await client.post("/api/sessions/none/events", json={"step": 0, "kind": "like"})).status_code == 404


async def test_a_feed_says_when_it_has_ended(tmp_path: Path) -> None:
    feed = Feed(LIBRARY, Store(None), ends_after=2)
    session = feed.begin(Begin(platform="youtube", seed=1))["session"]
    for step in range(2):
        feed.react(session, Happened(step=step, kind=Kind.SWIPE, dwell_ms=1000))
    assert feed.state(session)["ended"]
    with pytest.raises(FeedError, match="ended after 2"):
        feed.react(session, Happened(step=2, kind=Kind.SWIPE, dwell_ms=1))


def test_a_session_goes_on_after_a_restart_and_replays_event_by_event(tmp_path: Path) -> None:
    path = tmp_path / "feed.sqlite"
    store = Store(path)
    feed = Feed(LIBRARY, store)
    for step in range(8):
        feed.begin(Begin(platform="instagram", user="ana", seed=9))
        if step % 2:
            feed.react("instagram-ana", Happened(step=step, kind=Kind.LIKE))
        feed.react("instagram-ana", Happened(step=step, kind=Kind.SWIPE, dwell_ms=700 * step))
    expected = feed.state("instagram-ana")
    store.close()
    again = Store(path)
    assert Feed(LIBRARY, again).state("instagram-ana") == expected
    (stored,) = again.sessions()
    session = replayed(stored, again, LIBRARY)
    swipes = [noted.video for noted in again.events(stored.id) if noted.event.kind is Kind.SWIPE]
    assert session.shown[:-1] == swipes
    assert len(list(again.export(stored.id))) == 13


def test_a_session_is_never_replayed_on_other_videos(tmp_path: Path) -> None:
    store = Store(tmp_path / "feed.sqlite")
    Feed(LIBRARY, store).begin(Begin(platform="tiktok", user="ana"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jpg").write_bytes(photograph())
    with pytest.raises(FeedError, match="was started with other videos"):
        Feed(FolderVideos(tmp_path / "own"), store).state("tiktok-ana")


def test_a_changed_event_is_found_by_the_replay(tmp_path: Path) -> None:
    store = Store(tmp_path / "feed.sqlite")
    feed = Feed(LIBRARY, store)
    feed.begin(Begin(platform="tiktok", user="ana", seed=1))
    for step in range(3):
        feed.react("tiktok-ana", Happened(step=step, kind=Kind.SWIPE, dwell_ms=10))
    store._db.execute("UPDATE events SET video = 'another' WHERE step = 2")
    with pytest.raises(FeedError, match="event 2: the session showed another"):
        replayed(store.sessions()[0], store, LIBRARY)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(FeedError, match="can't be used as the feed's database"):
        Store(tmp_path / "text")
