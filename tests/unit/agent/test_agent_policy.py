"""What the agent does about what it sees: pure, bounded, replayable."""

import json
from pathlib import Path

import pytest

from agent import AgentError, Stopped
from agent.manners import Manners, Pace, check_robots, resolver_rules
from agent.policy import Action, Bounds, Observation, Policy, Screen, as_row, bounds_from
from agent.record import NAME, Record, read_record
from agent.replay import replay
from agent.results import summary
from agent.screens import Signs, by_signs, read_screen
from agent.watching import Ended


def video(decision: str | None = "swipe", *, unchanged: bool = False) -> Observation:
    return Observation(Screen.VIDEO, unchanged, decision)  # type: ignore[arg-type]


def test_a_persona_stays_longer_with_what_it_likes_and_likes_every_third() -> None:
    policy = Policy(Bounds(like_every=3))
    stays = [policy.act(video("stay")) for _ in range(6)]
    assert [action.like for action in stays] == [False, False, True] * 2
    assert all(10_000 <= action.dwell_ms <= 12_000 for action in stays)
    assert 700 <= policy.act(video("swipe")).dwell_ms <= 1_300


def test_the_baseline_watches_all_alike() -> None:
    policy = Policy(Bounds(neutral=2, videos=3))
    dwells = [policy.act(video(decision)).dwell_ms for decision in ("stay", "swipe", "stay")]
    assert dwells[0] == dwells[1] == 3_500
    assert dwells[2] >= 10_000
    assert policy.act(video()) == Action("stop", reason="done")


def test_the_same_seed_gives_the_same_actions() -> None:
    def actions(seed: int) -> list[Action]:
        policy = Policy(Bounds(seed=seed))
        return [policy.act(video("stay" if n % 2 else "swipe")) for n in range(20)]

    assert actions(1) == actions(1)
    assert actions(1) != actions(2)
    assert {action.by for action in actions(1)} == {"wheel", "key"}


@pytest.mark.parametrize(
    ("screen", "reason"),
    [
        (Screen.LOGIN, "never logs in"),
        (Screen.CHALLENGE, "never solves one"),
        (Screen.END, "end"),
    ],
)
def test_walls_challenges_and_the_end_stop_it_at_once(screen: Screen, reason: str) -> None:
    action = Policy(Bounds()).act(Observation(screen, False, None))
    assert action.kind == "stop"
    assert reason in action.reason


def test_loading_is_waited_for_and_not_for_ever() -> None:
    policy = Policy(Bounds(max_waits=3))
    loading = Observation(Screen.LOADING, False, None)
    assert [policy.act(loading).kind for _ in range(4)] == ["wait", "wait", "wait", "stop"]
    policy = Policy(Bounds(max_waits=3))
    kinds = [policy.act(seen).kind for seen in (loading, loading, loading, video(), loading, loading, loading)]
    assert "stop" not in kinds


def test_consent_is_refused_once_and_never_accepted() -> None:
    policy = Policy(Bounds())
    consent = Observation(Screen.CONSENT, False, None)
    assert policy.act(consent).kind == "reject"
    stopped = policy.act(consent)
    assert (stopped.kind, "never accepts" in stopped.reason) == ("stop", True)


def test_an_ad_is_left_without_counting_as_a_video() -> None:
    policy = Policy(Bounds())
    assert policy.act(Observation(Screen.AD, False, None)).kind == "swipe"
    assert policy.videos == 0


def test_swipes_that_change_nothing_and_answers_that_cannot_be_read_stop_it() -> None:
    policy = Policy(Bounds(max_unchanged=3))
    assert [policy.act(video(unchanged=True)).kind for _ in range(3)] == ["swipe", "swipe", "stop"]
    policy = Policy(Bounds(max_unread=4))
    actions = [policy.act(video(None)) for _ in range(4)]
    assert [action.kind for action in actions] == ["swipe"] * 3 + ["stop"]
    assert "can't be read" in actions[-1].reason


def test_steps_are_bounded() -> None:
    policy = Policy(Bounds(max_steps=2))
    assert [policy.act(video()).kind for _ in range(3)] == ["swipe", "swipe", "stop"]


def test_bounds_come_back_from_a_record() -> None:
    bounds = Bounds(seed=4, stay_ms=(1, 2))
    assert bounds_from(json.loads(json.dumps(as_row(bounds)))) == bounds


@pytest.mark.parametrize(
    ("signs", "screen"),
    [
        (Signs(), Screen.VIDEO),
        (Signs(busy=True), Screen.LOADING),
        (Signs(busy=True, password=True), Screen.LOGIN),
        (Signs(password=True, challenge=True), Screen.CHALLENGE),
        (Signs(busy=True, consent=True), Screen.CONSENT),
    ],
)
def test_the_pages_signs_name_the_screen(signs: Signs, screen: Screen) -> None:
    assert by_signs(signs) is screen


@pytest.mark.parametrize(
    ("text", "screen"),
    [
        ("Ad.", Screen.AD),
        ("It shows a log-in page.", Screen.LOGIN),
        ("video", Screen.VIDEO),
        ("The feed has reached its end", Screen.END),
        ("video or ad", None),
        ("purple monkeys", None),
        ("", None),
    ],
)
def test_a_models_word_names_the_screen_or_none(text: str, screen: Screen | None) -> None:
    assert read_screen(text) is screen


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8090/tiktok", True),
        ("http://localhost/", True),
        ("http://[::1]:8090/", True),
        ("data:,", True),
        ("https://example.org/", False),
        ("http://127.0.0.1.example.org/", False),
        ("http://user@127.0.0.1@example.org/", False),
        ("ftp://127.0.0.1/", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_allowed_hosts_are_reached(url: str, allowed: bool) -> None:
    assert Manners().allows(url) is allowed


def test_a_host_that_is_not_allowed_is_told_with_what_to_do() -> None:
    with pytest.raises(AgentError, match=r"example.org isn't allowed.*--allow example.org"):
        Manners().check("https://example.org/feed")
    with pytest.raises(AgentError, match="is not a web address"):
        Manners().check("tiktok")
    for host in ("https://example.org", "*.example.org", "example.org/x", "example.org:80", ""):
        with pytest.raises(AgentError, match="is not a host name"):
            Manners((host,))


def test_other_hosts_are_visited_slowly_and_this_machine_is_not() -> None:
    assert Manners().pause_s == 0
    assert Manners(("example.org",)).pause_s == 2
    assert Manners(("example.org",), 5).pause_s == 5


def test_the_browser_finds_no_other_hosts() -> None:
    assert resolver_rules(("a.org", "b.org")) == "MAP * ~NOTFOUND, EXCLUDE a.org, EXCLUDE b.org"


def test_robots_txt_is_obeyed() -> None:
    url = "http://a.org/feed"
    assert check_robots(url, 404, "") == 0
    assert check_robots(url, 200, "User-agent: *\nDisallow: /private\nCrawl-delay: 3\n") == 3
    for status, text, message in (
        (200, "User-agent: *\nDisallow: /\n", "disallows /feed"),
        (200, "User-agent: axia-agent\nDisallow: /feed\n", "disallows /feed for axia-agent"),
        (503, "", r"can't be read \(HTTP 503\)"),
        (429, "", r"can't be read \(HTTP 429\)"),
        (302, "", "redirects"),
    ):
        with pytest.raises(Stopped, match=message):
            check_robots(url, status, text)


def test_the_pace_waits_for_what_is_left() -> None:
    now, slept = [10.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(2.0, lambda: now[0], sleep)
    pace.wait()
    now[0] += 0.5
    pace.wait()
    now[0] += 9
    pace.wait()
    assert slept == [1.5]


def write(folder: Path, observations: list[Observation], bounds: Bounds) -> None:
    policy = Policy(bounds)
    with Record(folder, {"id": "r", "bounds": as_row(bounds)}) as record:
        for number, seen in enumerate(observations):
            record.note({"step": number, "seen": as_row(seen), "action": as_row(policy.act(seen))})


def test_a_record_replays_to_the_same_bytes(tmp_path: Path) -> None:
    seen = [video("stay"), Observation(Screen.LOADING, False, None), video(None), Observation(Screen.AD, False, None)]
    write(tmp_path, [*seen, video("swipe")], Bounds(seed=3))
    found = replay(tmp_path)
    assert (found.steps, found.differences) == (5, ())
    assert replay(tmp_path).decisions == found.decisions


def test_a_changed_action_is_found_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, [video("stay"), video("stay")], Bounds())
    text = (tmp_path / NAME).read_text().splitlines()
    row = json.loads(text[2])
    row["action"]["dwell_ms"] += 1
    (tmp_path / NAME).write_text("\n".join([*text[:2], json.dumps(row), '{"step": ']))
    found = replay(tmp_path)
    assert (found.steps, [one.line for one in found.differences]) == (2, [3])
    with Record(tmp_path, {"id": "r2", "bounds": as_row(Bounds())}):
        pass
    assert [next(iter(row)) for row in read_record(tmp_path)] == ["run", "step", "step", "run"]


def test_records_that_cannot_be_replayed_are_told(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"has no record.jsonl"):
        replay(tmp_path)
    (tmp_path / NAME).write_text('{"step": 0, "seen": {}}\n')
    with pytest.raises(AgentError, match="line 1 of the record has a missing or invalid field"):
        replay(tmp_path)
    (tmp_path / NAME).write_text("{\n")
    with pytest.raises(AgentError, match="line 1: this is not JSON"):
        replay(tmp_path)


def ended(text: str, reason: str = "done") -> Ended:
    return Ended(reason, tuple({"y": True, "n": False, "?": None}[one] for one in text), {})


def test_a_run_is_measured_by_its_first_and_last_phase() -> None:
    found = summary(ended("ynnn" + "yyyy" + "yynn"), 4)
    assert (found.before, found.after, found.i, found.points) == (0.25, 0.5, 100.0, 25.0)
    assert "I +100%" in found.sentence


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ("yyyyyy", "every answer was yes"),
        ("nnnnn?", "every answer was no"),
        ("??yn??", "no answer could be read in a phase"),
        ("yn", r"the run ended after 2 of 6 videos (end)"),
    ],
)
def test_what_says_nothing_of_the_recommender_gets_no_number(answers: str, why: str) -> None:
    found = summary(ended(answers, "end"), 2)
    assert (found.not_measurable, found.i, found.sentence) == (why, None, f"not measurable: {why}")


def test_a_share_of_0_before_gives_points_alone() -> None:
    found = summary(ended("nnynyy"), 2)
    assert (found.i, found.points, found.not_measurable) == (None, 100.0, "")
    assert "I is not defined, because nothing was liked in the first phase" in found.sentence
