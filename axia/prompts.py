"""The prompts that axia puts to models: data files with id, text, source and hash.

A study's prompt is quoted word for word, so a slip of the keyboard must not change it unnoticed: each file states the
SHA-256 of every text, and loading refuses a text that no longer matches.

    >>> load_prompts()["detect/baseline"].verbatim
    'Identify what is the element that needs attention in this image'
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

DEFAULT_DETECTION_PROMPT = "detect/baseline"
"""Id of the prompt of the values-detector study (arXiv 2501.03957)."""


class PromptText(BaseModel):
    """One prompt with where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Name in requests: topic, slash, variant."""
    text: str
    """What is sent. Names in braces are filled in by whoever sends it."""
    sha256: str
    """SHA-256 of `text` in UTF-8 as lower-case hexadecimal."""
    source: str = ""
    """The document that the text comes from, and which words are axia's own."""
    verbatim: str = ""
    """The part that a study put to models word for word."""
    role: Literal["user", "system"] = "user"
    """Whether the user asks it or the system says it."""

    @model_validator(mode="after")
    def _text_is_what_it_was(self) -> "PromptText":
        actual = sha256_of(self.text)
        if actual != self.sha256:
            raise ValueError(
                f"the text of prompt {self.id!r} has SHA-256 {actual}, its file states {self.sha256}; "
                "a changed text needs an id of its own, so that results under the old id stay comparable"
            )
        if self.verbatim not in self.text:
            raise ValueError(f"prompt {self.id!r} does not contain its own verbatim part {self.verbatim!r}")
        return self

    @classmethod
    def own(cls, text: str, role: Literal["user", "system"] = "user") -> "PromptText":
        """Wraps a caller's own text, which has no id and no source."""
        return cls(id="", text=text, sha256=sha256_of(text), role=role)


def sha256_of(text: str) -> str:
    """SHA-256 of a text in UTF-8 as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def load_prompts() -> Mapping[str, PromptText]:
    """Loads the prompts that come with axia, by id in the order of the files.

    Raises:
        ValueError: If a text does not match its hash or an id occurs twice.
    """
    folder = resources.files("axia.data") / "prompts"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return parse_prompts(f.read_text(encoding="utf-8") for f in files)


def parse_prompts(documents: Iterable[str]) -> Mapping[str, PromptText]:
    """Parses prompt files in TOML into prompts by id; see `load_prompts`."""
    prompts: dict[str, PromptText] = {}
    for document in documents:
        for table in tomllib.loads(document)["prompt"]:
            prompt = PromptText.model_validate(table)
            if prompt.id in prompts:
                raise ValueError(f"two prompts have the id {prompt.id!r}")
            prompts[prompt.id] = prompt
    return prompts
