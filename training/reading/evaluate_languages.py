"""Prints how well the language of answers is told: python -m training.reading.evaluate_languages.

    English    share of the authors' English texts, and of older English sentences, taken for another language
    foreign    share of foreign answers found as not English, by length, and with the right code; for the development
               part, that the thresholds were set on, and the test part, other sentences and eighteen more languages
    cost       memory that the statistics of languages take, and time per text

The lists of plain answers (services/scoring/data) hold what people say for "none" in a language, so they hold some
short answers of the test part too: figures of what the lists don't know stand beside.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from services.scoring.reading.short_answers import short_answer_language
from services.scoring.reading.spoken import foreign_language, load
from training.reading.corpus import CALIBRATED, DATA, TRAINED

_LABELLED = DATA / "languages.jsonl"
_MORE = Path("tests/data/reading")
_LABELS = frozenset({"label", "domain", "values", "family", "style", "split", "type"})
_SHORT_WORDS = 3


def texts_of(row: Any) -> Iterator[str]:
    """All texts in a labelled line, without its labels."""
    if isinstance(row, str):
        yield row
    elif isinstance(row, dict):
        for name, value in row.items():
            if name not in _LABELS:
                yield from texts_of(value)
    elif isinstance(row, list):
        for value in row:
            yield from texts_of(value)


def _texts(paths: Iterable[Path]) -> list[str]:
    lines = (line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return list(dict.fromkeys(text for line in lines for text in texts_of(json.loads(line))))


def _memory_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


def _english(name: str, texts: list[str]) -> None:
    wrong = [(text, language) for text in texts if (language := foreign_language(text))]
    sys.stdout.write(
        f"{name}: {len(wrong)} of {len(texts)} English texts called foreign ({len(wrong) / len(texts):.3%})\n"
    )
    for text, language in wrong[:20]:
        sys.stdout.write(f"    {language}  {text[:90]!r}\n")


def _is_short(text: str) -> bool:
    """At most three words; where words aren't told apart by spaces, at most six letters."""
    return len(text.split()) <= _SHORT_WORDS and (" " in text or text[0] < "\u0e00" or len(text) <= 2 * _SHORT_WORDS)


def _foreign(name: str, rows: list[dict[str, str]]) -> None:
    rows = [row for row in rows if row["language"] not in {"en", "mul"}]
    groups = {
        "4 words and more": [row for row in rows if not _is_short(row["text"])],
        "1 to 3 words": [row for row in rows if _is_short(row["text"])],
        "  Latin alphabet": [row for row in rows if _is_short(row["text"]) and row["text"][:1] < "\u0370"],
        "  not in the lists": [
            row for row in rows if _is_short(row["text"]) and not short_answer_language(row["text"])
        ],
    }
    sys.stdout.write(f"{name}: {len(rows)} answers in {len({row['language'] for row in rows})} languages\n")
    for group, of_group in groups.items():
        found = [foreign_language(row["text"]) for row in of_group]
        right = sum(code == row["language"] for code, row in zip(found, of_group, strict=True))
        if of_group:
            share = sum(map(bool, found)) / len(of_group)
            sys.stdout.write(
                f"    {group:19} found {share:.3f} of {len(of_group):3}, right code {right / len(of_group):.3f}\n"
            )
    missed = [f"{row['language']} {row['text']}" for row in rows if not foreign_language(row["text"])]
    sys.stdout.write(f"    missed: {'; '.join(missed) or 'none'}\n")


def main() -> None:
    """Prints the report."""
    before, started = _memory_mb(), time.perf_counter()
    load()
    seconds, memory = time.perf_counter() - started, _memory_mb() - before
    labelled = [json.loads(line) for line in _LABELLED.read_text(encoding="utf-8").splitlines()]
    not_english = {row["text"] for row in labelled if row["split"] == "authors"}
    authors = sorted((*TRAINED, *CALIBRATED))
    english = _texts(path for author in authors for path in sorted(DATA.glob(f"author_{author}_*.jsonl")))
    english = [text for text in english if text not in not_english]
    _english(f"authors {', '.join(map(str, authors))}", english)
    older = _texts([*sorted(DATA.glob("author_0_*.jsonl")), *sorted(_MORE.glob("*.jsonl"))])
    _english("older sentences", [text for text in older if text not in not_english])
    for split in ("development", "test"):
        of_split = [row for row in labelled if row["split"] == split]
        _english(f"{split}, English with foreign words", [row["text"] for row in of_split if row["language"] == "en"])
        _foreign(f"{split}, foreign", of_split)
    _foreign("foreign answers of the authors", [row for row in labelled if row["split"] == "authors"])
    started = time.perf_counter()
    for text in english:
        foreign_language(text)
    each = (time.perf_counter() - started) / len(english)
    sys.stdout.write(f"cost: {memory:.0f} MB, loaded in {seconds:.1f} s, {each * 1e6:.0f} µs a text\n")


if __name__ == "__main__":
    main()
