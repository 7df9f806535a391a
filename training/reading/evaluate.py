"""Prints how well the reader reads each author's texts: python -m training.reading.evaluate --authors 12,13,19,20.

Everything goes the way that it goes in the service: forms, rules, reader model, thresholds.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.scoring.reading.alignment import AlignmentItem, Judge
from services.scoring.reading.grouping import Consensus
from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.language import Language
from services.scoring.reading.model import PACKAGED, load_reader
from services.scoring.reading.response_types import is_literally_none
from training.reading import corpus
from training.reading.calibrate import alignment_answers
from training.reading.corpus import HELD_OUT, CompletionSet
from training.reading.examples import sentence_examples
from training.reading.figures import kappa, macro_f1

PHRASINGS = 3
"""Annotators' phrasings beside the element, as many as in the study's smallest group."""
_OPPOSITES = {Verdict.YES, Verdict.NO}
_REFUSES = re.compile(
    r"\b(?:sorry|apologi[sz]e|can't|cannot|can not|unable|won't|not able|declin\w+|not comfortable)\b", re.I
)
_NOTHING = re.compile(r"^\W*(?:none|nothing|no)\b|\bnothing\b|\bno \w+ (?:needs|requires)\b", re.I)


def alignment(language: Language, author: int, judge: Judge) -> dict[str, float]:
    """κ with phrasings and with the element alone."""
    figures: dict[str, float] = {}
    for name, phrasings in (("with_phrasings", PHRASINGS), ("element_alone", 0)):
        items, labels = [], []
        for situation in corpus.situations([author]):
            for text, label in alignment_answers(situation):
                items.append(AlignmentItem(text, situation.element, situation.phrasings[:phrasings]))
                labels.append(bool(label))
        found = [bool(verdict.aligned) for verdict in language.align(items, judge)]
        figures[name] = kappa(np.array(labels), np.array(found))
    return figures


def grouping(language: Language, author: int) -> dict[str, float]:
    """F1 of pairs of the same meaning, and the share of sets with the right consensus or abstention."""
    counts, right = Counter[str](), 0
    sets = corpus.completion_sets([author])
    for completion_set in sets:
        consensus = language.summarize(completion_set.sentences, 0.5)
        place = {index: number for number, group in enumerate(consensus.groups) for index in group.members}
        for one in range(len(completion_set.sentences)):
            for other in range(one):
                truth, found = completion_set.groups[one] == completion_set.groups[other], place[one] == place[other]
                counts["both" if truth and found else "truth" if truth else "found" if found else ""] += 1
        right += is_right(completion_set, consensus)
    return {
        "pair_f1": 2 * counts["both"] / max(1, 2 * counts["both"] + counts["truth"] + counts["found"]),
        "consensus_right": right / max(1, len(sets)),
    }


def is_right(completion_set: CompletionSet, consensus: Consensus) -> bool:
    """Whether a consensus names what the largest labelled group says, or abstains where that is no consensus."""
    sizes = Counter(completion_set.groups).most_common()
    largest = [
        text
        for text, group in zip(completion_set.sentences, completion_set.groups, strict=True)
        if group == sizes[0][0]
    ]
    share = sizes[0][1] / len(completion_set.groups)
    declined = sum(bool(_REFUSES.search(text)) and "attention" not in text for text in completion_set.sentences)
    silent = any(is_literally_none(text) or _NOTHING.search(text) for text in largest)
    abstains = (
        share < 0.5
        or (len(sizes) > 1 and sizes[1][1] == sizes[0][1])
        or 2 * declined >= len(completion_set.sentences)
        or (silent and share <= 0.5)
    )
    return consensus.abstain if abstains else not consensus.abstain and consensus.element in largest


def verdicts(language: Language, author: int, part: corpus.Part, question: Question) -> dict[str, float]:
    """Share of right verdicts and of opposites."""
    if part == "judge":
        names = {1: Verdict.YES, 0: Verdict.NO, None: Verdict.UNPARSED}
        rows = [row._replace(label=names[row.label]) for row in corpus.labelled([author], "judge", "answer", "aligned")]
    else:
        rows = [row._replace(label=Verdict(row.label)) for row in corpus.labelled([author], part, "answer", "label")]
    if not rows:
        return {}
    found = [reading.verdict for reading in language.decide(question, [row.text for row in rows])]
    if part == "judge":  # a judge that declines gives no verdict either
        found = [Verdict.UNPARSED if verdict is Verdict.REFUSAL else verdict for verdict in found]
    pairs = list(zip(rows, found, strict=True))
    return {
        "right": sum(row.label is verdict for row, verdict in pairs) / len(rows),
        "opposite": sum({row.label, verdict} == _OPPOSITES for row, verdict in pairs) / len(rows),
        "n": len(rows),
    }


def types(language: Language, author: int) -> dict[str, float]:
    """Macro-F1 over the six kinds, 0 standing for no answer."""
    rows = corpus.labelled([author], "types", "sentence", "type")
    if not rows:
        return {}
    found = [int(kind.type) for kind in language.classify([row.text for row in rows])]
    return {"macro_f1": macro_f1([row.label for row in rows], found, range(6)), "n": len(rows)}


def values(language: Language, author: int) -> dict[str, float]:
    """Recall of answers that concern a value, whether the heaviest is right, and "nothing at stake"."""
    concern = [
        (situation, text)
        for situation in corpus.situations([author])
        if situation.value_labels
        for text in situation.aligned
    ]
    plain = [
        example.text
        for example in sentence_examples([author])
        if example.values is not None and example.values[-1] == 1.0
    ]
    found = language.attribute([text for _, text in concern])
    heaviest = [
        max(attribution.values, key=lambda name: attribution.values[name]) if attribution.at_stake else ""
        for attribution in found
    ]
    read = _values_read_alone(author)
    return {
        "recall": sum(attribution.at_stake for attribution in found) / len(found),
        "heaviest_right": sum(
            h == situation.heaviest_value for h, (situation, _) in zip(heaviest, concern, strict=True)
        )
        / len(found),
        **({"readers_right": sum(read) / len(read)} if read else {}),
        "nothing_right": sum(not attribution.at_stake for attribution in language.attribute(plain)) / len(plain),
    }


def _values_read_alone(author: int) -> list[bool]:
    """Whether readers of the answer alone, as the model is, named the heaviest value first, as they were told."""
    heaviest = {situation.element: situation.heaviest_value for situation in corpus.situations([author])}
    path = corpus.DATA / "value_labels_of_answers.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        labels[0] == heaviest[row["element"]] for row in rows if row["author"] == author for labels in row["annotators"]
    ]


def evaluate(language: Language, author: int) -> dict[str, Any]:
    """All figures of one author."""
    return {
        "alignment": {judge.value: alignment(language, author, judge) for judge in (Judge.SEMANTIC, Judge.LEXICAL)},
        "grouping": grouping(language, author),
        "like": verdicts(language, author, "like", Question.LIKE),
        "interest": verdicts(language, author, "interest", Question.INTEREST),
        "judge": verdicts(language, author, "judge", Question.JUDGE),
        "types": types(language, author),
        "values": values(language, author),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", default=",".join(map(str, HELD_OUT)), help="numbers, separated by commas")
    parser.add_argument("--model", type=Path, default=PACKAGED, help="folder of the reader model")
    given = parser.parse_args(arguments)
    language = Language(load_reader(given.model, remembered=500_000))
    figures = {author: evaluate(language, author) for author in map(int, given.authors.split(","))}
    sys.stdout.write(json.dumps(figures, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
