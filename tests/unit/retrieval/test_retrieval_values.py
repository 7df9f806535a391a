"""The lexicon as the retrieval service uses it."""

import hashlib
from pathlib import Path

import pytest

from axia.lexicon import DATA, VALUES
from services.retrieval.values import Values
from services.serving.errors import FailedPrecondition, InvalidArgument


def test_the_hash_is_of_the_file() -> None:
    assert Values().sha256 == hashlib.sha256(DATA.read_bytes()).hexdigest()


def test_another_file_may_have_the_values_in_another_order(tmp_path: Path) -> None:
    head, *values = DATA.read_text().split("[[value]]")
    path = tmp_path / "lexicon.toml"
    path.write_text("[[value]]".join([head, *(value.rstrip() + "\n\n" for value in reversed(values))]))
    other = Values(path)
    assert [value.id for value in other.in_order] == list(VALUES)
    assert other.sha256 != Values().sha256


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "can't be read"),
        ("[[", "not TOML"),
        ("x = 1", "[[value]]"),
        (DATA.read_text().replace('"chess"', '"reading"'), "reading"),
    ],
)
def test_a_broken_file_is_named_with_its_rule(tmp_path: Path, text: str | None, rule: str) -> None:
    path = tmp_path / "lexicon.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FailedPrecondition) as caught:
        Values(path)
    assert str(path) in caught.value.message
    assert rule in caught.value.message


def test_keywords_come_in_the_order_of_the_lexicon() -> None:
    values = Values()
    value = values.value("hedonism")
    assert values.keywords(value, []) == value.keywords
    assert values.keywords(value, ["concert", "vacation"]) == ("vacation", "concert")


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        (["vacation", "globe"], "keywords[1]"),
        ([""], "keywords[0]"),
        (["vacation", "concert", "vacation"], "keywords[2]"),
    ],
)
def test_a_keyword_of_another_value_or_named_twice_is_refused(keywords: list[str], field: str) -> None:
    values = Values()
    with pytest.raises(InvalidArgument) as caught:
        values.keywords(values.value("hedonism"), keywords)
    assert caught.value.violations[0].field == field


def test_an_unknown_value_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match=r"self-direction, .*security"):
        Values().value("Hedonism")
