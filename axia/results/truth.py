"""What annotators named in an image: an input of detections, and a part of what produced one."""

from typing import Literal

from pydantic import ConfigDict

from axia.results.base import Result

Judge = Literal["lexical", "semantic", "model"]
"""Who judges whether an answer names an element: words, the reader model, or a vision-language model."""


class GroundTruth(Result):
    """What annotators named in an image."""

    model_config = ConfigDict(extra="forbid")

    element: str
    """The element; ``none`` where nothing needs attention."""
    accept: tuple[str, ...] = ()
    """Other phrasings that count as well, at most 64."""
    judge: Judge = "semantic"
    """Who judges."""
    judge_model: str = ""
    """With the judge ``model``: its name. Empty: the model that answered."""
    judge_samples: int = 1
    """With the judge ``model``: how many times it is asked about each answer, 1 to 25. Asked once, it answers at
    temperature 0; more often, at temperature 1, and the majority counts."""
    judge_structured: bool = False
    """With the judge ``model``: whether it is held to the answers "yes" and "no"."""
