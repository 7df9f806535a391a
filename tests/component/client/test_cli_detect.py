"""`axia detect` against a real server."""

import itertools
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from PIL import Image
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.cli._detections.wording import LEGEND
from axia.testing import FakeGateway
from axia.v1 import inference_pb2, scoring_pb2

KEYS = [
    "image",
    "model",
    "completions",
    "groups",
    "consensus",
    "agreement",
    "entropy",
    "abstain",
    "partial",
    "completions_requested",
    "completions_done",
    "provenance",
    "timings_ms",
    "abstain_reason",
    "readings",
    "values",
    "alignment",
    "degraded",
    "missing",
]
COMPLETION_KEYS = [
    *("index", "first_sentence", "text", "seed", "temperature", "finish_reason", "tokens", "omitted", "reasoning"),
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def requests(fake: FakeGateway) -> list[Any]:
    return [call.request for call in fake.received]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three pictures, and things that are none."""
    folder = tmp_path / "home"
    (folder / "deeper.png").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", "c.webp", "._a.jpg"):
        Image.new("RGB", (4, 3)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_table_has_completions_consensus_agreement_and_time(gateway: Any, picture: Path) -> None:
    result = run(picture, "--model", "echo", "--prompt-text", "A pot boils over.", "-n", 2)
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    for word in ("image", "completions", "consensus", "agreement", "ms", "A pot", "1.00", "15"):
        assert word in words
    assert result.stderr == ""


def test_the_next_line_of_a_long_completion_does_not_look_like_another(
    gateway: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "34")
    result = run(picture, "--prompt-text", "A pot boils over in the kitchen.", "-n", 2)
    below = itertools.dropwhile(lambda line: "kitchen.jpg" not in line, result.stdout.splitlines())
    body = list(below)[1:]
    columns = [len(line) - len(line.lstrip()) for line in body]
    begins = [column for column, line in zip(columns, body, strict=True) if re.search("[·=]", line)]
    assert len(begins) == 3
    assert "· A pot" in result.stdout
    assert len(body) > 3
    assert "= —  (abstains)" in body[-1]
    further = [column for column, line in zip(columns, body, strict=True) if not re.search("[·=]", line)]
    assert min(further) > max(begins[1:])


def test_a_table_fits_80_columns_where_there_is_no_terminal(
    gateway: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    result = run(folder, "--prompt-text", "a word or two that go on and on " * 3)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "abstains" in result.stdout


def test_what_a_model_says_cannot_steer_the_terminal(gateway: Any, picture: Path) -> None:
    for options in ([], ["--stream"]):
        result = run(picture, "--model", "echo", "--prompt-text", "[bold]x[/bold]\x1b[31m\x07 :smile:", *options)
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout
        assert "[bold]x[/bold]" in result.stdout


def test_json_is_one_object_a_picture_and_nothing_else(gateway: Any, folder: Path) -> None:
    result = run(folder, "--json", "--seed", 5)
    assert result.exit_code == 0
    assert result.stderr == ""
    detections = lines(result)
    assert [Path(detection["image"]["path"]).name for detection in detections] == ["a.jpg", "b.PNG", "c.webp"]
    for detection in detections:
        assert list(detection) == KEYS
        assert list(detection["image"])[:5] == ["path", "sha256", "format", "width", "height"]
        assert [list(completion) for completion in detection["completions"]] == [COMPLETION_KEYS] * 3
        assert [completion["seed"] for completion in detection["completions"]] == [5, 6, 7]
        assert detection["consensus"] is None
        assert detection["timings_ms"]["total"] == 15


def test_json_with_stream_tells_events_apart(gateway: Any, picture: Path) -> None:
    events = lines(run(picture, "--json", "--stream", "-n", 2))
    assert [event["event"] for event in events] == ["completion", "completion", "summary"]
    assert {event["path"] for event in events} == {str(picture)}
    assert [event["completion"]["index"] for event in events[:2]] == [1, 0]
    assert list(events[2]["detection"]) == KEYS


def test_stream_prints_each_completion_and_a_summary(gateway: Any, picture: Path) -> None:
    result = run(picture, "--stream", "-n", 2, "-t", 0.5)
    first, second, summary = result.stdout.splitlines()
    assert "detect/baseline 1  (#1 t=0.5" in first
    assert "detect/baseline 0  (#0 t=0.5" in second
    assert "abstains" in summary
    assert "agreement 0.50, 15 ms" in summary


def test_options_reach_the_server(gateway: Any, picture: Path) -> None:
    # fmt: off
    run(picture, "-n", 2, "-t", 0.25, "-t", 0.75, "--seed", 7, "--model", "echo", "--prompt", "detect/health",
        "--system", "system/terse", "--full-text", "--sentence-rule", "literal",
        "--max-tokens", 9, "--top-p", 0.5, "--abstain-threshold", 0.75,
        "--timeout", 20)
    # fmt: on
    request = gateway.requests[0]
    assert (request.n, list(request.temperatures), request.seed) == (2, [0.25, 0.75], 7)
    assert (request.prompt_id, request.system_prompt_id) == ("detect/health", "system/terse")
    assert (request.model, request.full_text, request.max_tokens) == ("echo", True, 9)
    assert (request.top_p, request.abstain_threshold) == (0.5, 0.75)
    assert request.sentence_rule == inference_pb2.SENTENCE_RULE_LITERAL
    assert gateway.seconds_left[0] < 21


def test_one_temperature_is_for_all_completions(fake: FakeGateway, picture: Path) -> None:
    run(picture, "-t", 0)
    request: Any = fake.received[0].request
    assert request.HasField("temperature")
    assert not request.temperatures


def test_a_bad_picture_among_good_ones_is_reported_and_the_others_go_on(gateway: Any, folder: Path) -> None:
    (folder / "b.PNG").write_bytes(b"no image")
    result = run(folder, folder / "gone.jpg", "--json")
    assert result.exit_code == 1
    rows = lines(result)
    assert [Path(row["image"]["path"]).name for row in rows] == ["a.jpg", "b.PNG", "c.webp", "gone.jpg"]
    assert [row.get("error", {}).get("reason") for row in rows] == [None, "INVALID_IMAGE", None, "FILE_NOT_FOUND"]
    assert rows[1] == {
        "image": {"path": str(folder / "b.PNG")},
        "error": {"code": "INVALID_ARGUMENT", "reason": "INVALID_IMAGE", "message": "is not an image"},
    }
    assert rows[3]["error"]["code"] == "NOT_FOUND"
    bad, gone = result.stderr.splitlines()
    assert bad.startswith(f"axia: {folder / 'b.PNG'}: is not an image [request ")
    assert "there is no image at" in gone


def test_a_folder_without_pictures_is_a_failure(fake: FakeGateway, tmp_path: Path, picture: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", picture, "--json")
    assert result.exit_code == 1
    assert "there is no JPEG, PNG or WebP image in this folder" in result.stderr
    assert len(lines(result)) == 1


def test_an_error_that_every_picture_would_meet_is_told_once(folder: Path) -> None:
    result = run(folder, "--address", "127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("no server answers at 127.0.0.1:1: start one with `axia up`") == 1
    assert "2 other images failed with the same error" in result.stderr
    rows = lines(run(folder, "--address", "127.0.0.1:1", "--json"))
    assert [row["error"]["code"] for row in rows] == ["UNAVAILABLE"] * 3
    assert [row["error"]["reason"] for row in rows] == ["CONNECTION_FAILED"] * 3


def test_an_overload_is_told_for_each_picture(gateway: Any, fail: Callable[..., None], folder: Path) -> None:
    pause = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2))
    fail("RESOURCE_EXHAUSTED", "the queue is full", "QUEUE_FULL", pause)
    result = run(folder)
    assert result.exit_code == 1
    assert result.stderr.count("the queue is full: try again in 2 s [request as-the-server-has-it]") == 3


def test_a_detection_cut_short_says_how_far_it_came(gateway: Any, picture: Path) -> None:
    assert "2 of 3 done" in " ".join(run(picture, "--model", "late", "--stream").stdout.split())


def test_what_annotators_named_reaches_the_server(fake: FakeGateway, picture: Path) -> None:
    run(picture, "--truth", "a pot", "--accept", "a pan", "--accept", "a kettle", "--judge", "model")
    run(picture, "--truth", "none")
    run(picture)
    told, plain, nothing = requests(fake)
    assert (told.ground_truth.element, list(told.ground_truth.accept)) == ("a pot", ["a pan", "a kettle"])
    assert told.ground_truth.judge == scoring_pb2.JUDGE_MODEL
    assert (plain.ground_truth.element, list(plain.ground_truth.accept)) == ("none", [])
    assert plain.ground_truth.judge == scoring_pb2.JUDGE_SEMANTIC
    assert not nothing.HasField("ground_truth")


def test_a_table_says_which_completions_name_the_ground_truth(
    gateway: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    options = (picture, "--prompt-text", "A pot", "-n", 3)
    table = run(*options, "--truth", "pot 1", "--accept", "pot 2").stdout
    assert re.findall(r"(.) A pot (\d)", table) == [("✗", "0"), ("✓", "1"), ("✓", "2")]
    assert re.findall("alignment|0.67", table) == ["alignment", "0.67"]
    table = run(*options, "--truth", "pot 1", "--judge", "model").stdout
    assert re.findall(r"(.) A pot (\d)", table) == [("?", "0"), ("✓", "1"), ("✗", "2")]
    assert "0.50" in table
    table = run(*options, "--truth", "pot 1", "--judge", "lexical").stdout
    assert re.findall(r"(.) A pot (\d)", table) == [("?", "0"), ("?", "1"), ("?", "2")]
    assert re.search(r"0\.33 +— +15", table)
    assert not re.search("alignment|✓|✗|[?] A pot", run(*options).stdout)


def test_a_streams_summary_says_which_completions_name_the_ground_truth(gateway: Any, picture: Path) -> None:
    options = (picture, "--stream", "--prompt-text", "A pot", "--truth", "pot 1")
    assert "(alignment 0.33: #0 ✗ #1 ✓ #2 ✗, agreement" in run(*options).stdout.splitlines()[-2]
    assert "(alignment 0.50: #0 ✗ #1 ✓, agreement" in run(*options, "--model", "late").stdout.splitlines()[-2]
    assert run(*options).stdout.splitlines()[-1] == LEGEND
    missing = run(*options, "--judge", "lexical").stdout.splitlines()[-2]
    assert "(alignment —: #0 ? #1 ? #2 ?, agreement" in missing
    assert "alignment" not in run(*options[:-2]).stdout


def test_json_has_the_alignment_of_completions_and_picture(gateway: Any, picture: Path) -> None:
    options = (picture, "--json", "--prompt-text", "A pot", "-n", 2, "--truth", "pot 1")
    for detection in (lines(run(*options))[0], lines(run(*options, "--stream"))[-1]["detection"]):
        assert list(detection) == KEYS
        assert [reading["alignment"]["score"] for reading in detection["readings"]] == [0, 1]
        assert detection["alignment"] == 0.5


def rows(path: Path, *given: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in given))
    return path


def test_each_picture_is_judged_by_its_own_truth(fake: FakeGateway, folder: Path) -> None:
    truths = rows(
        folder.parent / "truths.jsonl",
        {"file": "home/a.jpg", "element": "a pot", "accept": ["a\u2028pan"]},
        "",
        {"file": str(folder / "b.PNG"), "element": "none"},
        {"file": "elsewhere.jpg", "element": "a cat"},
    )
    result = run(folder, "--truths", truths, "--judge", "model", "--json")
    assert result.exit_code == 0
    unjudged, unused = result.stderr.splitlines()
    assert unjudged == f"axia: {folder / 'c.webp'} has no row among the truths: not judged"
    assert unused == f"axia: 1 row of {truths} match no image that was given: elsewhere.jpg"
    received = sorted(requests(fake), key=lambda request: request.image.data)  # several are asked about at a time
    sent = sorted((folder / name for name in ("a.jpg", "b.PNG", "c.webp")), key=Path.read_bytes)
    in_order = [received[sent.index(folder / name)] for name in ("a.jpg", "b.PNG", "c.webp")]
    asked = [request.ground_truth for request in in_order]
    assert [(truth.element, list(truth.accept)) for truth in asked] == [
        ("a pot", ["a\u2028pan"]),
        ("none", []),
        ("", []),
    ]
    assert [truth.judge for truth in asked] == [scoring_pb2.JUDGE_MODEL] * 2 + [scoring_pb2.JUDGE_UNSPECIFIED]
    assert [request.HasField("ground_truth") for request in in_order] == [True, True, False]


def test_a_picture_without_a_truth_has_no_marks_beside_others_that_have(
    gateway: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    truths = rows(folder / "truths.jsonl", {"file": "a.jpg", "element": "pot 1"})
    options = (folder / "a.jpg", folder / "c.webp", "--truths", truths, "--prompt-text", "A pot", "-n", 2)
    table = run(*options).stdout
    assert re.findall(r"(.) A pot \d", table) == ["✗", "✓", " ", " "]
    assert re.findall(r"0\.50 +([0-9.—]+) +15", table) == ["0.50", "—"]
    streamed = [line for line in run(*options, "--stream").stdout.splitlines() if " consensus: " in line]
    assert ["alignment" in line for line in streamed] == [True, False]


def test_a_truth_that_is_refused_is_told_with_its_picture(fake: FakeGateway, folder: Path) -> None:
    said = "ground_truth.element: is too long"
    fake.fail("INVALID_ARGUMENT", said, reason="TEXT_TOO_LONG", field="ground_truth.element")
    names = ("a.jpg", "b.PNG", "c.webp")
    truths = rows(folder / "truths.jsonl", *({"file": name, "element": f"what is in {name}"} for name in names))
    assert run(folder, "--truths", truths).stderr.count("is too long") == 3
    assert "2 other images failed with the same error" in run(folder, "--truth", "x").stderr


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ([], "has no rows: give one JSON object per line, with file, element, accept"),
        (['{"file": "a.jpg"'], "line 1: is not JSON"),
        (['[["file", "a.jpg"], ["element", "x"]]'], "line 1: is not a JSON object"),
        (["7"], "line 1: is not a JSON object"),
        ([{"file": "a.jpg"}, {"file": "b.jpg", "element": ""}], "has no row with an element"),
        ([{"element": "x"}], "line 1: file is missing"),
        ([{"file": "a.jpg", "element": 7}], 'line 1: element must be a text, "none" where nothing'),
        ([{"file": ["a.jpg"], "element": "x"}], "line 1: file must be a text"),
        ([{"file": "a\0.jpg", "element": "x"}], "line 1: "),
        ([{"file": "a.jpg", "element": "x", "accept": "y"}], "line 1: accept must be a list of texts"),
        ([{"file": "a.jpg", "element": "x", "accept": ["y", ""]}], "line 1: accept must be a list of texts"),
        ([{"file": "a.jpg", "element": "x", "accept": {}}], "line 1: accept must be a list of texts"),
        (["[" * 100_000], "line 1: is not JSON"),
        ([{"file": "a.jpg", "element": "\ud800"}], "line 1: element"),
        ([{"file": "\ud800.jpg", "element": "x"}], "line 1: "),
        ([{"file": "a.jpg", "element": "x", "accept": ["y"] * 65}], "line 1: accept has 65 texts, and at most 64"),
        (['{"file": "a.jpg", "element": "x", "element": "y"}'], "line 1: element is given twice"),
        (
            [{"file": "a.jpg", "element": "x"}, {"file": "./a.jpg", "element": "y"}],
            "line 2: './a.jpg' also has a row on line 1: remove one of them",
        ),
    ],
)
def test_a_bad_row_is_told_by_its_line(fake: FakeGateway, picture: Path, given: list[object], advice: str) -> None:
    result = run(picture, "--truths", rows(picture.parent / "t.jsonl", *given))
    told = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert advice.replace(" ", "") in told.replace(" ", "")  # a long path may be broken over lines
    assert fake.received == []


def test_truths_that_are_not_there_or_no_text_are_told(fake: FakeGateway, picture: Path) -> None:
    for path in (picture.parent / "none.jsonl", picture):
        result = run(picture, "--truths", path)
        assert result.exit_code == 2
        assert "can'tberead" in re.sub(r"[\s│]", "", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ([], "Missing argument"),
        (["x.jpg", "--prompt", "a", "--prompt-text", "b"], "--prompt or --prompt-text, not both"),
        (["x.jpg", "--system", "a", "--system-text", "b"], "--system or --system-text, not both"),
        (["x.jpg", "-n", "3", "-t", "0", "-t", "1"], "give one, or one for each"),
        (["x.jpg", "--accept", "a"], "--accept is for judging completions: give what they should name with --truth"),
        (["x.jpg", "--judge", "lexical"], "--judge is for judging completions: give what they should name with"),
        (["x.jpg", "--truth", "a", "--truths", "t.jsonl"], "--truths, one for each, not both"),
        (["x.jpg", "--truths", "t.jsonl", "--accept", "a"], "--accept goes with --truth: t.jsonl has the phrasings"),
        (["x.jpg", "--truth", "a", "--judge", "jury"], "'jury' is not one of 'lexical', 'semantic', 'model'"),
        (["x.jpg", "-n", "0"], "0 is not in the range x>=1"),
        (["x.jpg", "--address", "http://x"], "give host and port"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], advice: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert advice in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_it_runs_as_a_module_with_clean_output_for_pipes(fake: FakeGateway, folder: Path) -> None:
    command = [sys.executable, "-m", "axia", "detect", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == [KEYS] * 3
    assert done.stderr == ""


def test_a_progress_bar_keeps_out_of_standard_output(fake: FakeGateway, folder: Path) -> None:
    terminal, behind = pty.openpty()
    command = [sys.executable, "-m", "axia", "detect", str(folder), "--json"]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=behind, env=environment, check=True, timeout=30)
    os.close(behind)
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == [KEYS] * 3
    assert b"detecting" in os.read(terminal, 65536)
    os.close(terminal)


def test_a_reader_that_leaves_is_no_failure_of_the_pictures(fake: FakeGateway, folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "axia", "detect", *[str(folder)] * 3, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 1


def test_help_and_version() -> None:
    runner = CliRunner()
    assert "detect" in runner.invoke(app, ["--help"]).stdout
    assert re.fullmatch(r"axia \d+\.\d+\.\d+\S*\n", runner.invoke(app, ["--version"]).stdout)


def test_help_fills_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = CliRunner().invoke(app, ["detect", "--help"]).stdout.splitlines()
    prose = [line.rstrip() for line in lines[: lines.index(next(line for line in lines if "Arguments" in line))]]
    short = [line for line, following in itertools.pairwise(prose) if 0 < len(line) < 70 and following]
    assert short == []
