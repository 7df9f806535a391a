"""The prompts of evaluations: axia's, and further ones that the gateway doesn't offer to its callers."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from axia.prompts import PromptText, load_prompts, parse_prompts


@cache
def evaluation_prompts() -> Mapping[str, PromptText]:
    """All prompts that tasks name, by id."""
    text = (resources.files("axia.evals") / "prompts.toml").read_text(encoding="utf-8")
    return {**load_prompts(), **parse_prompts([text])}
