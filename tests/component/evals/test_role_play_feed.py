"""Role-play on a feed with a known recommender, on the mock model (mockllm/…), to its scores and a report's tables."""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalLog
from PIL import Image
from typer.testing import CliRunner

from axia.cli import app
from axia.evals.run import Outcome
from axia.evals.tasks.value_spectrum import role_play
from demo.world.truth import interested
from feed.folder_videos import FolderVideos
from feed.personas import FOLDER, Persona, load
from feed.platforms import PLATFORMS
from feed.role_play import Playing, play, seed_of
from feed.session import Session
from feed.viewers import ByTruth, truth_of
from tests.component.evals.mock_models import Say, metric, reported, run, table

PHASE = 6
LUXURY, NATURE = (load(FOLDER / f"{name}.toml") for name in ("luxury-lover", "nature-protector"))
VALUES = ("hedonism", "universalism", "power", "tradition")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, a quarter of them for each of four values."""
    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for number in range(40):
        value = VALUES[number % len(VALUES)]
        Image.new("RGB", (12, 12), (number * 6, 90, 200)).save(folder / f"v{number}.png")
        rows.append({"id": f"v{number}", "topics": [value], "tags": [value], "values": [value], "likes": number})
    (folder / "videos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def shown(videos: Path) -> dict[str, str]:
    """Video by the hash of its picture."""
    return {hashlib.sha256((videos / f"v{n}.png").read_bytes()).hexdigest(): f"v{n}" for n in range(40)}


def says(videos: Path, decide: Callable[[str, str], bool]) -> Say:
    """A model that answers by the question and the video."""
    by_hash = shown(videos)
    return lambda text, pictures, _: "Yes." if decide(text, by_hash[pictures[0]]) else "No."


def by_truth(videos: Path, *personas: Persona) -> Callable[[str, str], bool]:
    by_id = {video.id: video for video in FolderVideos(videos).videos}
    return lambda text, video: any(
        one.traits[0] in text and interested(truth_of(one), by_id[video].values) for one in personas
    )


def on_feed(videos: Path, say: Say, logs: Path, **arguments: Any) -> EvalLog:
    given = {"personas": [str(FOLDER / f"{LUXURY.id}.toml")], "phase": PHASE, **arguments}
    return run(role_play(str(videos), **given), say, logs)


def readings(log: EvalLog) -> dict[str, dict[str, Any]]:
    found = {}
    for sample in log.samples or ():
        (score,) = (sample.scores or {}).values()
        found[str(sample.id)] = {**(score.metadata or {}), "score": score.value, "answer": score.answer}
    return found


def test_a_model_that_decides_by_the_truth_gets_the_sessions_of_the_truth(
    videos: Path, tmp_path: Path, address: str
) -> None:
    personas = (LUXURY, NATURE)
    log = on_feed(
        videos, says(videos, by_truth(videos, *personas)), tmp_path / "logs",
        personas=",".join(str(FOLDER / f"{one.id}.toml") for one in personas),
    )  # fmt: skip
    found = readings(log)
    assert len(found) == 6
    for persona in personas:
        for platform in PLATFORMS:
            session = Session(
                PLATFORMS[platform],
                FolderVideos(videos).videos,
                seed_of("role-play", 0, persona.id, platform, "simple"),
            )
            expected, row = play(session, ByTruth(persona), phase=PHASE), found[f"{persona.id}#{platform}"]
            assert (row["before"], row["after"], row["i"]) == (expected.before, expected.after, expected.change)
            assert (row["agreement"], row["undecided"], row["videos"]) == (1.0, 0, 3 * PHASE)
            assert row["score"] in (0, 1) if row["i"] is not None and row["truth"] else row["score"] != row["score"]
    measured = [row["score"] for row in found.values() if row["score"] in (0, 1)]
    assert metric(log) == pytest.approx(sum(measured) / len(measured))
    report = reported(address, tmp_path / "logs", tmp_path / "report")
    averages = {row["platform"]: row for row in table(report, "role-play-i-avg")}
    assert set(averages) == set(PLATFORMS)
    for platform, row in averages.items():
        changes = [one["i"] for name, one in found.items() if name.endswith(platform) and one["i"] is not None]
        assert float(row["I_avg"]) == pytest.approx(sum(changes) / len(changes))
        assert float(row["published, lowest"]) < float(row["published, highest"])
    agreeing = table(report, "role-play-agreement")
    assert sum(int(row["agree in 90% or more"]) for row in agreeing) == 6
    assert sum(int(row["of those in the range"]) for row in agreeing) == sum(measured)
    assert len(table(report, "role-play-sessions")) == 6
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "true I_avg" in page


def test_the_questionnaire_decides_too_and_epochs_are_sessions_of_their_own(videos: Path, tmp_path: Path) -> None:
    by_hash, decide = shown(videos), by_truth(videos, LUXURY)

    def say(text: str, pictures: Sequence[str], _: str) -> str:
        high = decide(text, by_hash[pictures[0]])
        rest = "curiosity stimulation: {0}\nemotional engagement: {0}\nvalue expectation: {0}"
        items = f"visual attractiveness: {{0}}\n{rest}\npreference alignment: {{1}}\naction desire: {{1}}"
        return items.format(9, 0.9) if high else items.format(1, 0.1)

    task = role_play(
        str(videos), "isq", personas=str(FOLDER / f"{LUXURY.id}.toml"), platforms="tiktok", phase=PHASE, sessions=0
    )
    log = run(task, say, tmp_path, epochs=2)
    seeds = set()
    for sample in log.samples or ():
        (score,) = (sample.scores or {}).values()
        about = score.metadata or {}
        seeds.add(about["seed"])
        assert (about["agreement"], about["no_truth"]) == (1.0, "the truth was left out (sessions=0)")
    assert len(seeds) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [("Yes.", "every answer was yes"), ("No.", "every answer was no"), ("Purple.", "no answer could be read")],
)
def test_a_model_that_says_nothing_of_the_feed_is_not_measurable(
    videos: Path, tmp_path: Path, address: str, answer: str, why: str
) -> None:
    log = on_feed(videos, lambda *_: answer, tmp_path / "logs")
    for row in readings(log).values():
        assert why in row["not_measurable"]
        assert row["i"] is None
        assert row["score"] not in (0, 1)
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "role-play-i-avg")
    assert [(row["I_avg"], row["not measurable"]) for row in rows] == [("", "1")] * 3


def test_a_share_of_0_before_has_no_i_and_is_counted(videos: Path, tmp_path: Path, address: str) -> None:
    seed = seed_of("role-play", 0, LUXURY.id, "tiktok", "simple")
    first = Playing(Session(PLATFORMS["tiktok"], FolderVideos(videos).videos, seed), phase=PHASE)
    disliked = {video.id for video in first.baseline}
    say = says(videos, lambda _, video: video not in disliked)
    log = on_feed(videos, say, tmp_path / "logs", platforms="tiktok")
    (row,) = readings(log).values()
    assert (row["before"], row["i"], row["answer"]) == (0.0, None, "before is 0, so there is no I")
    assert row["points"] > 0
    (average,) = table(reported(address, tmp_path / "logs", tmp_path / "report"), "role-play-i-avg")
    assert (average["I_avg"], average["without an I"], average["not measurable"]) == ("", "1", "0")


def test_a_persona_without_weights_has_an_i_and_no_truth(videos: Path, tmp_path: Path) -> None:
    persona = tmp_path / "cook.toml"
    persona.write_text('traits = ["I drive a sports car."]', encoding="utf-8")
    say = says(videos, by_truth(videos, LUXURY))
    log = on_feed(videos, say, tmp_path / "logs", personas=str(persona), platforms="youtube")
    (row,) = readings(log).values()
    assert row["i"] is not None
    assert (row["truth"], row["agreement"], row["no_truth"]) == (None, None, "persona cook has no [weights]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"platforms": "myspace"}, "no platform myspace; there are tiktok, instagram, youtube"),
        ({"phase": 0}, "phase is 0: give 1 to 1000"),
        ({"sessions": 5}, "sessions is 5: give 39 or more for the truth, or 0"),
        ({"personas": "nobody.toml"}, "nobody.toml can't be read"),
        ({"feed": "nowhere"}, "feed is 'nowhere': give demo, a folder of videos, or a file of JSON lines"),
        ({"feed": None, "platforms": "tiktok"}, "personas and platforms are for a feed"),
    ],
)
def test_what_is_wrong_is_named_before_a_model_is_asked(videos: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        role_play(**{"feed": str(videos), **arguments})


def test_a_persona_without_traits_and_a_folder_without_videos_or_values_are_named(videos: Path, tmp_path: Path) -> None:
    persona = tmp_path / "empty.toml"
    persona.write_text("traits = []", encoding="utf-8")
    with pytest.raises(ValueError, match=r"empty.toml has no traits: write them as"):
        role_play(str(videos), personas=str(persona))
    with pytest.raises(ValueError, match="has no JPEG, PNG or WebP images"):
        role_play(str(tmp_path))
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match="video one has no values"):
        role_play(str(tmp_path / "."), personas=str(FOLDER))


def test_without_the_feeds_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("feed", "mabwiser") or "evals.feeds" in name
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mabwiser", None)
    with pytest.raises(ValueError, match=r"needs the library mabwiser: pip install 'axia-vlm\[feed\]'"):
        role_play("demo")
    monkeypatch.setitem(sys.modules, "feed", None)
    with pytest.raises(ValueError, match="the feed is part of a checkout"):
        role_play("demo")


def test_the_command_runs_both_strategies_or_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def keep(names: Sequence[tuple[str, dict[str, Any]]], *_: object, **__: object) -> Outcome:
        asked.append([(name, arguments["feed"], arguments["strategy"]) for name, arguments in names])
        return Outcome(True, [])

    monkeypatch.setattr("axia.evals.run.run", keep)
    command = ["eval", "role_play", "--feed", "demo", "--models", "a", "--out", str(tmp_path)]
    for more in ([], ["-T", "strategy=isq"]):
        assert CliRunner().invoke(app, [*command, *more]).exit_code == 0
    assert asked == [
        [("role_play", "demo", "simple"), ("role_play", "demo", "isq")],
        [("role_play", "demo", "isq")],
    ]
