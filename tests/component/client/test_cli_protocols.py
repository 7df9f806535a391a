"""`axia preference`, `axia interest`, `axia watch` and `axia replay` against the fake gateway."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.client import Client
from axia.results import ImageMetadata, Indexed, PreferenceEvent, PreferenceSummary
from axia.testing import FakeGateway
from axia.v1 import inference_pb2
from tests.support import pictures


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    answers = {
        "needs attention": ["the stove", "a knife", "the stove"],
        "Do you like": ["Yes.", "No.", "As an AI, no."],
    }
    with FakeGateway(images=[pictures.photograph(seed) for seed in range(3)], answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(pictures.photograph(seed))
    return folder


def test_a_preference_prints_a_table_within_80_columns(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    result = run("preference", "--value", "power", "--value", "self-direction", "-k", 1, "--trait", "I like art.")
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    for word in ("power", "self-direction", "interval", "refused", "rank", "mean", "standard deviation"):
        assert word in words
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout
    request: Any = fake.received[-1].request
    assert (list(request.values), list(request.traits), request.k) == (["power", "self-direction"], ["I like art."], 1)


def test_a_preference_stands_beside_that_of_all_answers_with_both_counts(fake: FakeGateway) -> None:
    result = run("preference", "--value", "power", "-k", 3)
    assert result.exit_code == 0, result.stderr
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("power"))
    value, percentage, _, rank, of_all, rank_of_all, counts, yes, no, refused, _ = row
    assert (value, rank, rank_of_all) == ("power", "1", "1")
    assert float(percentage) == pytest.approx(100 * int(yes) / (int(yes) + int(no)), abs=0.05)
    answers, keywords = map(int, counts.split("/"))
    assert float(of_all) == pytest.approx(100 * int(yes) / answers, abs=0.05)
    assert float(of_all) < float(percentage)
    assert int(refused) > 0
    assert (answers, keywords) == (30, 10)
    words = " ".join(result.stdout.split())
    assert f"Over the values, counting all answers: mean {of_all}%, range 0.0 points." in words
    (score,) = lines(run("preference", "--value", "power", "-k", 3, "--json").stdout)[-1]["summary"]["scores"]["scores"]
    assert score["interval"]["method"] == "wilson clustered by keyword"


def test_a_saved_assessment_goes_on(fake: FakeGateway, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    assert run("preference", "--value", "power", "-k", 2, "--out", whole).exit_code == 0
    text = whole.read_text().splitlines(keepends=True)
    assert [record["event"] for record in lines("".join(text))][:3] == ["request", "plan", "judgement"]
    part.write_text("".join(text[:6]) + text[6][:20])  # a run that was killed while it wrote
    result = run("preference", "--resume", part, "--json")
    assert result.exit_code == 0, result.stderr
    events = lines(result.stdout)
    assert [event["judgement"]["position"] for event in events if event["event"] == "judgement"] == list(range(4, 20))
    assert events[-1] == lines("".join(text))[-1]
    # Now the file is as that of a run that never broke off.
    assert [record["event"] for record in lines(part.read_text())] == [
        record["event"] for record in lines("".join(text))
    ]


def test_a_saved_assessment_goes_on_after_replies_of_any_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = {"Do you like": ["Yes.\u2028Très."]}
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    with FakeGateway(images=[pictures.photograph(seed) for seed in range(3)], answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        assert run("preference", "--value", "power", "-k", 2, "--out", whole).exit_code == 0
        assert "is complete" in run("preference", "--resume", whole).stderr
        rows = whole.read_bytes().splitlines(keepends=True)
        part.write_bytes(b"".join(rows[:6]) + rows[6][: rows[6].index("è".encode()) + 1])  # killed within a letter
        result = run("preference", "--resume", part, "--json")
    assert result.exit_code == 0, result.stderr
    events = [json.loads(row) for row in result.stdout.split("\n") if row]
    assert [event["judgement"]["position"] for event in events if event["event"] == "judgement"] == list(range(4, 20))


def test_a_complete_assessment_shows_its_scores_again(fake: FakeGateway, tmp_path: Path) -> None:
    complete = tmp_path / "complete.jsonl"
    first = run("preference", "--value", "power", "-k", 1, "--out", complete)
    saved, asked = complete.read_bytes(), len(fake.received)
    again = run("preference", "--resume", complete)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert "is complete" in again.stderr
    events = lines(run("preference", "--resume", complete, "--json").stdout)
    assert [event["event"] for event in events] == ["plan", "summary"]
    assert (complete.read_bytes(), len(fake.received)) == (saved, asked)


def test_an_assessment_without_scores_is_scored_when_it_goes_on(
    fake: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, whole = tmp_path / "file.jsonl", Client.assess_preference

    def unscored(client: Client, **options: Any) -> Iterator[PreferenceEvent]:
        for event in whole(client, **options):
            missing = {"scores": None, "degraded": True, "missing": ("scores",)}
            yield event.model_copy(update=missing) if isinstance(event, PreferenceSummary) else event

    with monkeypatch.context() as patch:
        patch.setattr(Client, "assess_preference", unscored)
        first = run("preference", "--value", "power", "-k", 1, "--out", file)
    assert first.exit_code == 1
    assert f"the scoring service did not answer: continue with --resume {file}" in first.stderr
    again = run("preference", "--resume", file, "--json")
    assert again.exit_code == 0, again.stderr
    events = lines(again.stdout)
    assert [event["event"] for event in events] == ["plan", "summary"]
    assert events[-1]["summary"]["scores"]["scores"][0]["value"] == "power"
    assert "is complete" in run("preference", "--resume", file).stderr


def test_judgements_carry_the_name_of_their_pictures_file(fake: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "feed" / "may").mkdir(parents=True)
    (tmp_path / "feed" / "may" / "crown.jpg").write_bytes(pictures.photograph(7))
    run("index", tmp_path / "feed")
    file = tmp_path / "file.jsonl"
    events = lines(run("preference", "--value", "power", "-k", 6, "--json").stdout)
    named = {event["judgement"]["source"] for event in events if event["event"] == "judgement"}
    assert named == {"may/crown.jpg", ""}  # the others were indexed without a word
    run("preference", "--value", "power", "-k", 4, "--out", file)
    saved = file.read_text().splitlines(keepends=True)
    file.write_text("".join(saved[:4]))
    assert run("preference", "--resume", file).exit_code == 0
    assert [row["judgement"]["source"] for row in lines(file.read_text()) if row["event"] == "judgement"] == [
        row["judgement"]["source"] for row in lines("".join(saved)) if row["event"] == "judgement"
    ]


def test_what_cannot_be_resumed_is_wrong_usage(fake: FakeGateway, tmp_path: Path) -> None:
    complete = tmp_path / "complete.jsonl"
    run("preference", "--value", "power", "-k", 1, "--out", complete)
    assert run("preference", "--resume", tmp_path / "gone").exit_code == 2
    assert run("preference", "--resume", complete, "--value", "power").exit_code == 2
    # A record is never overwritten.
    again = run("preference", "--value", "power", "--out", complete)
    assert (again.exit_code, "already exists: continue with --resume" in again.stderr) == (1, True)


def test_an_assessment_that_fails_says_how_to_go_on(fake: FakeGateway, tmp_path: Path) -> None:
    fake.retrieval._pictures.clear()
    result = run("preference", "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "no images are indexed" in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_interest_takes_a_persona_from_a_file(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    persona = tmp_path / "persona.txt"
    persona.write_text("# a cook\nI cook.\n\nI like knives.\n")
    result = run("interest", folder / "0.jpg", folder / "1.jpg", "--persona", persona, "--trait", "I sing.")
    assert result.exit_code == 0, result.stderr
    assert "stay" in result.stdout
    assert "stays with 100% of 2" in result.stdout
    request: Any = fake.received[-1].request
    assert list(request.traits) == ["I cook.", "I like knives.", "I sing."]


def test_a_persona_of_the_demo_gives_its_traits_alone(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    persona = tmp_path / "cook.toml"
    persona.write_text('id = "cook"  # no trait\ntraits = ["I cook.", "I like knives."]\n[weights]\npower = 1\n')
    result = run("interest", folder / "0.jpg", "--persona", persona)
    assert result.exit_code == 0, result.stderr
    request: Any = fake.received[-1].request
    assert list(request.traits) == ["I cook.", "I like knives."]


@pytest.mark.parametrize("text", ["I cook.\n", "", "traits = []", "traits = [1]", 'traits = "I cook."'])
def test_a_persona_without_traits_says_how_to_write_them(folder: Path, tmp_path: Path, text: str) -> None:
    persona = tmp_path / "cook.toml"
    persona.write_text(text)
    result = run("interest", folder / "0.jpg", "--persona", persona)
    assert result.exit_code == 2
    assert "has no traits: write them as TOML" in " ".join(result.stderr.replace("│", " ").split())


def test_interest_takes_a_folder(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    records = lines(run("interest", folder, "--trait", "I cook.", "--json").stdout)
    assert [Path(record["path"]).name for record in records] == ["0.jpg", "1.jpg", "2.jpg"]
    (tmp_path / "empty").mkdir()
    empty = run("interest", tmp_path / "empty", "--trait", "I cook.")
    assert (empty.exit_code, "there is no JPEG, PNG or WebP image" in empty.stderr) == (1, True)


def test_a_questionnaire_is_shown_item_by_item(fake: FakeGateway, folder: Path) -> None:
    result = run("interest", folder / "0.jpg", "--trait", "I cook.", "--strategy", "isq")
    assert re.search(r"S% +VA +CS +EE +VE +PA +AD", result.stdout)
    assert len(next(line for line in result.stdout.splitlines() if "0.jpg" in line).split()) == 9
    assert "VA visual attractiveness" in result.stdout


def test_answers_are_sampled_as_the_options_say(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    sampled = ("--temperature", 0.7, "--max-tokens", 300)
    (record,) = lines(run("interest", folder / "0.jpg", "--trait", "I cook.", "--json", *sampled).stdout)
    assert record["sampling"] == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 300}
    saved = tmp_path / "saved.jsonl"
    run("preference", "--value", "power", "-k", 1, "--out", saved, *sampled)
    written = lines(saved.read_text())
    part = tmp_path / "part.jsonl"
    part.write_text("".join(json.dumps(row) + "\n" for row in written[:4]))
    assert written[1]["plan"]["sampling"] == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 300}
    assert run("preference", "--resume", part, "--temperature", 0).exit_code == 2
    assert run("preference", "--resume", part, "--json").exit_code == 0
    request: Any = fake.received[-1].request
    assert (request.temperature, request.max_tokens) == (0.7, 300)


def test_values_that_share_their_pictures_are_told(fake: FakeGateway) -> None:
    alike = run("preference", "-k", 1)
    assert "stand for several values" in alike.stderr
    assert "stand for" not in run("preference", "--value", "power", "--keyword", "crown", "-k", 1).stderr


def test_a_record_of_interest_says_what_produced_it(fake: FakeGateway, folder: Path) -> None:
    paths = [folder / f"{seed}.jpg" for seed in range(3)] * 6  # more than one call takes
    records = lines(run("interest", *paths, "--trait", "I cook.", "--json").stdout)
    assert [record["path"] for record in records] == list(map(str, paths))
    calls = [received.request for received in fake.received]
    assert len(calls) == 2
    assert {record["request_id"] for record in records[:16]} != {records[-1]["request_id"]}
    for record in records:
        assert {"judgements", "stay_share", "undecided"}.isdisjoint(record)  # which are of a call's pictures
        assert record["model"]["name"]
        assert record["prompt"]["text"]
        assert record["sampling"] == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 100}
        assert record["axia_version"]
    seeded = lines(run("interest", paths[0], "--trait", "I cook.", "--seed", 7, "--json").stdout)
    assert [record["seed"] for record in seeded] == [7]


def test_interest_reports_pictures_that_fail(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    result = run("interest", folder / "0.jpg", bad, "--trait", "I cook.", "--strategy", "isq", "--json")
    assert result.exit_code == 1
    assert [record["judgement"]["error"] is None for record in lines(result.stdout)] == [True, False]
    assert run("interest", folder / "0.jpg").exit_code == 2
    assert run("interest", tmp_path / "gone.jpg", "--trait", "I cook.").exit_code == 1


def test_interest_has_a_row_for_each_picture_whatever_fails(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    result = run("interest", gone, folder, "--trait", "I cook.", "--json")
    records = lines(result.stdout)
    assert (result.exit_code, records[0]["path"], len(records)) == (1, str(gone), 4)
    assert records[0]["error"]["reason"] == "FILE_NOT_FOUND"
    assert [record["judgement"]["error"] for record in records[1:]] == [None] * 3
    fake.fail("UNAVAILABLE", "the model is away", reason="MODEL_GONE")
    records = lines(run("interest", folder, "--trait", "I cook.", "--json").stdout)
    assert [record["error"]["reason"] for record in records] == ["MODEL_GONE"] * 3


def test_a_folder_is_watched_in_name_order_and_nothing_is_superseded(fake: FakeGateway, folder: Path) -> None:
    result = run("watch", folder, "--once", "--json", "-n", 3)
    assert result.exit_code == 0, result.stderr
    events = lines(result.stdout)
    assert [Path(event["detection"]["image"]["path"]).name for event in events] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "the stove" in (agreed := run("watch", folder, "--once", "-n", 3).stdout)
    assert "(agreement 0.67, " in agreed
    assert "agreement" not in run("watch", folder, "--once", "-n", 1).stdout  # one completion always agrees with itself
    (folder / "3.jpg").write_bytes(b"no image")
    failed = run("watch", folder, "--once")
    assert (failed.exit_code, len(failed.stdout.splitlines())) == (1, 3)


def test_a_live_source_lets_newer_frames_take_over(fake: FakeGateway, folder: Path) -> None:
    fake.latency = 0.3
    events = lines(run("watch", folder, "--once", "--live", "--fps", 60, "--json").stdout)
    assert sorted(event["frame_id"] for event in events) == [0, 1, 2]
    assert events[-1]["event"] == "detection"


def test_a_video_file_is_watched_at_the_rate(fake: FakeGateway, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    video = tmp_path / "kitchen.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    result = run("watch", video, "--fps", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert [event["video_s"] for event in lines(result.stdout)] == [0.0, 0.5, 1.0, 1.5]
    assert [line.split()[1] for line in run("watch", video, "--fps", 2).stdout.splitlines()] == [
        "0:00.0", "0:00.5", "0:01.0", "0:01.5",
    ]  # fmt: skip


def test_sources_that_cannot_be_watched(fake: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = run("watch", tmp_path / "gone.mp4")
    assert (gone.exit_code, "there is nothing at" in gone.stderr) == (2, True)
    assert "no JPEG, PNG or WebP" in run("watch", tmp_path, "--once").stderr
    (tmp_path / "x.mp4").write_bytes(b"no video")
    (tmp_path / "x.jpg").write_bytes(b"no image")  # OpenCV opens it, and finds no frame
    assert "that can be read: give a video file" in (nothing := run("watch", tmp_path / "x.jpg")).stderr
    assert nothing.exit_code == 1
    monkeypatch.setitem(sys.modules, "cv2", None)
    missing = run("watch", tmp_path / "x.mp4")
    assert (missing.exit_code, "pip install opencv-python-headless" in missing.stderr) == (1, True)


def test_a_replay_compares_completion_by_completion(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    detected = run("detect", folder / "0.jpg", folder / "1.jpg", "--json", "--seed", 4, "--system-text", "Be brief.")
    record.write_text(detected.stdout)
    result = run("replay", record)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("3 of 3 are the same") == 2
    asked: Any = fake.received[-1].request
    assert (asked.seed, list(asked.temperatures), asked.system_prompt_text) == (4, [1, 1, 1], "Be brief.")
    record.write_text(detected.stdout.replace("a knife", "a fork"))
    result = run("replay", record)
    assert result.exit_code == 1
    assert "2 of 3 are the same" in result.stdout
    differences = lines(run("replay", record, "--json").stdout)[0]["differences"]
    assert differences == [{"index": 1, "before": "a fork", "after": "a knife"}]


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("literal/1", inference_pb2.SENTENCE_RULE_LITERAL),
        ("answer/1", inference_pb2.SENTENCE_RULE_ANSWER),
        ("", inference_pb2.SENTENCE_RULE_LITERAL),  # as an earlier release saved it
    ],
)
def test_a_replay_keeps_the_rule_of_first_sentences(
    fake: FakeGateway, folder: Path, tmp_path: Path, told: str, asked: int
) -> None:
    record = tmp_path / "record.json"
    saved = lines(run("detect", folder / "0.jpg", "--seed", 5, "--sentence-rule", "literal", "--json").stdout)[0]
    assert saved["provenance"]["sentence_rule"] == "literal/1"
    saved["provenance"]["sentence_rule"] = told
    record.write_text(json.dumps(saved))
    result = run("replay", record)
    assert result.exit_code == 0, result.stderr
    assert fake.received[-1].request.sentence_rule == asked  # type: ignore[attr-defined]
    assert ("sentence rule" in result.stdout) == (not told)


def test_a_replay_reads_records_with_any_text(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with FakeGateway(answers={"needs attention": ["the\u2028stove\u0085"]}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        record.write_bytes(run("detect", folder / "0.jpg", folder / "1.jpg", "--json").stdout_bytes)
        result = run("replay", record)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("3 of 3 are the same") == 2


def test_a_replay_reads_a_record_of_a_later_release(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    saved = lines(run("detect", folder / "0.jpg", "--seed", 5, "--truth", "a knife", "--json").stdout)[0]
    for part in (saved, saved["provenance"], saved["provenance"]["ground_truth"]):
        part["added_later"] = 1
    record.write_text(json.dumps(saved))
    result = run("replay", record)
    assert result.exit_code == 0, result.stderr
    assert fake.received[-1].request.ground_truth.element == "a knife"


def test_a_replay_is_judged_by_the_same_truth(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    truth = ("--truth", "a knife", "--accept", "a blade", "--judge", "semantic")
    detected = run("detect", folder / "0.jpg", "--json", *truth).stdout
    record.write_text(detected)
    assert lines(detected)[0]["provenance"]["ground_truth"] == {
        "element": "a knife", "accept": ["a blade"], "judge": "semantic", "judge_model": "",
        "judge_samples": 1, "judge_structured": False,
    }  # fmt: skip
    result = run("replay", record)
    assert result.exit_code == 0, result.stderr
    assert "  alignment 0.33\n" in result.stdout
    first, second = (request.request.ground_truth for request in fake.received[-2:])
    assert first == second
    same = lines(run("replay", record, "--json").stdout)[0]
    third = pytest.approx(1 / 3)
    assert same["alignment"] == {"same": True, "before": third, "after": third, "completions": []}
    record.write_text(detected.replace('"a knife","accept"', '"the stove","accept"'))
    result = run("replay", record)
    assert result.exit_code == 1
    assert "  alignment 0.33, now 0.67\n  #0 judged ✗, now ✓\n  #1 judged ✓, now ✗\n" in result.stdout
    assert "3 of 3 are the same" in result.stdout
    told = lines(run("replay", record, "--json").stdout)[0]
    assert (told["same"], told["differences"], told["alignment"]["same"]) == (False, [], False)
    assert told["alignment"]["completions"][0] == {"index": 0, "before": 0, "after": 1}


def test_a_replay_without_a_truth_compares_no_alignment(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(run("detect", folder / "0.jpg", "--json").stdout)
    assert "alignment" not in run("replay", record).stdout
    assert lines(run("replay", record, "--json").stdout)[0]["alignment"] is None
    told = json.loads(run("detect", folder / "0.jpg", "--json", "--truth", "a knife").stdout)
    del told["provenance"]["ground_truth"]  # as an earlier release saved it
    record.write_text(json.dumps(told))
    result = run("replay", record)
    assert (result.exit_code, "alignment without its ground truth" in result.stderr) == (0, True)
    assert not fake.received[-1].request.HasField("ground_truth")  # type: ignore[attr-defined]


def over_http(detection: dict[str, Any]) -> dict[str, Any]:
    """A saved detection as POST /v1/detect answers it: the contract's JSON, without the file's name."""
    said = {**detection, "timings": {f"{name}_ms": value for name, value in detection["timings_ms"].items()}}
    del said["timings_ms"], said["image"]["path"]
    for completion in said["completions"]:
        completion["finish_reason"] = f"FINISH_REASON_{completion['finish_reason'].upper()}"
        completion["seed"] = str(completion["seed"])
    said["provenance"]["seed"] = str(said["provenance"]["seed"])
    said["consensus"] = said["consensus"] or ""
    for name in ("abstain_reason", "alignment", "readings", "values", "groups"):
        del said[name]
    for name in ("ground_truth", "system_prompt"):
        del said["provenance"][name]
    return {**said, "added_later": 1}


def test_a_replay_takes_records_made_over_http(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    detected = lines(run("detect", folder, "--json", "--seed", 4).stdout)
    answers = [over_http(detection) for detection in detected]
    record.write_text(json.dumps(answers[0], indent=2))
    assert "give it with --picture" in run("replay", record).stderr
    assert "no image at" in " ".join(run("replay", record, "--picture", tmp_path / "gone.jpg").stderr.split())
    result = run("replay", record, "--picture", folder / "0.jpg")
    assert result.exit_code == 0, result.stderr
    asked: Any = fake.received[-1].request
    assert (asked.seed, list(asked.temperatures)) == (4, [1, 1, 1])
    record.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    result = run("replay", record, "--picture", folder)  # found there by their hashes
    assert (result.exit_code, result.stdout.count("3 of 3 are the same")) == (0, 3)
    assert "is not the image of the record" in run("replay", record, "--picture", folder / "0.jpg").stderr
    events = [("completion", answers[0]["completions"][0]), ("summary", answers[0])]
    record.write_text(
        ": a comment\n\n" + "".join(f"event: {name}\ndata: {json.dumps(event)}\n\n" for name, event in events)
    )
    assert run("replay", record, "--picture", folder).exit_code == 0
    record.write_text('{"status": 400, "title": "Bad Request"}')
    assert run("replay", record, "--picture", folder).exit_code == 2


def test_a_replay_needs_the_same_picture(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(run("detect", folder / "0.jpg", "--json").stdout)
    moved = (folder / "0.jpg").rename(tmp_path / "moved.jpg")
    assert "give it with --picture" in run("replay", record).stderr
    assert run("replay", record, "--picture", moved).exit_code == 0
    assert "is not the image of the record" in run("replay", record, "--picture", folder / "1.jpg").stderr
    assert run("replay", folder / "1.jpg").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [("preference", "--value", "power", "-k", "1"), ("watch", "{folder}", "--once"), ("detect", "{folder}"),
     ("interest", "{folder}", "--trait", "I like art.")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_an_output_that_nobody_reads_any_more_ends_a_command_without_a_word(
    fake: FakeGateway, folder: Path, command: Sequence[str]
) -> None:
    arguments = [part.format(folder=folder) for part in command]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", "from axia.cli import main; main()", *arguments, "--json"],
            check=False, stdout=writing, stderr=subprocess.PIPE, timeout=30,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr.decode()) == (1, "")


def test_structured_answers_are_asked_for_and_told(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    result = run("preference", "--value", "power", "--structured", "--out", saved)
    assert result.exit_code == 0, result.stderr
    assert fake.received[-1].request.structured
    request, plan, *_ = lines(saved.read_text())
    assert (request["request"]["structured"], plan["plan"]["structured"]) == (True, True)
    assert run("preference", "--resume", saved, "--structured").exit_code == 2
    result = run("interest", folder / "0.jpg", "--trait", "I cook.", "--structured", "--json")
    assert fake.received[-1].request.structured
    assert lines(result.stdout)[0]["structured"] is True


def test_descriptions_come_from_another_model_or_from_a_file(fake: FakeGateway, tmp_path: Path) -> None:
    file, saved = tmp_path / "descriptions.json", tmp_path / "saved.jsonl"
    file.write_text('{"some-id": "A crown."}')
    options = ("--value", "power", "--modality", "description", "--describer", "vlm", "--descriptions", file)
    done = run("preference", *options, "--out", saved)
    assert done.exit_code == 0
    assert "0 of 30 images have a description" in " ".join(done.stderr.split())
    asked = fake.received[-1].request
    assert (asked.describer, asked.descriptions[0].text) == ("vlm", "A crown.")
    whole = saved.read_text().splitlines()
    saved.write_text("".join(row + "\n" for row in whole[:5]))
    assert run("preference", "--resume", saved).exit_code == 0  # with the descriptions that it saved
    assert fake.received[-1].request.descriptions[0].text == "A crown."
    for content in ("[]", "no JSON", '{"a": 1}'):
        file.write_text(content)
        assert run("preference", *options).exit_code == 2


def test_a_judge_model_is_asked_as_the_options_say(fake: FakeGateway, folder: Path) -> None:
    asked = ("--truth", "a knife", "--judge", "model", "--judge-model", "fake-vlm", "--judge-samples", "5")
    result = run("detect", folder / "0.jpg", *asked, "--judge-structured")
    assert result.exit_code == 0, result.stderr
    truth = fake.received[-1].request.ground_truth
    assert (truth.judge_model, truth.judge_samples, truth.judge_structured) == ("fake-vlm", 5, True)
    for judge in ((), ("--judge", "semantic")):
        result = run("detect", folder / "0.jpg", "--truth", "a knife", *judge, "--judge-samples", "5")
        assert result.exit_code == 2
        assert "--judge-samples goes with --judge model" in " ".join(result.stderr.split())


def test_only_assessments_with_answers_are_compared(fake: FakeGateway, tmp_path: Path) -> None:
    saved, empty = tmp_path / "saved.jsonl", tmp_path / "empty.jsonl"
    assert run("preference", "--value", "power", "--out", saved).exit_code == 0
    empty.write_text("".join(row + "\n" for row in saved.read_text().splitlines()[:2]))
    result = run("compare", saved, empty)
    assert result.exit_code == 2
    assert "has no answers to compare" in " ".join(result.stderr.split())
    assert run("compare", saved, tmp_path / "none.jsonl").exit_code == 2


def test_a_preference_asks_about_pictures_of_a_platform_and_threshold(fake: FakeGateway, tmp_path: Path) -> None:
    saved, part = tmp_path / "saved.jsonl", tmp_path / "part.jsonl"
    options = ("--platform", "tiktok", "--platform", "youtube", "--score-threshold", 0.2, "--confidence-level", 0.9)
    for seed, platform in ((5, "tiktok"), (6, "instagram")):
        with Client() as client:
            metadata = ImageMetadata(platform=platform)
            (stored,) = client.index_images([(pictures.photograph(seed), metadata)])
            assert isinstance(stored, Indexed)
            if platform == "tiktok":
                wanted = stored.id
    result = run("preference", "--value", "power", "-k", 3, "--out", saved, *options)
    assert result.exit_code == 0, result.stderr
    assert "90%" in result.stdout
    written = lines(saved.read_text())
    planned = written[1]["plan"]["planned"]
    assert planned
    assert {picture["image_id"] for picture in planned} == {wanted}
    assert all(picture["score"] >= 0.2 for picture in planned)
    part.write_text("".join(json.dumps(row) + "\n" for row in written[:3]))
    assert run("preference", "--resume", part, "--platform", "tiktok").exit_code == 2
    result = run("preference", "--resume", part, "--json")
    assert result.exit_code == 0, result.stderr
    request: Any = fake.received[-1].request
    assert (list(request.filter.platforms), request.score_threshold) == (["tiktok", "youtube"], 0.2)
    assert request.confidence_level == 0.9


def test_a_resumed_preference_asks_about_its_own_pictures_though_others_were_indexed(
    fake: FakeGateway, tmp_path: Path
) -> None:
    saved, part = tmp_path / "saved.jsonl", tmp_path / "part.jsonl"
    run("preference", "--keyword", "crown", "-k", 3, "--out", saved)
    rows = saved.read_text().splitlines(keepends=True)
    part.write_text("".join(rows[:3]))
    planned = json.loads(rows[1])["plan"]["planned"]
    with Client() as client:
        nearest = (pictures.photograph(9), ImageMetadata(source="crown"))  # the fake's search finds it first
        list(client.index_images([nearest]))
        client.delete_images([planned[-1]["image_id"]])
        assert client.search_value("power", keywords=["crown"]).keywords[0].hits[0].metadata.source == "crown"
    result = run("preference", "--resume", part, "--json")
    assert result.exit_code == 0, result.stderr
    judged = [event["judgement"] for event in lines(result.stdout) if event["event"] == "judgement"]
    assert [picture["image_id"] for picture in judged] == [picture["image_id"] for picture in planned[1:]]
