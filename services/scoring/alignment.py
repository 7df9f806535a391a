"""Whether an answer names what people named: alignment 0 or 1 (arXiv 2501.03957), by several judges.

    LEXICAL   enough of the words of the element, or of an acceptable phrasing, are in the answer as lemmas or synonyms
    SEMANTIC  the answer, or a part of it, is close enough in meaning by sentence embeddings
    MODEL     a model was asked; its answer is parsed here

LEXICAL and SEMANTIC both refuse an answer that denies what the phrasing affirms ("no child is in danger") or states its
opposite ("the stove is off"). Where the element itself is "none", an answer is aligned if it says that nothing needs
attention. Thresholds were calibrated on the training part of data/alignment_pairs.jsonl;
``python -m services.scoring.evaluate_alignment`` prints Cohen's κ with the labels of the held-out part.
"""

import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from services.scoring.embedder import Embedder
from services.scoring.lexical import Said, contradicts, says_nothing
from services.scoring.readable import is_readable
from services.scoring.response_types import ResponseType, ResponseTypeClassifier
from services.scoring.softmax_model import DATA

LABELLED = DATA / "alignment_pairs.jsonl"

COVERAGE_THRESHOLD = 0.75
"""Share of a phrasing's words that an answer must name for LEXICAL."""
COSINE_THRESHOLD = 0.64
"""Cosine from which SEMANTIC takes an answer and a phrasing to mean the same."""
CONTRADICTION_MARGIN = 0.15
"""How far below the threshold a phrasing may be and still be contradicted by an answer: "the woman isn't crying" denies
"woman crying", though "woman is sad" may be nearer."""
_MIN_PART_WORDS = 3
"""Shorter parts say too little on their own."""
MAX_PARTS = 8
"""Parts of an answer that SEMANTIC compares, beside the whole."""

_FRAME = re.compile(
    r"^\W*(?:in (?:this|the) (?:image|picture|photo)\W+)?(?:the )?(?:\w+ )?(?:element|object|thing)\b"
    r".{0,60}?\b(?:is|are)\b\s+",
    re.IGNORECASE,
)
"""How answers repeat the question before they answer it."""
_PART = re.compile(r"[,;:.!?]+\s+|\b(?:because|and|but|while|who|which|as|so that)\b", re.IGNORECASE)
_SHOWN_CHARS = 200


class Judge(Enum):
    """Who judges."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    MODEL = "model"


@dataclass(frozen=True)
class AlignmentItem:
    """An answer and what it should name."""

    answer: str
    element: str
    """What people named; "none" if nothing needed attention."""
    accept: tuple[str, ...] = ()
    """Other phrasings that count as the element."""
    model_answer: str = ""
    """What the model as judge said, for the judge MODEL."""


@dataclass(frozen=True)
class AlignmentVerdict:
    """A judge's verdict."""

    aligned: bool | None
    """None only where a model's answer could not be parsed."""
    score: float
    """LEXICAL: coverage, 0 to 1. SEMANTIC: cosine, −1 to 1. MODEL: 1 or 0; 0 where unparsed. Where the element is
    "none": 1 or 0."""
    evidence: str
    """Why, for a person."""
    matched: str
    """The element or phrasing that fitted best."""


def reader() -> Callable[[str], Said]:
    """Reads texts and remembers some: a picture's completions are compared with the same phrasings.

    Only some, for a call may bring thousands of long ones.
    """
    return functools.lru_cache(maxsize=128)(Said.of)


_wants_nothing = functools.lru_cache(maxsize=8)(says_nothing)
"""Of an element: a picture's completions have the same, and it may have thousands of words."""


def judge_lexically(item: AlignmentItem, read: Callable[[str], Said] = Said.of) -> AlignmentVerdict:
    """LEXICAL: the best coverage over phrasings, where coverage is matched words / words of the phrasing.

    Args:
        item: What to judge.
        read: Reads its texts; a `reader` for items that have some in common.
    """
    if _wants_nothing(item.element):
        return _on_nothing(item, said=says_nothing(item.answer))
    answer = read(item.answer)
    best: _Cover | None = None
    for phrasing in (item.element, *item.accept):
        wanted = read(phrasing)
        named = wanted.shared(answer.keys)
        coverage = named / len(wanted.words) if named else 0.0
        if not named or (best and best.aligned and coverage <= best.coverage):
            continue  # it can't be the best, whether the answer denies it or not
        aligned = coverage >= COVERAGE_THRESHOLD and not contradicts(answer, wanted)
        if not best or (aligned, coverage) > (best.aligned, best.coverage):
            best = _Cover(phrasing, wanted, coverage, aligned)
        if best.aligned and best.coverage == 1:
            break  # none is better
    if not best:
        return AlignmentVerdict(False, 0.0, "no word of the element is in the answer", item.element)
    return AlignmentVerdict(best.aligned, best.coverage, _named(answer, best), best.phrasing)


class _Cover(NamedTuple):
    """How much of a phrasing an answer names."""

    phrasing: str
    wanted: Said
    coverage: float
    aligned: bool


def _named(answer: Said, cover: _Cover) -> str:
    """Which words of the best phrasing an answer names; of the others nobody is told, and some have thousands."""
    words = cover.wanted.words
    texts = [word.text for word in words if not word.keys.isdisjoint(answer.keys)]
    found = f"names {len(texts)} of {len(words)} words ({', '.join(texts)})"
    denied = not cover.aligned and cover.coverage >= COVERAGE_THRESHOLD
    return f"{found}, but denies it or states the opposite" if denied else found


class SemanticJudge:
    """SEMANTIC: the largest cosine between the answer or a part of it, and the element or a phrasing of it."""

    def __init__(self, embedder: Embedder, classifier: ResponseTypeClassifier) -> None:
        self._embedder = embedder
        self._classifier = classifier

    def judge(self, items: Sequence[AlignmentItem]) -> tuple[AlignmentVerdict, ...]:
        """One verdict an item, in order."""
        distinct = list(dict.fromkeys(items))
        parts_of = {item.answer: _parts(item.answer) for item in distinct}
        texts: dict[str, int] = {}
        for item in distinct:
            for text in (*parts_of[item.answer], item.element, *item.accept):
                texts.setdefault(text, len(texts))
        vectors = self._embedder.embed(list(texts))
        kinds = dict(zip(parts_of, self._classifier.classify(list(parts_of)), strict=True))
        read = reader()
        verdicts: dict[AlignmentItem, AlignmentVerdict] = {}
        for item in distinct:
            if _wants_nothing(item.element):
                verdicts[item] = _on_nothing(item, said=kinds[item.answer].type is ResponseType.NONE)
                continue
            parts = parts_of[item.answer]
            phrasings = (item.element, *item.accept)
            cosines = vectors[[texts[p] for p in parts]] @ vectors[[texts[p] for p in phrasings]].T
            ranked = sorted(
                (
                    (float(cosines[i, j]), part, phrasing)
                    for i, part in enumerate(parts)
                    for j, phrasing in enumerate(phrasings)
                ),
                key=lambda match: -match[0],
            )
            verdicts[item] = _weigh(item.answer, ranked, read)
        return tuple(verdicts[item] for item in items)


def _weigh(answer: str, ranked: Sequence[tuple[float, str, str]], read: Callable[[str], Said]) -> AlignmentVerdict:
    """The best match, unless the answer contradicts a phrasing that is about as near."""
    if not is_readable(answer):
        return AlignmentVerdict(False, 0.0, "the answer is empty or in no script that the model reads", ranked[0][2])
    cosine, part, phrasing = ranked[0]
    if cosine < COSINE_THRESHOLD:
        return AlignmentVerdict(False, cosine, f"{_shown(part)} is too far in meaning (cosine {cosine:.2f})", phrasing)
    said = read(answer)
    for near, _, other in ranked:
        if near >= COSINE_THRESHOLD - CONTRADICTION_MARGIN and contradicts(said, read(other)):
            evidence = f"{_shown(part)} denies {_shown(other)} or states the opposite (cosine {near:.2f})"
            return AlignmentVerdict(False, cosine, evidence, phrasing)
    return AlignmentVerdict(True, cosine, f"{_shown(part)} means the same (cosine {cosine:.2f})", phrasing)


def without_frame(answer: str) -> str:
    """An answer without the words that only repeat the question: "the element that needs attention is"."""
    return _FRAME.sub("", answer[: 20 * _SHOWN_CHARS], count=1).strip() or answer[: 20 * _SHOWN_CHARS]


def _parts(answer: str) -> tuple[str, ...]:
    """The answer without its opening frame, and its clauses."""
    core = without_frame(answer)
    clauses = [clause.strip() for clause in _PART.split(core)]
    return tuple(dict.fromkeys([core, *(clause for clause in clauses if len(clause.split()) >= _MIN_PART_WORDS)]))[
        : 1 + MAX_PARTS
    ]


_VERDICT = re.compile(
    # Zero or one alone, no 0.5, 1/10 or 1 out of 10; "yes or no" is the question; "n/a" and "not sure" are no verdict.
    r"\W*(?:(?P<number>[01])(?:\.0*)?(?!\w|[.,/:%]\d|\s*(?:%|/|out of\b|to\b|or\b|-\s*\d))"
    r"|(?P<no>no|n|not)(?!/a\b)(?!\W+(?:idea|way|answer|comment|opinion|verdict|sure|certain|clear|enough|possible|able)\b)"
    r"(?!\W*(?:\b(?:and|or)\b|[/|])\W*y(?:es)?\b)(?!\w)"
    r"|(?P<other>(?!(?:no|n|not)\b)[^\W\d]\w*)(?!\w)(?!\W*(?:\b(?:and|or)\b|[/|])\W*no?\b))",
    re.IGNORECASE,
)
_YES = frozenset({"yes", "y", "true", "1", "aligned", "match", "matches", "matched", "correct"})
_NO = frozenset({"no", "n", "false", "0", "misaligned", "unaligned", "mismatch", "incorrect", "not"})


def parse_model_verdict(model_answer: str) -> AlignmentVerdict:
    """MODEL: reads yes or no, 1 or 0, aligned or not, at the start, after "answer:" or as JSON with one such field.

    Anything else is unparsed: `aligned` is None.
    """
    text = model_answer.strip().strip("`").removeprefix("json").strip()
    said: str | None = None
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):  # not JSON, or nested beyond the parser's depth
            values = {}
        named = next((values[key] for key in ("aligned", "answer", "verdict", "label") if key in values), None)
        said = str(named) if isinstance(named, str | int | float) else None  # a list of verdicts is none
    else:
        marked = re.search(
            r"\b(?:final answer|answer|verdict|aligned|score|label)\s*[:=]\s*(.{1,40})", text, re.I | re.S
        )
        said = marked.group(1) if marked else text
    first = _VERDICT.match(said or "")
    token = (first["number"] or first["no"] or first["other"]).casefold() if first else ""
    if token in _YES or token in _NO:
        aligned = token in _YES
        return AlignmentVerdict(aligned, float(aligned), f"the judge said {_shown(model_answer)}", "")
    return AlignmentVerdict(None, 0.0, f"the judge's answer can't be read as yes or no: {_shown(model_answer)}", "")


def _on_nothing(item: AlignmentItem, *, said: bool) -> AlignmentVerdict:
    evidence = "says that nothing needs attention" if said else "names something where nothing needs attention"
    return AlignmentVerdict(said, float(said), evidence, item.element)


def _shown(text: str) -> str:
    text = " ".join(text[: 2 * _SHOWN_CHARS].split())
    return f'"{text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"}"'
