"""What annotators named in a picture: an input of detections, and a part of what produced one."""

from typing import Literal

from pydantic import ConfigDict

from axia.results.base import Result

Judge = Literal["lexical", "semantic", "model"]
"""Who judges whether an answer names an element: words, sentence embeddings, or a model."""


class GroundTruth(Result):
    """What annotators named in a picture."""

    model_config = ConfigDict(extra="forbid")

    element: str
    """The element; ``none`` where nothing needs attention."""
    accept: tuple[str, ...] = ()
    """Other phrasings that count as well, at most 64."""
    judge: Judge = "lexical"
    """Who judges."""
    judge_model: str = ""
    """With the judge ``model``: its name. Empty: the model that answered."""
