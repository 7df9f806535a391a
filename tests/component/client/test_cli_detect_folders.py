"""`axia detect` on whole folders against the fake gateway: what is taken, judged, saved and gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.client import Client
from axia.results import Detection
from axia.testing import FakeGateway
from tests.support import pictures

ROOT = Path(__file__).parents[3]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def words(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(answers={"needs attention": ["the stove", "a knife", "the stove"]}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures in three folders, and what is not taken."""
    folder = tmp_path / "home"
    (folder / "upstairs" / "attic").mkdir(parents=True)
    (folder / ".thumbnails").mkdir()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(pictures.photograph(number))
    (folder / "upstairs" / "4.jpg").write_bytes(pictures.photograph(4))
    (folder / "upstairs" / "attic" / "5.jpg").write_bytes(pictures.photograph(5))
    for name in (".thumbnails/0.jpg", "._0.jpg", "notes.txt", "moving.gif", "upstairs/old.BMP"):
        (folder / name).write_bytes(b"not taken")
    return folder


def asked(fake: FakeGateway) -> int:
    return sum(call.method == "DetectValues" for call in fake.received)


def test_folders_below_are_searched_and_pictures_of_other_formats_named(fake: FakeGateway, folder: Path) -> None:
    result = run(folder, "--json")
    assert result.exit_code == 0, result.stderr
    found = [os.path.relpath(row["image"]["path"], folder) for row in rows(result.stdout)]
    assert found == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "upstairs/4.jpg", "upstairs/attic/5.jpg"]
    assert result.stderr == (
        f"axia: {folder}: 2 images are skipped: moving.gif, upstairs/old.BMP. Save them as JPEG, PNG or WebP\n"
    )
    interest = CliRunner().invoke(app, ["interest", str(folder), "--trait", "I cook.", "--json"])
    assert (len(rows(interest.stdout)), "2 images are skipped" in interest.stderr) == (6, True)


def test_a_stream_has_a_row_for_a_picture_that_fails_too(fake: FakeGateway, folder: Path) -> None:
    events = rows(run(folder / "0.jpg", folder / "gone.jpg", "--json", "--stream", "-n", 1).stdout)
    assert [event["event"] for event in events] == ["completion", "summary", "error"]
    assert events[2]["path"] == str(folder / "gone.jpg")
    assert (events[2]["error"]["code"], events[2]["error"]["reason"]) == ("NOT_FOUND", "FILE_NOT_FOUND")


def test_the_mean_stands_at_the_end_with_what_was_judged_and_what_was_not(fake: FakeGateway, folder: Path) -> None:
    truths = folder / "truths.jsonl"
    known = [{"file": f"{number}.jpg", "element": "a knife"} for number in range(3)]
    truths.write_text("\n".join(map(json.dumps, [*known, {"file": "3.jpg", "element": "the stove"}])))
    (folder / "3.jpg").write_bytes(b"no image")
    result = run(folder, "--truths", truths, "--json")
    *found, mean = rows(result.stdout)
    assert len(found) == 6
    assert mean["event"] == "mean"
    assert mean["alignment"] == pytest.approx(1 / 3)
    assert (mean["judged"], mean["unjudged"], mean["pictures_judged"], mean["pictures_unjudged"]) == (9, 6, 3, 3)
    assert mean["interval"]["low"] < 1 / 3 < mean["interval"]["high"]
    assert (mean["interval"]["level"], "clustered by picture" in mean["interval"]["method"]) == (0.95, True)
    shown = "9 answers on 3 images judged, 6 answers and 3 images not judged"
    for further in ((), ("--stream",)):
        figures, counts = run(folder, "--truths", truths, *further).stdout.splitlines()[-2:]
        assert figures.startswith("mean alignment 0.33 [0.")
        assert counts == shown
    assert "mean" not in run(folder / "0.jpg", "--truth", "a knife").stdout  # one picture is no mean
    assert rows(run(folder, "--truth", "a knife", "--json").stdout)[-1]["judged"] == 15
    assert rows(run(folder, "--json").stdout)[-1].get("event") is None


def test_a_manifest_with_further_fields_and_rows_serves_as_truths(fake: FakeGateway, folder: Path) -> None:
    manifest = folder / "manifest.jsonl"
    given: list[dict[str, Any]] = [
        {"file": "0.jpg", "element": "a knife", "accept": [], "sha256": "0", "width": 4, "kind": "scene"},
        {"file": "1.jpg", "kind": "frame"},
        {"file": "2.jpg", "element": "", "accept": []},
        *({"file": f"gone-{number}.jpg", "element": "a cat", "acept": ["x"]} for number in range(8)),
    ]
    manifest.write_text("\n".join(map(json.dumps, given)))
    result = run(folder, "--truths", manifest, "--json")
    assert result.exit_code == 0, result.stderr
    assert rows(result.stdout)[-1]["judged"] == 3
    assert f"{manifest}, line 4: the field acept is ignored: did you mean accept?" in result.stderr
    assert "2 rows have no element and are left out, the first on line 2" in result.stderr
    named = "gone-0.jpg, gone-1.jpg, gone-2.jpg, gone-3.jpg, gone-4.jpg and 3 more"
    assert f"8 rows of {manifest} match no image that was given: {named}" in result.stderr
    assert "5.jpg have no row among the truths: not judged" in result.stderr


def test_the_repositorys_own_manifest_serves_as_truths(fake: FakeGateway) -> None:
    gallery = ROOT / "demo" / "gallery"
    scenes = sorted(gallery.rglob("study-0[1-3]*"))
    result = run(*scenes, "--truths", next(gallery.rglob("manifest.jsonl")), "--json", "-n", 1)
    assert result.exit_code == 0, result.stderr
    assert rows(result.stdout)[-1]["pictures_judged"] == 3


def test_a_row_is_shown_for_each_picture_with_values_kind_and_legend(
    fake: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a-name-as-long-as-those-of-cameras-are.jpg"
    (folder / "0.jpg").rename(folder / name)
    whole = Client.detect

    def with_values(client: Client, image: str, **options: Any) -> Detection:
        weights = {"power": 0.01, "benevolence": 0.2, "security": 0.6}
        return whole(client, image, **options).model_copy(update={"values": weights})

    monkeypatch.setattr(Client, "detect", with_values)
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        table = run(folder / name, folder / "1.jpg", "--truth", "a knife").stdout
        assert max(map(len, table.splitlines())) <= columns
        (line,) = [line for line in table.splitlines() if name in line]
        assert line.split()[:3] == [name, "0.67", "0.33"]
        assert "kind of answer" in table
        assert "values: security 0.60, benevolence 0.20\n" in re.sub(" +\n", "\n", table)
        assert any(line.split() == ["✓", "a", "knife", "descriptive"] for line in table.splitlines())
        assert "✓ names what annotators named, ✗ does not, ? could not be judged" in table


def test_several_pictures_are_asked_about_at_a_time_and_shown_in_order(fake: FakeGateway, folder: Path) -> None:
    fake.latency = 0.4
    begun = time.monotonic()
    found = rows(run(folder, "--json", "-n", 1, "--parallel", 6).stdout)
    together = time.monotonic() - begun
    assert [Path(row["image"]["path"]).name for row in found] == [f"{number}.jpg" for number in range(6)]
    assert together < 6 * 0.4
    begun = time.monotonic()
    run(folder, "--json", "-n", 1, "--parallel", 1)
    assert time.monotonic() - begun >= 6 * 0.4


def test_a_file_gets_each_picture_and_a_run_goes_on_where_it_broke_off(fake: FakeGateway, folder: Path) -> None:
    file = folder.parent / "saved.jsonl"
    (folder / "2.jpg").write_bytes(b"no image")
    first = run(folder, "--out", file, "-n", 2, "--seed", 5)
    assert first.exit_code == 1
    assert f"to process failed and missing images again, use --resume {file}" in first.stderr
    request, *saved = rows(file.read_text())
    assert (request["event"], request["request"]["n"], request["request"]["seed"]) == ("request", 2, 5)
    assert len(saved) == 6
    assert sum("error" in row for row in saved) == 1
    (folder / "2.jpg").write_bytes(pictures.photograph(2))
    (folder / "3.jpg").write_bytes(pictures.photograph(9))  # another picture now
    file.write_text(file.read_text() + '{"image": {"pa')  # and a run that was killed while it wrote
    before = asked(fake)
    result = run("--resume", file, "--json")
    assert result.exit_code == 0, result.stderr
    assert asked(fake) - before == 2
    assert [len(row["completions"]) for row in rows(result.stdout)] == [2] * 6
    request, *saved = rows(file.read_text())
    assert sorted(Path(row["image"]["path"]).name for row in saved) == [f"{number}.jpg" for number in range(6)]
    assert run("--resume", file).exit_code == 0
    assert asked(fake) - before == 2  # nothing is left


def test_an_interrupted_run_leaves_what_was_done_in_its_file(fake: FakeGateway, folder: Path) -> None:
    fake.latency = 0.3
    file = folder.parent / "saved.jsonl"
    command = [sys.executable, "-m", "axia", "detect", str(folder), "--out", str(file), "--parallel", "1", "-n", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 180  # a busy machine may take long to import what the command needs
    while not (file.exists() and len(file.read_text().splitlines()) > 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"interrupted: continue with --resume {file}" in told
    assert "Traceback" not in told
    assert "agreement" in shown  # the table of what was done
    done = len(rows(file.read_text())) - 1
    assert 2 <= done < 6
    before = asked(fake)
    assert run("--resume", file).exit_code == 0
    assert asked(fake) - before == 6 - done


@pytest.mark.parametrize(
    ("further", "advice"),
    [
        (("-n", 3), "--resume takes images and options from the file"),
        (("{folder}",), "give only --json, --stream, --parallel or --address"),
    ],
)
def test_what_cannot_stand_beside_resume_is_wrong_usage(
    fake: FakeGateway, folder: Path, further: tuple[object, ...], advice: str
) -> None:
    file = folder.parent / "saved.jsonl"
    run(folder, "--out", file)
    result = run("--resume", file, *(str(argument).format(folder=folder) for argument in further))
    assert (result.exit_code, advice in words(result.stderr)) == (2, True)


def test_files_that_cannot_be_written_or_gone_on_with_are_told(
    fake: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.parent / "saved.jsonl"
    monkeypatch.chdir(folder.parent)
    assert run("home", "--out", file).exit_code == 0
    again = run("home", "--out", file)
    assert (again.exit_code, f"already exists: continue with --resume {file}" in again.stderr) == (1, True)
    assert run("home", "--out", folder / "gone" / "x").exit_code == 1
    monkeypatch.chdir(folder)
    elsewhere = run("--resume", file)
    assert (elsewhere.exit_code, f"wasstartedin{folder.parent}" in words(elsewhere.stderr).replace(" ", "")) == (
        2,
        True,
    )
    for text in ("", "{}", '{"image": {}}', "no json"):
        (folder / "x").write_text(text)
        wrong = run("--resume", folder / "x")
        assert (wrong.exit_code, "wrote" in wrong.stderr) == (2, True)


def test_a_saved_file_is_read_by_replay_and_by_judges(fake: FakeGateway, folder: Path) -> None:
    file = folder.parent / "saved.jsonl"
    run(folder, folder / "gone.jpg", "--out", file, "--truth", "a knife")
    replayed = CliRunner().invoke(app, ["replay", str(file)])
    assert replayed.exit_code == 0, replayed.stderr
    assert replayed.stdout.count("3 of 3 are the same") == 6
    judged = CliRunner().invoke(app, ["judges", "table", str(file), "--json"])
    assert judged.exit_code == 0, judged.stderr
    assert {row["answers"] for row in rows(judged.stdout)} == {18}
