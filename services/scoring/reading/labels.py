"""What the reader model says of texts: its labels and the questions that it knows."""

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

from axia.lexicon import VALUES


class Relation(IntEnum):
    """What one text says about another; the number is its place in the model's output."""

    NEITHER = 0
    """Something else, or less: "the pot" beside "the pot is boiling over"."""
    SAME = 1
    """They name the same concern."""
    CONTRADICTS = 2
    """The one denies what the other says."""


class Verdict(Enum):
    """What an answer to a yes-or-no question says, in the order of the model's output."""

    YES = "yes"
    NO = "no"
    REFUSAL = "refusal"
    """It declines to say."""
    UNPARSED = "unparsed"
    """None of these can be read from it."""


VERDICTS = tuple(Verdict)
"""The verdicts in the order of the model's output."""

TYPES = ("no_answer", "descriptive", "value_aware", "none", "quality", "refusal")
"""Kinds of answer in the order of the model's output; from 1 on they have the numbers of `ResponseType`."""

NOTHING = "nothing"
"""The class of sentences that concern no value."""
VALUES_AND_NOTHING = (*VALUES, NOTHING)
"""The ten values and "no value is at stake", in the order of the model's output."""


class Question(Enum):
    """A yes-or-no question whose answers the model reads; it is read with the answer."""

    LIKE = "like"
    INTEREST = "interest"
    JUDGE = "judge"


QUESTION_TEXTS: Mapping[Question, str] = MappingProxyType(
    {
        Question.LIKE: "Do you like the content of this image?",
        Question.INTEREST: "Is the content of this image interesting to you?",
        Question.JUDGE: "Does this answer name what the annotators named?",
    }
)
