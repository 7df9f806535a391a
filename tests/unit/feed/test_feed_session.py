"""One viewer's feed follows from the seed and the events."""

import pytest

from feed import FeedError
from feed.demo_videos import DemoVideos
from feed.platforms import PLATFORMS
from feed.recommender import features
from feed.session import Event, Kind, Session
from feed.videos import Video, fingerprint

VIDEOS = DemoVideos().videos


def video(name: str, topic: str = "power", **known: object) -> Video:
    parts = {"account": "a", "caption": "", "tags": (), "topics": (topic,), "likes": 10, "frames": 1, "length_s": 4.0}
    return Video(id=name, **(parts | known))  # type: ignore[arg-type]


def watch(session: Session, seconds: float) -> None:
    session.react(Event(session.step, Kind.SWIPE, round(seconds * 1000)))


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=lambda platform: platform.id)
def test_the_same_seed_and_events_give_the_same_videos_and_another_seed_others(platform) -> None:  # noqa: ANN001
    def run(seed: int) -> list[str]:
        session = Session(platform, VIDEOS, seed)
        for step in range(12):
            if step % 3 == 0:
                session.react(Event(session.step, Kind.LIKE))
            watch(session, step % 4)
        return session.shown

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=lambda platform: platform.id)
def test_a_topic_that_is_watched_and_liked_comes_more_often(platform) -> None:  # noqa: ANN001
    session = Session(platform, VIDEOS, 3)
    shares = []
    for step in range(60):
        assert session.current is not None
        wanted = "hedonism" in session.current.topics
        shares.append(wanted)
        if wanted:
            session.react(Event(session.step, Kind.LIKE))
        watch(session, session.current.watched_s if wanted else 0.5)
        del step
    assert sum(shares[30:]) > 2 * max(1, sum(shares[:10]))


def test_what_is_left_at_once_comes_less_often_than_what_nobody_touched() -> None:
    session = Session(PLATFORMS["tiktok"], VIDEOS, 3)
    seen = []
    for _ in range(60):
        assert session.current is not None
        dull = "power" in session.current.topics
        seen.append(dull)
        watch(session, 0.2 if dull else session.current.watched_s)
    assert sum(seen[20:]) <= 2  # a tenth of the videos has it


def test_no_video_comes_twice_before_all_were_shown() -> None:
    few = [video(f"v{number}") for number in range(5)]
    session = Session(PLATFORMS["youtube"], few, 1)
    for _ in range(14):
        watch(session, 1)
    assert sorted(session.shown[:5]) == [one.id for one in few]
    assert all(first != second for first, second in zip(session.shown, session.shown[1:], strict=False))


def test_a_feed_of_one_video_shows_it_again() -> None:
    session = Session(PLATFORMS["youtube"], [video("only")], 1)
    watch(session, 1)
    assert session.shown == ["only", "only"]


def test_a_feed_ends_and_takes_no_events_then() -> None:
    session = Session(PLATFORMS["tiktok"], VIDEOS, 1, ends_after=7)
    for _ in range(7):
        watch(session, 1)
    assert session.current is None
    with pytest.raises(FeedError, match="ended after 7 videos"):
        watch(session, 1)


def test_an_event_about_another_video_is_refused() -> None:
    session = Session(PLATFORMS["tiktok"], VIDEOS, 1)
    with pytest.raises(FeedError, match="the event is for video 4, but video 0 is shown"):
        session.react(Event(4, Kind.SWIPE, 10))
    with pytest.raises(FeedError, match="dwell_ms must be 0 to"):
        session.react(Event(0, Kind.SWIPE, -1))


def test_an_unlike_takes_the_like_back() -> None:
    session = Session(PLATFORMS["tiktok"], VIDEOS, 1)
    session.react(Event(0, Kind.LIKE))
    assert session.liked
    session.react(Event(0, Kind.UNLIKE))
    assert not session.liked


def test_a_video_without_length_counts_as_a_still() -> None:
    still = video("still", length_s=0.0)
    assert still.watched_s == 3
    session = Session(PLATFORMS["tiktok"], [still, video("other")], 1)
    watch(session, 1)
    watch(session, 1)


def test_there_has_to_be_a_video() -> None:
    with pytest.raises(FeedError, match="no video to show"):
        Session(PLATFORMS["tiktok"], [], 1)


def test_a_recommender_sees_no_values() -> None:
    for platform in PLATFORMS.values():
        with_values = features(platform, [video("a", values=("power",)), video("b", topic="hedonism")])
        without = features(platform, [video("a"), video("b", topic="hedonism")])
        assert (with_values == without).all()


def test_videos_without_any_feature_can_be_shown() -> None:
    bare = [video(f"v{n}", topics=(), tags=(), likes=0, length_s=0.0) for n in range(3)]
    session = Session(PLATFORMS["tiktok"], bare, 1)
    watch(session, 1)
    assert session.current is not None


def test_the_fingerprint_tells_other_videos() -> None:
    assert fingerprint(VIDEOS) == fingerprint(DemoVideos().videos)
    assert fingerprint(VIDEOS) != fingerprint(VIDEOS[1:])
