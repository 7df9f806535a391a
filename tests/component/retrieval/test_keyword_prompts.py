"""Keywords of a search by value are put into sentences before they are encoded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from axia.lexicon import DATA
from services.retrieval import convert
from services.retrieval.encoder.keyword_prompts import encode_keywords
from services.retrieval.search import ValueHits, Wanted
from services.retrieval.settings import RetrievalSettings
from tests.support.retrieval import Parts, sha256, small, started, take_in


def settings(**values: Any) -> RetrievalSettings:
    return RetrievalSettings(**values)


def lexicon_of(folder: Path, *keywords: str) -> Path:
    """A lexicon whose keywords of security are these."""
    shipped = DATA.read_text(encoding="utf-8")
    begin = shipped.index("axia = [", shipped.index('id = "security"'))
    end = shipped.index("]", begin) + 1
    path = folder / "lexicon.toml"
    path.write_text(f"{shipped[:begin]}axia = {json.dumps(keywords)}{shipped[end:]}", encoding="utf-8")
    return path


async def search(parts: Parts, *keywords: str) -> ValueHits:
    return await parts.retriever.search.by_value("security", keywords, Wanted(k=1))


async def test_a_keyword_finds_what_its_sentence_is_nearest_to(tmp_path: Path) -> None:
    wanted = small(2)
    before, after = sha256(wanted)[:20], sha256(wanted)[20:]  # the encoder finds a picture by its whole hash
    lexicon = lexicon_of(tmp_path, after, "家族")
    async with started(tmp_path / "bare", lexicon=lexicon) as parts:
        await take_in(parts, [small(seed) for seed in range(4)])
        bare = await search(parts, after)
        assert bare.keywords[0].hits[0].score < 0.99
        assert bare.provenance.keyword_prompts == ("{}",)
    async with started(tmp_path / "prompted", lexicon=lexicon, keyword_prompts=(before + "{}",)) as parts:
        await take_in(parts, [small(seed) for seed in range(4)])
        found = await search(parts, after)
        assert (found.keywords[0].keyword, found.keywords[0].hits[0].record.id) == (after, sha256(wanted))
        assert found.keywords[0].hits[0].score == pytest.approx(1, abs=1e-5)
        sent = convert.from_value_hits("security", found, "id").provenance
        assert list(sent.keyword_prompts) == [before + "{}"]
        text = await parts.retriever.search.by_text(after, Wanted(k=1))  # a text of the caller's own stays as it is
        assert text.hits[0].score < 0.99
        assert text.provenance.keyword_prompts == ()


async def test_keywords_of_any_script_are_searched_for(tmp_path: Path) -> None:
    lexicon = lexicon_of(tmp_path, "self-care", "café", "5k run", "家族")
    async with started(tmp_path / "data", lexicon=lexicon) as parts:
        await take_in(parts, [small(seed) for seed in range(6)])
        found = await search(parts)
        assert [keyword.keyword for keyword in found.keywords] == ["self-care", "café", "5k run", "家族"]
        assert [len(keyword.hits) for keyword in found.keywords] == [1] * 4
        composed = await search(parts, "cafe\u0301", "家族")  # as macOS writes it
        assert [keyword.keyword for keyword in composed.keywords] == ["café", "家族"]


async def test_several_sentences_are_averaged_to_unit_length(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        encoder = parts.make_encoder("hash/one")
        one = await encode_keywords(encoder, ("{}",), ["lock", "shield"])
        assert np.array_equal(one, await encoder.encode_texts(["lock", "shield"]))
        several = await encode_keywords(encoder, ("{}", "a photo of {}"), ["lock", "shield"])
        parts_of_lock = await encoder.encode_texts(["lock", "a photo of lock"])
        mean = parts_of_lock.mean(axis=0)
        assert np.allclose(several[0], mean / np.linalg.norm(mean), atol=1e-6)
        assert several.dtype == np.float32
        assert np.allclose(np.linalg.norm(several, axis=1), 1, atol=1e-6)


async def test_sentences_are_encoded_at_the_start_so_that_the_first_search_waits_for_none(tmp_path: Path) -> None:
    async with started(tmp_path, keyword_prompts=("a photo of {}", "{} in a video")) as parts:
        encoder = parts.encoders["hash/one"]
        assert encoder.texts_encoded == 200


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a photo of {}", ("a photo of {}",)),
        ("{},a photo of {}", ("{}", "a photo of {}")),
        ('["a photo of {}, a thing that people share"]', ("a photo of {}, a thing that people share",)),
    ],
)
def test_sentences_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, written: str, read: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AXIA_RETRIEVAL_KEYWORD_PROMPTS", written)
    assert settings().keyword_prompts == read


@pytest.mark.parametrize("prompts", [("a photo",), ("{} and {}",), ("{}",) * 101, ("{}", "a photo")])
def test_a_sentence_without_a_place_for_the_keyword_is_refused(prompts: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match=r"each with \{\} once"):
        settings(keyword_prompts=prompts)
