"""The lexicon: what is shipped, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from axia.lexicon import DATA, VALUES, Lexicon, LexiconError, load_lexicon


def test_shipped_lexicon_has_ten_values_with_ten_distinct_keywords_each() -> None:
    lexicon = load_lexicon()
    assert tuple(value.id for value in lexicon.values) == VALUES
    assert all(len(value.keywords) == 10 for value in lexicon.values)
    assert len(set(lexicon.keywords)) == 100


def test_published_keywords_are_those_of_the_paper_and_no_others() -> None:
    published = {value.id: value.published for value in load_lexicon().values if value.published}
    assert published == {
        "universalism": ("equality", "globe", "handshake"),
        "hedonism": ("vacation", "comedy", "concert"),
    }


def test_every_value_is_in_one_of_four_groups_and_groups_oppose_in_pairs() -> None:
    lexicon = load_lexicon()
    opposes = {group.id: group.opposes for group in lexicon.group}
    assert len(opposes) == 4
    assert all(opposes[opposes[group]] == group for group in opposes)
    assert sum(len(lexicon.members(group)) for group in opposes) == 10


def test_hedonism_names_its_second_group() -> None:
    hedonism = load_lexicon().value("hedonism")
    assert (hedonism.group, hedonism.also) == ("openness-to-change", "self-enhancement")


def test_values_are_found_by_keyword_and_unknown_ones_are_named() -> None:
    lexicon = load_lexicon()
    assert lexicon.value_of("handshake").id == "universalism"
    with pytest.raises(KeyError, match="has no keyword 'teapot'"):
        lexicon.value_of("teapot")
    with pytest.raises(KeyError, match="the values are self-direction"):
        lexicon.value("courage")


def test_a_loaded_lexicon_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_lexicon().value("power").name = "Might"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"equality"', '"vacation"', "several times: \\['vacation', 'vacation'\\]"),
        ('id = "security"', 'id = "safety"', "missing: \\['security'\\], unknown: \\['safety'\\]"),
        ('group = "conservation"', 'group = "caution"', "'caution', which is not a group"),
        ('"equality"', '"!"', "published.*is not a valid keyword"),
        ('"equality"', '"two\\u0007bells"', "published.*is not a valid keyword"),
        ('"equality"', f'"{"long " * 30}"', "more than 100 characters"),
        ('"equality"', '"Vacation"', "several times: \\['Vacation', 'vacation'\\]"),
        ("[[value]]", "[[values]]", "no \\[\\[value\\]\\] entries"),
        ("source =", "source", "not TOML"),
    ],
)
def test_a_broken_lexicon_is_refused_with_its_path_and_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text(DATA.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(LexiconError, match=reason) as caught:
        load_lexicon(path)
    assert str(path) in str(caught.value)


def with_keywords(path: Path, keywords: Sequence[str]) -> Lexicon:
    """The shipped lexicon with other keywords of security, written to a file and read."""
    shipped = DATA.read_text(encoding="utf-8")
    begin = shipped.index("axia = [", shipped.index('id = "security"'))
    end = shipped.index("]", begin) + 1
    path.write_text(f"{shipped[:begin]}axia = {json.dumps(keywords)}{shipped[end:]}", encoding="utf-8")
    return load_lexicon(path)


@pytest.mark.parametrize(
    "keyword",
    [
        "self-care",
        "café",
        "5k run",
        "家族",
        "безопасность",
        "أمان",
        "सुरक्षा",
        "خانه\u200cها",
        "R&B",
        "Rock 'n' Roll",
        "e-mail, phone",
    ],
)
def test_a_keyword_may_be_of_any_script_with_digits_and_signs(tmp_path: Path, keyword: str) -> None:
    lexicon = with_keywords(tmp_path / "lexicon.toml", [keyword])
    assert lexicon.value("security").keywords == (keyword,)
    assert lexicon.value_of(keyword).id == "security"


def test_a_keyword_is_found_however_its_letters_are_composed(tmp_path: Path) -> None:
    lexicon = with_keywords(tmp_path / "lexicon.toml", ["cafe\u0301  au lait"])  # as macOS and some editors write it
    assert lexicon.value("security").keywords == ("café au lait",)
    assert lexicon.value_of("cafe\u0301 au lait").id == "security"


@pytest.mark.parametrize("number", [1, 3, 17, 100])
def test_a_value_may_have_from_1_to_100_keywords(tmp_path: Path, number: int) -> None:
    lexicon = with_keywords(tmp_path / "lexicon.toml", [f"lock {place}" for place in range(number)])
    assert len(lexicon.value("security").keywords) == number


@pytest.mark.parametrize("number", [0, 101])
def test_a_value_without_keywords_or_with_too_many_is_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(LexiconError, match=f"'security' has {number} keywords; give it 1 to 100"):
        with_keywords(tmp_path / "lexicon.toml", [f"lock {place}" for place in range(number)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match="can't be read"):
        load_lexicon(tmp_path / "none.toml")
