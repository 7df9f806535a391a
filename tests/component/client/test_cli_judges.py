"""`axia judges` and `axia detect --card` against the fake gateway, and κ against the real scoring service."""

import asyncio
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.client import Client
from axia.judges.asking import JudgeName, ask
from axia.judges.card import JudgeCard
from axia.judges.figures import by_cluster, measure, share_interval
from axia.judges.labels import load
from axia.testing import FakeGateway, _scoring
from tests.support import pictures


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def words(text: str) -> str:
    """Output without the frame of a message and without line breaks."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    answers = {"needs attention. They named": ["Yes.", "No.", "Yes."], "Identify": ["a hot stove", "a cat"]}
    with FakeGateway(answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


def rows(n: int, *, labelled: bool = True, recorded: bool = True, seed: int = 1) -> list[dict[str, Any]]:
    """Answers, three a picture; words miss some, and a recorded model misses fewer."""
    draw = random.Random(seed)
    found = []
    for place in range(n):
        aligned = draw.random() < 0.5
        said = "the hot stove" if aligned ^ (draw.random() < 0.2) else "a cat"
        row: dict[str, Any] = {"answer": said, "element": "hot stove", "picture": f"{place // 3}.jpg"}
        if labelled:
            row["aligned"] = int(aligned)
        if recorded:
            row["judge_answers"] = {"gpt": "Yes." if aligned ^ (draw.random() < 0.03) else "No."}
        found.append(row)
    return found


def save(path: Path, given: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


@pytest.mark.parametrize("columns", [80, 120])
def test_an_audit_prints_tables_that_fit(
    fake: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    labels = save(tmp_path / "labels.jsonl", rows(180))
    unlabelled = save(tmp_path / "more.jsonl", rows(600, labelled=False, seed=2))
    result = run("judges", "audit", labels, "--unlabelled", unlabelled)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= columns
    for word in ("lexical", "semantic", "gpt (recorded)", "precision", "recall", "F1", "labels only", "corrected"):
        assert word in result.stdout
    assert re.search(r"recommended: gpt \(recorded\), κ 0\.8\d \[0\.\d\d, 0\.\d\d\] on 180 labels", result.stdout)
    assert "180 labelled answers about 60 images" in result.stdout
    assert "…" not in result.stdout


def test_a_card_has_what_was_compared_and_how(fake: FakeGateway, tmp_path: Path) -> None:
    labels = save(tmp_path / "labels.jsonl", rows(90))
    card, page = tmp_path / "card.json", tmp_path / "card.md"
    printed = run("judges", "audit", labels, "--card", card, "--markdown", page, "--json")
    assert printed.exit_code == 0, printed.stderr
    made = JudgeCard.model_validate_json(card.read_text())
    assert JudgeCard.model_validate_json(printed.stdout) == made
    known = load(labels, labelled=True)
    assert (made.labels.sha256, made.labels.answers, made.labels.pictures) == (known.sha256, 90, 30)
    lexical, semantic, recorded = made.judges
    assert [judge.revision for judge in made.judges] == ["", _scoring.READER, ""]
    assert (lexical.name.judge, semantic.name.judge, str(recorded.name)) == ("lexical", "semantic", "gpt (recorded)")
    scores = [int("stove" in row.item.answer) for row in known.rows]
    expected = measure(scores, [row.aligned or 0 for row in known.rows], known.clusters)
    assert (lexical.kappa.value, lexical.kappa.interval) == (expected.kappa, expected.kappa_interval)
    assert made.recommended == recorded.name
    text = page.read_text()
    assert known.sha256 in text
    assert f"| semantic | {_scoring.READER} | {semantic.kappa.text()} |" in text


def test_the_projects_own_labels_can_be_audited(fake: FakeGateway) -> None:
    from tests.support import processes

    result = run("judges", "audit", processes.ROOT / "tests" / "data" / "reading" / "alignment_pairs_1.jsonl")
    assert result.exit_code == 0, result.stderr
    assert "note: only 36 labels" in result.stdout
    assert "no judge reaches κ 0.6" in result.stdout


def test_a_model_behind_the_gateway_judges(fake: FakeGateway, tmp_path: Path) -> None:
    labels = save(tmp_path / "labels.jsonl", rows(60, recorded=False))
    result = run(
        "judges", "audit", labels, "--judge-model", "fake-vlm", "--judge-samples", 3, "--judge-structured", "--json"
    )
    assert result.exit_code == 0, result.stderr
    *_, model = JudgeCard.model_validate_json(result.stdout).judges
    assert model.name == JudgeName(judge="model", model="fake-vlm", samples=3, structured=True)
    assert (model.both + model.judge_only, model.unparsed) == (60, 0)
    assert len(model.prompt_sha256) == 64
    asked: list[Any] = [call.request for call in fake.received if call.method == "JudgeAlignment"]
    assert [len(request.items) for request in asked] == [32, 28]
    assert (asked[0].samples, asked[0].structured) == (3, True)


@pytest.mark.parametrize(("options", "advice"), [([], "or add --judge-structured"), (["--judge-structured"], "model")])
def test_a_model_that_says_neither_yes_nor_no_is_told_to_be_no_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], advice: str
) -> None:
    labels = save(tmp_path / "labels.jsonl", rows(25, recorded=False))
    with FakeGateway(answers={"They named": ["A pot is on the stove."]}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        result = run("judges", "audit", labels, "--judge-model", "fake-vlm", *options)
    assert "judged 0 of 25 answers and gave no verdict on the others" in result.stderr
    assert result.stderr.strip().endswith(advice)


def test_a_model_that_judges_most_answers_is_not_warned_of(fake: FakeGateway, tmp_path: Path) -> None:
    labels = save(tmp_path / "labels.jsonl", rows(25, recorded=False))
    result = run("judges", "audit", labels, "--judge-model", "fake-vlm")
    assert "gave no verdict" not in result.stderr


def test_a_judge_that_cannot_be_asked_is_told_and_the_others_go_on(fake: FakeGateway, tmp_path: Path) -> None:
    labels = save(tmp_path / "labels.jsonl", rows(60))
    result = run("judges", "audit", labels, "--judge-model", "gone")
    assert result.exit_code == 1
    assert "axia: gone: " in result.stderr
    assert "recommended: gpt (recorded)" in result.stdout
    fake.fail("FAILED_PRECONDITION", "there is no reader model", method="ScoreAlignment")
    result = run("judges", "audit", labels)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("there is no reader model") == 3


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (["gone.jsonl"], "can't be read"),
        (["labels.jsonl", "--card", "gone/card.json"], "there is no folder"),
        (["labels.jsonl", "--unlabelled", "labels.jsonl"], "has a label"),
        (["labels.jsonl", "--unlabelled", "pictureless.jsonl"], "rows need the field"),
        (["labels.jsonl", "--unlabelled", "one.jsonl"], "at least 2 unlabelled images"),
    ],
)
def test_what_cannot_be_audited_is_told_before_a_judge_is_asked(
    fake: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "labels.jsonl", rows(6))
    save(tmp_path / "one.jsonl", rows(2, labelled=False))
    save(tmp_path / "pictureless.jsonl", [{"answer": "a", "element": "b"}])
    result = run("judges", "audit", *given)
    assert result.exit_code == 2
    assert advice in words(result.stderr)
    assert fake.received == []


def test_without_the_library_a_corrected_mean_says_what_to_install(
    fake: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    labels = save(tmp_path / "labels.jsonl", rows(6))
    result = run("judges", "audit", labels, "--unlabelled", save(tmp_path / "more.jsonl", rows(6, labelled=False)))
    assert result.exit_code == 2
    assert "needs ppi-python: install axia with its extra audit" in words(result.stderr)


async def test_kappa_and_intervals_are_the_scoring_services(tmp_path: Path) -> None:
    from axia.v1 import scoring_pb2_grpc
    from services.scoring.servicer import ScoringServicer
    from services.scoring.settings import ScoringSettings

    known = load(save(tmp_path / "labels.jsonl", rows(150)), labelled=True)
    people = [row.aligned or 0 for row in known.rows]
    servicer = ScoringServicer(ScoringSettings(reader=""))
    await servicer.load()
    server = grpc.aio.server()
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    with Client(address) as client:
        said = await asyncio.to_thread(ask, client, JudgeName(judge="lexical"), known.items)
        items = [row.item.model_copy(update={"picture_id": row.picture}) for row in known.rows]
        theirs = await asyncio.to_thread(client.scoring.score_alignment, items, judge="lexical", human_labels=people)
    await server.stop(0)
    servicer.close()
    found = measure(said.scores, people, known.clusters)
    assert theirs.human_agreement is not None
    assert theirs.interval is not None
    assert found.kappa == pytest.approx(theirs.human_agreement.kappa)
    interval = share_interval(by_cluster(said.scores, known.clusters), clustered=True)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.interval.low, theirs.interval.high), abs=1e-4)
    assert interval.method == theirs.interval.method


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        (tmp_path / f"{seed}.jpg").write_bytes(pictures.photograph(seed))
    save(tmp_path / "truths.jsonl", [{"file": f"{seed}.jpg", "element": "hot stove"} for seed in range(3)])
    return tmp_path


@pytest.fixture
def card(fake: FakeGateway, tmp_path: Path) -> Path:
    run("judges", "audit", save(tmp_path / "labels.jsonl", rows(150)), "--card", tmp_path / "card.json")
    return tmp_path / "card.json"


def test_a_detections_alignment_stands_beside_the_judges_kappa(fake: FakeGateway, folder: Path, card: Path) -> None:
    options = ("detect", folder, "--truths", folder / "truths.jsonl", "--card", card, "-n", 2)
    interval = r"\[0\.\d\d, 0\.\d\d\]"
    shown = rf"mean alignment 0\.50 {interval} \((lexical|semantic), κ 0\.\d\d {interval} on 150 labels\)"
    for judge in ("lexical", "semantic"):
        for further in ((), ("--stream",)):
            result = run(*options, "--judge", judge, *further)
            assert result.exit_code == 0, result.stderr
            found = re.search(shown, words(result.stdout))
            assert found
            assert found[1] == judge
    printed = json.loads(run(*options, "--judge", "lexical", "--json").stdout.splitlines()[0])
    assert printed["judge_card"]["name"]["judge"] == "lexical"
    events = run(*options, "--judge", "lexical", "--json", "--stream").stdout.splitlines()
    assert json.loads(events[-1])["judge_card"] == printed["judge_card"]
    assert "judge_card" not in run(*options[:4], "--json").stdout


def test_a_card_of_another_judge_or_revision_is_refused(
    fake: FakeGateway, folder: Path, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("detect", folder, "--truth", "stove", "--card", card)
    other = run(*options, "--judge", "model")
    assert other.exit_code == 2
    assert "has no figures of the judge fake-vlm, only of lexical, semantic, gpt (recorded)" in words(other.stderr)
    monkeypatch.setattr(_scoring, "READER", "fake-reader@2")
    changed = run(*options, "--judge", "semantic")
    assert changed.exit_code == 2
    advice = "was made with semantic at revision fake-reader@1, but the current revision is fake-reader@2"
    assert advice.replace(" ", "") in words(changed.stderr).replace(" ", "")
    assert run(*options, "--judge", "lexical").exit_code == 0
    (folder / "other.json").write_text("{}")
    assert "is not a judge card" in words(run(*options[:-1], folder / "other.json").stderr)
    assert "--card is for judging completions" in words(run("detect", folder, "--card", card).stderr)
    assert not [
        call for call in fake.received if call.method == "DetectValues" and call.request.ground_truth.judge == 3
    ]


@pytest.mark.parametrize("columns", [80, 120])
def test_saved_detections_are_judged_by_several_judges(
    fake: FakeGateway, folder: Path, card: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    saved = folder / "saved.jsonl"
    saved.write_text(run("detect", folder, "--json", "-n", 2).stdout)
    options = ("judges", "table", saved, "--truths", folder / "truths.jsonl")
    result = run(*options)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert result.stdout.startswith("fake-vlm")
    assert "give --labels or --card" in result.stdout
    with_card = [json.loads(line) for line in run(*options, "--card", card, "--json").stdout.splitlines()]
    with_labels = run(*options, "--labels", folder / "labels.jsonl", "--json").stdout.splitlines()
    assert [json.loads(line) for line in with_labels] == with_card
    assert [row["judge"]["judge"] for row in with_card] == ["lexical", "semantic"]
    assert [row["alignment"]["value"] for row in with_card] == [0.5, 0.5]
    assert [(row["answers"], row["pictures"], row["unscored"]) for row in with_card] == [(6, 3, 0)] * 2
    assert with_card[0]["alignment"]["interval"]["method"] == "wilson clustered by picture"
    assert with_card[0]["kappa"]["value"] > 0.4
    assert re.search(r"lexical +0\.50", run(*options, "--card", card).stdout)


def test_detections_of_several_prompts_have_rows_of_their_own_and_may_bring_their_truths(
    fake: FakeGateway, folder: Path
) -> None:
    saved = folder / "saved.jsonl"
    one, other = folder / "0.jpg", folder / "1.jpg"
    streamed = run("detect", one, other, "--json", "--stream", "-n", 2, "--truth", "a cat").stdout
    table = run("detect", one, "--json", "-n", 2, "--truth", "none", "--prompt-text", "Identify a danger").stdout
    saved.write_text(streamed + table)
    table = run("judges", "table", saved).stdout
    assert "detect/baseline" in words(table)
    assert "own text" in words(table)
    result = run("judges", "table", saved, "--truths", folder / "truths.jsonl", "--json")
    assert [json.loads(line)["answers"] for line in result.stdout.splitlines()] == [4, 4, 2, 2]
    save(folder / "one.jsonl", [{"file": "1.jpg", "element": "a cat"}])
    result = run("judges", "table", saved, "--truths", folder / "one.jsonl", "--json")
    assert f"{one} has no row among the truths: not judged" in result.stderr


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"event": "completion"}', "{}"])
def test_a_file_that_has_no_detections_is_told(fake: FakeGateway, tmp_path: Path, text: str) -> None:
    (tmp_path / "saved.jsonl").write_text(text)
    result = run("judges", "table", tmp_path / "saved.jsonl")
    assert result.exit_code == 2
    assert "give what `axia detect --json` printed" in words(result.stderr)
