"""Tasks of Value-Spectrum on the mock model (mockllm/…), to their scores and the tables of a report."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.value_spectrum import adversarial, modality, role_play, value_spectrum, wording
from tests.component.evals.mock_models import Say, metric, reported, run, scores, study, table

ISQ = """visual attractiveness: {0}
curiosity stimulation: {0}
emotional engagement: {0}
value expectation: {0}
preference alignment: {1}
action desire: {1}"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two pictures for each keyword of two values, and one without a keyword."""
    rows = []
    for number, (value, keyword) in enumerate(
        (("hedonism", "vacation"), ("hedonism", "concert"), ("power", "crown"), ("power", "gold"))
    ):
        for copy in range(2):
            name = f"{keyword}-{copy}.png"
            Image.new("RGB", (12, 12), (number * 50, copy * 90, 40)).save(tmp_path / name)
            rows.append({"file": name, "keywords": [keyword], "values": [value], "platform": "youtube"})
    rows.append({"file": "none.png", "keywords": []})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def likes(words: Mapping[str, str], otherwise: str = "No, I don't like it.") -> Say:
    """A model whose answer depends on words in the question."""
    return lambda text, _, __: next((reply for word, reply in words.items() if word in text), otherwise)


def test_preference_is_the_percentage_of_yes_for_each_value(manifest: Path, tmp_path: Path, address: str) -> None:
    import hashlib

    liked = {
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        for name in ("vacation-0.png", "vacation-1.png", "concert-0.png", "crown-0.png")
    }

    def say(text: str, pictures: list[str], _: str) -> str:
        if "like the content" not in text:
            return "A bright picture."
        return "Yes, I like it." if liked & set(pictures) else "No, I don't like it."

    log = run(value_spectrum(str(manifest)), say, tmp_path / "logs")
    assert metric(log) == pytest.approx(0.5)
    first = next(iter(log.samples or ()))
    assert len(first.store["replies"]) == 3  # the three questions are one conversation
    assert [message.role for message in first.messages] == ["user", "assistant"] * 3
    (row,) = table(reported(address, tmp_path / "logs", tmp_path / "report"), "preference")
    assert (float(row["hedonism"]), float(row["power"])) == (75.0, 25.0)
    assert row["security"] == ""  # no picture stands for it
    assert float(row["mean"]) == 50.0
    assert float(row["deviation (n−1)"]) == pytest.approx(35.355, abs=0.01)


def test_refusals_and_other_languages_have_no_score(manifest: Path, tmp_path: Path, address: str) -> None:
    said = iter(["I'm sorry, but I can't help with that.", "Ich mag dieses Bild sehr gern.", "Yes.", "No."] * 2)

    def say(text: str, *_: object) -> str:
        return next(said) if "like the content" in text else "A bright picture."

    log = run(value_spectrum(str(manifest)), say, tmp_path / "logs", max_samples=1)
    unscored = [value for value in scores(log).values() if value not in (0, 1)]
    assert len(unscored) == 4
    (row,) = table(reported(address, tmp_path / "logs", tmp_path / "report"), "summary")
    assert (float(row["mean"]), float(row["unread"]), float(row["refused"])) == (0.5, 0.5, 0.25)


def test_a_description_stands_for_the_picture_in_a_conversation_of_its_own(
    manifest: Path, tmp_path: Path, address: str
) -> None:
    seen: list[tuple[bool, str]] = []

    def say(text: str, pictures: list[str], _: str) -> str:
        seen.append((bool(pictures), text))
        if text.startswith("Describe"):
            return "A golden crown."
        return "Yes, I like it." if pictures else "No, I don't like it."

    run(modality(str(manifest)), say, tmp_path / "logs")
    from_description = [text for shown, text in seen if not shown]
    assert len(from_description) == 4
    assert all("A golden crown." in text for text in from_description)
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "modality-differences")
    overall = next(row for row in rows if row["value"] == "all")
    assert (float(overall["image"]), float(overall["description"])) == (100.0, 0.0)


def test_wordings_are_compared_with_the_baseline(manifest: Path, tmp_path: Path, address: str) -> None:
    say = likes({"enjoy": "Yes, I enjoy it.", "Describe": "A picture."})
    log = run(wording(str(manifest)), say, tmp_path / "logs")
    by_way: dict[str, set[object]] = {}
    for sample, score in scores(log).items():
        by_way.setdefault(sample.rpartition("#")[2], set()).add(score)
    assert by_way["enjoy"] == {1}
    assert by_way["baseline"] == by_way["described-first"] == {0}
    report = reported(address, tmp_path / "logs", tmp_path / "report")
    means = {row["variant"]: float(row["mean"]) for row in table(report, "wording--mockllm-mock-alignment")}
    assert means["enjoy"] == 1.0


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    Image.new("RGB", (12, 12), (9, 9, 99)).save(tmp_path / "frame.png")
    rows = [
        {"image": "frame.png", "persona": persona, "traits": [trait], "stays": stays, "platform": platform}
        for persona, trait, stays, platform in (
            ("sailor", "I sail.", True, "tiktok"), ("baker", "I bake.", False, "tiktok"),
            ("reader", "I read.", True, "youtube"), ("runner", "I run.", False, "youtube"),
        )
    ]  # fmt: skip
    path = tmp_path / "feed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_persona_is_in_the_question_and_its_truth_is_the_target(feed: Path, tmp_path: Path, address: str) -> None:
    say = likes({"I sail.": "Yes.", "I bake.": "Yes.", "I read.": "Yes."}, "No.")
    log = run(role_play(str(feed)), say, tmp_path / "logs")
    assert metric(log) == pytest.approx(0.75)
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "role-play-stays")
    assert {row["platform"]: (float(row["stays"]), float(row["stays by the persona's truth"])) for row in rows} == {
        "tiktok": (1.0, 0.5), "youtube": (0.5, 0.5),
    }  # fmt: skip


def test_the_questionnaire_stays_above_the_threshold_alone(feed: Path, tmp_path: Path) -> None:
    # (6+6+6+6 + 10*0.6 + 10*0.6) / 60 is 60%, which isn't above 60.
    say = likes({"I sail.": ISQ.format(9, 0.9), "I bake.": ISQ.format(6, 0.6), "I read.": "I'd rather not."},
                ISQ.format(2, 0.1))  # fmt: skip
    log = run(role_play(str(feed), strategy="isq"), say, tmp_path / "logs")
    found = {name.partition("#")[0]: value for name, value in scores(log).items()}
    assert (found["sailor"], found["baker"], found["runner"]) == (1, 1, 1)
    assert found["reader"] not in (0, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stays": "yes"}, "a row has image, persona, traits"),
        ({"image": "gone.png"}, "there is no image at"),
        ({"persona": "baker"}, "baker has a row for frame.png before: keep one"),
        ({"traits": []}, "a row has image, persona, traits"),
    ],
)
def test_a_wrong_row_of_a_feed_is_named(feed: Path, change: Mapping[str, object], said: str) -> None:
    first, *rest = feed.read_text(encoding="utf-8").splitlines()
    feed.write_text("\n".join([*rest, json.dumps({**json.loads(first), **change})]), encoding="utf-8")
    with pytest.raises(AnnotationError, match=said):
        role_play(str(feed))


def test_attempts_to_mislead_are_told_apart_from_the_baseline(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(3)})
    log = run(
        adversarial(str(path)), lambda _, __, system: "Yes, I like it." if system else "No, I don't like it.",
        tmp_path / "logs",
    )  # fmt: skip
    by_attempt: dict[str, set[object]] = {}
    for sample, score in scores(log).items():
        by_attempt.setdefault(sample.rpartition("#")[2], set()).add(score)
    assert by_attempt.pop("baseline") == {0}
    assert len(by_attempt) >= 3
    assert all(attempt == {1} for attempt in by_attempt.values())
    report = reported(address, tmp_path / "logs", tmp_path / "report")
    rows = table(report, "adversarial--mockllm-mock-pairs")
    against = [row for row in rows if "baseline" in (row["first"], row["second"])]
    assert all(abs(float(row["difference"])) == 1.0 for row in against)


def test_scenes_without_a_value_at_stake_are_no_attempt(tmp_path: Path) -> None:
    path = study(tmp_path, {"a.png": {"response_type": 1}})
    with pytest.raises(AnnotationError, match="no image has response_type 2"):
        adversarial(str(path))
