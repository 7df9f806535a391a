"""Tasks of the values-detector study on the mock model (mockllm/…), to their scores and the tables of a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.values_detector import (
    abstention,
    annotator_groups,
    domains,
    prompt_variants,
    synthetic_real,
    system_prompt,
    values_detector,
)
from axia.prompts import load_prompts
from tests.component.evals.mock_models import RIGHT, WRONG, Say, metric, reported, right_for, run, scores, study, table


def test_the_score_is_the_share_of_pictures_whose_element_is_named(tmp_path: Path) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(4)})
    log = run(values_detector(str(path)), right_for(tmp_path, "0.png", "1.png", "2.png"), tmp_path / "logs")
    assert metric(log) == pytest.approx(0.75)
    assert metric(log, "lower") < 0.75 < metric(log, "upper")
    assert scores(log) == {"0.png": 1, "1.png": 1, "2.png": 1, "3.png": 0}
    assert len(log.samples or ()) == 4 * 3
    assert log.eval.metadata
    assert log.eval.metadata["study"]["annotators"] == 3


def test_domains_are_reported_each_on_its_own(tmp_path: Path, address: str) -> None:
    where = {"home.png": "domestic", "kitchen.png": "domestic", "shop.png": "public", "street.png": "public"}
    path = study(tmp_path, {**{name: {"domain": domain} for name, domain in where.items()}, "unknown.png": {}})
    log = run(domains(str(path)), right_for(tmp_path, "home.png", "kitchen.png", "shop.png"), tmp_path / "logs")
    assert set(scores(log)) == set(where)  # a picture without a domain isn't asked about
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "domains-domain")
    assert {row["domain"]: (float(row["mean"]), int(row["answers"])) for row in rows} == {
        "domestic": (1.0, 6), "public": (0.5, 6),
    }  # fmt: skip


def test_one_domain_is_no_comparison(tmp_path: Path) -> None:
    path = study(tmp_path, {"a.png": {"domain": "medical"}, "b.png": {}})
    with pytest.raises(AnnotationError, match="the column domain names medical; a comparison needs two or more"):
        domains(str(path))


def pairs(count: int) -> dict[str, dict[str, Any]]:
    return {
        f"{kind}-{number}.png": {"pair_id": f"scene-{number}", "synthetic": kind == "made"}
        for number in range(count)
        for kind in ("made", "photo")
    }


def test_synthetic_and_real_pictures_are_compared_pair_by_pair(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {**pairs(6), "alone.png": {"pair_id": "scene-9", "synthetic": True}})
    right = [f"made-{number}.png" for number in range(6)] + ["photo-0.png"]
    log = run(synthetic_real(str(path)), right_for(tmp_path, *right), tmp_path / "logs")
    assert "alone.png" not in scores(log)
    report = reported(address, tmp_path / "logs", tmp_path / "report")
    means = {row["synthetic"]: float(row["mean"]) for row in table(report, "synthetic-real-synthetic")}
    assert means == {"synthetic": 1.0, "real": pytest.approx(1 / 6)}
    (pair,) = table(report, "synthetic-real--mockllm-mock-pairs")
    assert {pair["first"], pair["second"]} == {"synthetic", "real"}
    assert abs(float(pair["difference"])) == pytest.approx(5 / 6)
    # Five of six pairs differ, all in one direction: exact McNemar is 2 / 2**5.
    assert float(pair["p"]) == pytest.approx(0.0625)


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ({"a.png": {"pair_id": "1", "synthetic": True}, "b.png": {"pair_id": "2", "synthetic": False}},
         "no pair_id has"),
        ({"a.png": {"pair_id": "1", "synthetic": True}, "b.png": {"pair_id": "1", "synthetic": True}},
         "pair '1' has two synthetic images"),
        ({"a.png": {}, "b.png": {}}, "no pair_id has a synthetic and a real image"),
    ],
)  # fmt: skip
def test_pictures_that_make_no_pairs_are_refused(
    tmp_path: Path, pictures: Mapping[str, Mapping[str, Any]], said: str
) -> None:
    path = study(tmp_path, pictures)
    with pytest.raises(AnnotationError, match=said):
        synthetic_real(str(path))


def test_each_group_of_annotators_has_its_own_score(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(3)})
    # The people of the south name the curtain.
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row | {"element": "the curtain"} if row["group"] == "south" else row for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run(annotator_groups(str(path), epochs=1), lambda *_: RIGHT, tmp_path / "logs")
    found = table(reported(address, tmp_path / "logs", tmp_path / "report"), "annotator-groups-groups")
    assert {row["annotators"]: float(row["alignment"]) for row in found} == {"all": 1.0, "north": 1.0, "south": 0.0}


def test_each_framing_of_the_prompt_is_asked_and_compared_with_the_baseline(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(5)})
    safety = load_prompts()["detect/safety"].text
    say: Say = lambda text, *_: RIGHT if text == safety else WRONG  # noqa: E731 - a model in a line
    log = run(prompt_variants(str(path), epochs=1), say, tmp_path / "logs")
    by_variant: dict[str, set[object]] = {}
    for sample, score in scores(log).items():
        by_variant.setdefault(sample.partition("#")[2], set()).add(score)
    assert by_variant["safety"] == {1}
    assert by_variant["baseline"] == {0}
    assert len(by_variant) == 6
    report = reported(address, tmp_path / "logs", tmp_path / "report")
    means = {row["variant"]: float(row["mean"]) for row in table(report, "prompt-variants--mockllm-mock-alignment")}
    assert means["safety"] == 1.0
    assert means["baseline"] == 0.0


def test_a_system_prompt_reaches_the_model_in_its_variant_alone(tmp_path: Path) -> None:
    path = study(tmp_path, {"a.png": {}, "b.png": {}})
    log = run(system_prompt(str(path), epochs=1), lambda *asked: RIGHT if asked[2] else WRONG, tmp_path / "logs")
    assert scores(log) == {"a.png#baseline": 0, "a.png#system": 1, "b.png#baseline": 0, "b.png#system": 1}


def test_abstention_gives_the_share_of_the_largest_group_of_completions(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(4)})
    known = right_for(tmp_path, "0.png", "1.png")
    asked: dict[str, int] = {}

    def say(text: str, pictures: list[str], system: str) -> str:
        """Sure where it is right, and divided elsewhere: three of five completions say the same."""
        asked[pictures[0]] = asked.get(pictures[0], 0) + 1
        if known(text, pictures, system) == RIGHT:
            return RIGHT
        return WRONG if asked[pictures[0]] <= 3 else "The lamp in the corner."

    log = run(abstention(str(path), samples=5), say, tmp_path / "logs")
    assert scores(log) == {"0.png": 1, "1.png": 1, "2.png": 0, "3.png": 0}
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "risk-coverage")
    assert [(float(row["agreement from"]), int(row["answered"]), int(row["errors"])) for row in rows] == [
        (1.0, 2, 0), (pytest.approx(0.6), 4, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("samples", [1, 26])
def test_completions_are_bounded(samples: int) -> None:
    with pytest.raises(ValueError, match="give 2 to 25"):
        abstention(samples=samples)


def test_misalignments_are_sorted_and_a_judge_by_words_needs_no_reader(tmp_path: Path, address: str) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(4)})
    say = right_for(tmp_path, "0.png")
    log = run(
        values_detector(str(path), judge="lexical", epochs=1),
        lambda text, pictures, system: "None." if say(text, pictures, system) == WRONG else RIGHT,
        tmp_path / "logs",
    )
    assert scores(log)["1.png"] == 0
    rows = table(reported(address, tmp_path / "logs", tmp_path / "report"), "values-detector-misalignments")
    counts = {row["type"]: int(row["answers"]) for row in rows}
    assert {kind: count for kind, count in counts.items() if count} == {"false none": 3}
