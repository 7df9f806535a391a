"""Verdicts whose form leaves no doubt: a bare yes or no, a labelled one, a field of JSON.

Everything else is left to the reader model, which reads what the words say.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from services.scoring.readable import INVISIBLE
from services.scoring.reader_labels import Question, Verdict

_YES = frozenset({"yes", "yeah", "yep", "yup", "true", "y"})
_NO = frozenset({"no", "nope", "nah", "false", "n"})
_OWN_WORDS: Mapping[Question, tuple[frozenset[str], frozenset[str]]] = {
    Question.LIKE: (frozenset({"i like it", "i do", "liked"}), frozenset({"dislike", "i don't", "i do not"})),
    Question.INTEREST: (
        frozenset({"interesting", "stay", "keep watching", "i would stay", "interested", "very interesting"}),
        frozenset(
            {"not interesting", "boring", "swipe", "skip", "swipe on", "scroll", "not interested", "uninteresting"}
        ),
    ),
    Question.JUDGE: (
        frozenset({"aligned", "match", "matches", "correct", "same"}),
        frozenset({"not aligned", "misaligned", "no match", "mismatch", "incorrect", "different"}),
    ),
}
"""What else says yes and no to each question, as a whole answer or behind a label."""
_LABELS: Mapping[Question, str] = {
    Question.LIKE: r"likes?|liked|liking|do i like it|preference|like the (?:image|content|picture)",
    Question.INTEREST: r"interest(?:ing|ed)?|decision|action|is it interesting|find it interesting",
    Question.JUDGE: r"align(?:ed|ment)|match(?:es|ed|ing)?|correct|same|names? the (?:same )?element|label|score",
}
_ANY_LABEL = r"(?:(?:my|the|your|final|short|overall) )*(?:answer|verdict|response|conclusion|result)"
_KEYS: Mapping[Question, frozenset[str]] = {
    Question.LIKE: frozenset({"like", "likes", "liked", "like_content", "preference", "do_you_like", "likes_image"}),
    Question.INTEREST: frozenset({"interest", "interesting", "interested", "decision", "action", "is_interesting"}),
    Question.JUDGE: frozenset(
        {"aligned", "alignment", "match", "matches", "matched", "correct", "same", "names_element", "label", "score"}
    ),
}
_ANY_KEY = frozenset({"answer", "verdict", "response", "result", "final_answer", "conclusion"})
_SCALE_KEY = re.compile("scale|range|max|out_?of", re.IGNORECASE)
_CONFIDENCE = frozenset({"confidence", "certainty", "probability"})

_THOUGHT = re.compile(r"^.*</think>", re.DOTALL | re.IGNORECASE)
_ROLE = re.compile(r"^\W*(?:assistant|ai|bot|model|judge|answer|a)\s*:\s*", re.IGNORECASE)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_MARKER = re.compile(r"^(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_CHOICE = re.compile(r"\W*(?:yes\s*(?:/|\\|\||or)\s*no|no\s*(?:/|\\|\||or)\s*yes|y\s*/\s*n)\W*", re.IGNORECASE)
_MARKS = re.compile(r"[*_`#>\"“”]")
_NUMBER = re.compile(r"[\s*_`\"'([]*([01])(?:\.0+)?(?:\s*/\s*1)?[\s*_`\"')\]]*")
"""A bare 0 or 1. A sign before it makes it another number."""
_AMOUNT = re.compile(r"[-+<>≤≥~±\s]*\d[\d.,/%\s]*(?:out of \d+)?")
_NUMBERS = {"1": Verdict.YES, "0": Verdict.NO}
_OTHER_SCALE = re.compile(r"\bscale|\brange|\bmax|\bout.of|\d\s*/\s*\d|\d\s*[-–—]\s*\d", re.IGNORECASE)
"""What makes a 1 one of many steps, unless it is _BINARY."""
_BINARY = re.compile(r"\b[01]\s*(?:/|-|–|or|to)\s*[01]\b")
_TAKEN_BACK = re.compile(
    r"(?:^|[.!?\n])\W*(?:however|correction|corrected|actually|wait|on second thought|scratch that|revised)\b",
    re.IGNORECASE,
)
"""Beginnings of a sentence behind a labelled verdict that may take it back."""
_OPPOSITE_QUESTION = re.compile(
    r"\b(?:differ(?:s|ent)?|mismatch(?:ed)?|misaligned|incorrect|wrong|dislike|hate|bor(?:ed|ing)|uninteresting|swipe|skip"
    r"|scroll)\b[^?\n]{0,80}\?\W*(?:(?:answer|verdict|response)\W*)?(?:yes|no)\b",
    re.IGNORECASE,
)
"""A yes or no to a question that asks for the opposite: "Are they different? Yes"."""
_FIELD = re.compile(r'"(?P<key>[^"\\\n]{1,40})"\s*:\s*(?P<value>true|false|[01]\b|"[^"\\\n]{0,40}")')
"""A field of JSON that was cut off."""
_CUT_JSON_CHARS = 2_000
_MOST_CHARS = 16_384
_FEWEST_WORDS = 3
"""Words of a field of JSON that is a sentence."""
_LINE = re.compile(r"^[\s\-•]*(?P<label>[^\n:=]{1,40}?)\s*[:=]\s*(?P<value>[^\n]{1,40}?)\s*$", re.MULTILINE)


def without_wrapping(answer: str) -> str:
    """An answer without reasoning, role names and code fences around it; empty if all of it is reasoning."""
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", answer[:_MOST_CHARS])).replace("’", "'")
    text = _THOUGHT.sub("", text, count=1)
    if text.lstrip().casefold().startswith("<think>"):
        return ""
    text = _FENCE.sub("", text.strip()).strip()
    text = _FENCE.sub("", _ROLE.sub("", text, count=1)).strip()
    return _MARKER.sub("", text, count=1)


def read_form(text: str, question: Question) -> Verdict | None:
    """The verdict that an answer's form gives; None where its words have to be read.

    Args:
        text: An answer, as `without_wrapping` gives it.
        question: What was asked.
    """
    if not any(character.isalnum() for character in text):
        return _symbol(text)
    if _CHOICE.fullmatch(text):
        return Verdict.UNPARSED
    if text.startswith(("{", "[")):
        return _from_json(text, question)
    if _OPPOSITE_QUESTION.search(text):
        return Verdict.UNPARSED
    return _word(text, question) or _labelled(text, question)


def _symbol(text: str) -> Verdict:
    up, down = "👍" in text or "✅" in text, "👎" in text or "❌" in text
    return Verdict.UNPARSED if up == down else Verdict.YES if up else Verdict.NO


def _word(text: str, question: Question) -> Verdict | None:
    plain = " ".join(_MARKS.sub("", text).casefold().split()).strip(" .!,;()[]-✅❌👍👎❤️🙂😊")
    if any(map(str.isdigit, plain)):
        number = _NUMBER.fullmatch(text.strip())  # not "1.", which may be a list that was cut off
        return None if number is None or question is not Question.JUDGE else _NUMBERS[number[1]]
    yes, no = _OWN_WORDS[question]
    if plain in _YES or plain in yes:
        return Verdict.YES
    return Verdict.NO if plain in _NO or plain in no else None


def _labelled(text: str, question: Question) -> Verdict | None:
    """The one verdict that stands behind a label on a line of its own: "**Aligned**: No"."""
    wanted = re.compile(rf"(?:{_LABELS[question]}|{_ANY_LABEL})\??", re.IGNORECASE)
    text = _MARKS.sub("", text)
    lines = [line for line in _LINE.finditer(text) if wanted.fullmatch(line["label"].strip())]
    found = {verdict for line in lines if (verdict := _word(line["value"], question))}
    numbers = [line["value"] for line in lines if _AMOUNT.fullmatch(line["value"])]
    if any(not _NUMBER.fullmatch(own) for own in numbers) or (numbers and _OTHER_SCALE.search(_BINARY.sub("", text))):
        return Verdict.UNPARSED
    if len(found) != 1:
        return None
    return Verdict.UNPARSED if _TAKEN_BACK.search(text, lines[-1].end()) else found.pop()


def _from_json(text: str, question: Question) -> Verdict:
    fields = _fields(text)
    for keys in (_KEYS[question], _ANY_KEY):
        values = [value for key, value in fields if key.strip().casefold().replace(" ", "_") in keys]
        found = {_json_value(value, question) for value in values}
        if len(found) == 1:
            scaled = any(type(value) is int for value in values) and any(map(_SCALE_KEY.search, dict(fields)))
            return Verdict.UNPARSED if scaled else found.pop() or Verdict.UNPARSED
    return Verdict.UNPARSED


def _fields(text: str) -> Sequence[tuple[str, Any]]:
    """The fields of a JSON object in order, with those that occur again; none of anything else."""
    try:
        stored = json.loads(text, object_pairs_hook=_Fields)
    except (ValueError, RecursionError):  # not JSON, cut off, or nested beyond the parser's depth
        cut = _FIELD.finditer(text[:_CUT_JSON_CHARS])
        return _Fields((found["key"], json.loads(found["value"])) for found in cut)
    return stored if isinstance(stored, _Fields) else ()


class _Fields(list[tuple[str, Any]]):
    """A JSON object that keeps fields that occur again."""


def words_of_json(text: str) -> str:
    """The sentences in the fields of a JSON object, which may give a verdict that no field does.

    Empty for anything else, and where a field holds a yes, a no or a number: what it says depends on the field's name
    ({"dislike": "no"}).
    """
    values = [value for key, value in _fields(text) if key.strip().casefold() not in _CONFIDENCE]
    if any(isinstance(value, (int, float)) or (isinstance(value, str) and _is_yes_or_no(value)) for value in values):
        return ""
    return " ".join(value for value in values if isinstance(value, str) and len(value.split()) >= _FEWEST_WORDS)


def _is_yes_or_no(value: str) -> bool:
    return value.strip(" .!*").casefold() in _YES | _NO


def _json_value(value: Any, question: Question) -> Verdict | None:
    if isinstance(value, bool):
        return Verdict.YES if value else Verdict.NO
    if question is Question.JUDGE and value in (0, 1):
        return Verdict.YES if value else Verdict.NO
    return _word(value, question) if isinstance(value, str) else None
