"""`axia feed` and `axia agent`, as commands."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("mabwiser", reason="needs axia's extra feed")
pytest.importorskip("playwright", reason="needs axia's extra agent")

from agent.policy import Bounds, Observation, Policy, Screen, as_row
from agent.record import NAME, Record
from axia.cli import app
from axia.cli.feeds.options import library_of
from axia.evals.published import role_play_figures
from axia.testing import FakeGateway
from feed.app import Begin, Feed, Happened
from feed.demo_videos import DemoVideos
from feed.personas import FOLDER
from feed.session import Kind
from feed.store import Store
from tests.support import processes

LUXURY, SAFETY = FOLDER / "luxury-lover.toml", FOLDER / "safety-first.toml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(answers={"interesting": "Yes."}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


def test_the_truth_is_printed_as_a_table_and_as_json() -> None:
    asked = ("feed", "truth", "--persona", LUXURY, "--platform", "tiktok", "--sessions", 39, "--phase", 20)
    table = run(*asked)
    assert table.exit_code == 0, table.stderr
    assert "tiktok: true I_avg" in table.stdout
    (row,) = lines(run(*asked, "--json").stdout)
    assert row["prediction"]["low"] <= row["change"] <= row["prediction"]["high"]
    assert row["sessions"] == 39


def test_role_play_by_the_truth_is_beside_the_truth(fake: FakeGateway, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    result = run(
        "feed", "role-play", "--viewer", "truth", "--persona", LUXURY, "--persona", SAFETY, "--platform", "tiktok",
        "--sessions", 45, "--phase", 20, "--out", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = lines(result.stdout)
    assert [row["agreement"] for row in rows] == [1.0, 1.0]
    assert all(row["i"] is not None and row["truth"]["change"] > 0 for row in rows)
    assert "tiktok, truth: I_avg" in result.stderr
    assert "2 of 2 runs agree with the truth" in " ".join(result.stderr.split())
    assert all(len(row["seen"]) == 60 for row in lines(out.read_text()))


def test_a_models_change_is_beside_the_published_ones() -> None:
    library = library_of(None)
    pictures = [library.screenshot(video, "tiktok") for video in library.videos[::3]]
    answers = {hashlib.sha256(picture).hexdigest(): "No." for picture in pictures} | {"interesting": "Yes."}
    assert role_play_figures("simple", "tiktok")["GPT-4o"] == 55.4
    assert role_play_figures("truth", "tiktok") == {}
    with FakeGateway(answers=answers) as fake:
        result = run(
            "feed", "role-play", "--persona", LUXURY, "--platform", "tiktok", "--phase", 5, "--no-truth",
            "--address", fake.address,
        )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "published on the real platform for 5 models -22 to 55%" in " ".join(result.stdout.split())


def test_a_model_that_always_says_yes_is_not_measurable(fake: FakeGateway) -> None:
    result = run("feed", "role-play", "--persona", LUXURY, "--platform", "youtube", "--phase", 2, "--no-truth")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "not measurable for 1 of 1 personas: every answer was yes" in said
    assert "I_avg" not in said


def test_a_model_that_answers_nonsense_is_not_measurable(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeGateway(answers={"interesting": "Purple monkeys."}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        result = run("feed", "role-play", "--persona", LUXURY, "--platform", "youtube", "--phase", 2, "--no-truth")
    assert "no answer could be read in a phase" in " ".join(result.stdout.split())


def test_chance_moves_no_feed(fake: FakeGateway) -> None:
    result = run("feed", "role-play", "--viewer", "chance", "--no-truth", "--platform", "instagram", "--json")
    assert result.exit_code == 0, result.stderr
    changes = [row["i"] for row in lines(result.stdout)]
    assert len(changes) == 14
    # A 95% interval of the mean (Student's t with 13 degrees of freedom) holds 0.
    assert abs(mean(changes)) <= 2.16 * stdev(changes) / 14**0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("truth", "--platform", "vimeo"), "no platform vimeo"),
        (("truth", "--videos", "nowhere"), "nowhere is not a folder"),
        (("role-play", "--viewer", "truth", "--strategy", "isq"), "are for --viewer model"),
        (("role-play", "--out", "nowhere/x.jsonl"), "there is no folder nowhere"),
        (("replay", "--state", "nowhere.sqlite"), "nowhere.sqlite does not exist"),
    ],
)
def test_what_is_wrong_is_told(arguments: tuple[str, ...], message: str) -> None:
    result = run("feed", *arguments)
    assert result.exit_code in {1, 2}
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_session_replays_and_a_changed_one_is_found(tmp_path: Path) -> None:
    state = tmp_path / "feed.sqlite"
    store = Store(state)
    feed = Feed(DemoVideos(), store)
    feed.begin(Begin(platform="tiktok", user="ana", seed=1))
    for step in range(3):
        feed.react("tiktok-ana", Happened(step=step, kind=Kind.SWIPE, dwell_ms=10))
    result = run("feed", "replay", "--state", state)
    assert result.exit_code == 0, result.output
    assert "tiktok-ana: the same 4 videos" in result.stdout
    assert len(lines(run("feed", "replay", "--state", state, "--events").stdout)) == 4
    store._db.execute("UPDATE events SET video = 'another' WHERE step = 2")
    result = run("feed", "replay", "--state", state)
    assert result.exit_code == 1
    assert "event 2: the session showed another" in result.stderr


def test_the_feed_is_served_until_ctrl_c_and_goes_on_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "axia", "feed", "serve", "--port", "0", "--state", str(tmp_path / "f.sqlite")]
    steps = []
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=processes.ROOT) as server:
            assert server.stdout is not None
            address = server.stdout.readline().strip().removesuffix("/tiktok")
            with httpx.Client(base_url=address, timeout=60) as client:
                # The socket is bound before the address is printed, so the first call waits until it is served.
                begun = client.post("/api/sessions", json={"platform": "tiktok", "user": "ana"}).json()
                steps.append(begun["step"])
                event = {"step": begun["step"], "kind": "swipe", "dwell_ms": 40}
                assert client.post(f"/api/sessions/{begun['session']}/events", json=event).status_code == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
    assert steps == [0, 1]


def test_an_agents_record_replays(tmp_path: Path) -> None:
    policy = Policy(Bounds())
    with Record(tmp_path, {"id": "r", "bounds": as_row(Bounds())}) as record:
        seen = Observation(Screen.VIDEO, False, "stay")
        record.note({"step": 0, "seen": as_row(seen), "action": as_row(policy.act(seen))})
    result = run("agent", "replay", tmp_path, "--lines")
    assert result.exit_code == 0
    assert lines(result.stdout)[0]["decision"] == "stay"
    (tmp_path / NAME).write_text((tmp_path / NAME).read_text().replace('"swipe"', '"wait"'))
    assert run("agent", "replay", tmp_path).exit_code == 1
    assert "has no record.jsonl" in run("agent", "replay", tmp_path / "none").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("collect", "http://example.org/tiktok", "--images", "3"), 1, "--allow example.org"),
        (("collect", "tiktok", "--images", "3"), 1, "is not a web address"),
        (("collect", "http://127.0.0.1/x", "--images", "0"), 2, "images"),
        (("collect", "http://127.0.0.1/x", "--images", "1", "--allow", "https://a.org"), 1, "is not a host name"),
        (("collect", "http://127.0.0.1/x", "--images", "1", "--chromium", "/none"), 1, "/none is not a program"),
        (("watch", "http://127.0.0.1/x"), 2, "give the persona with --persona FILE or --trait TEXT"),
    ],
)
def test_what_an_agent_may_not_do_is_told(
    fake: FakeGateway, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("agent", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.replace("│", " ").split())


def test_without_their_libraries_the_commands_say_what_to_install(tmp_path: Path) -> None:
    for name, extra, command in (
        ("mabwiser", "feed", ["feed", "serve"]),
        ("playwright", "agent", ["agent", "collect", "http://127.0.0.1/x", "--images", "1"]),
    ):
        code = f"import sys; sys.modules[{name!r}] = None; from axia.cli import main; main()"
        result = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert f"the library {name} is missing: pip install 'axia-vlm[{extra}]'" in result.stderr
