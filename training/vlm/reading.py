"""What is read from a demo model's answers. Needs no model, so that tests of what it is taught need none."""

from __future__ import annotations

import re

from demo.world.truth import Questionnaire
from training.vlm.wording import ITEMS


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a word; the whole text where there is none."""
    found = re.match(r".*?[.!?](?=\s|$)", text.strip(), re.DOTALL)
    return found.group(0) if found else text.strip()


def parse_questionnaire(text: str) -> Questionnaire | None:
    """The six scores of an answer; None unless each has a line of its own with a number in range."""
    scores = []
    for item in ITEMS:
        found = re.search(rf"^{item}: (\d+(?:\.\d+)?)$", text, re.MULTILINE)
        if found is None:
            return None
        scores.append(float(found.group(1)))
    if not all(0 <= score <= 10 for score in scores[:4]) or not all(0 <= score <= 1 for score in scores[4:]):
        return None
    v_a, c_s, e_e, v_e = (round(score) for score in scores[:4])
    return Questionnaire(v_a, c_s, e_e, v_e, scores[4], scores[5])
