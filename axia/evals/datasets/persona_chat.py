"""Persona-Chat (arXiv 1801.07243): personas of a few trait sentences, as the role-play of Value-Spectrum plays them."""

import json
import re
from pathlib import Path

from axia.evals.annotations.record import AnnotationError
from axia.evals.annotations.tables import read_text
from axia.evals.datasets.folder import file_of
from axia.evals.datasets.layout import Layout

OWN = Layout(file="valid_self_original.txt")
"""A file of the archive, whose names are SPLIT_WHOSE_FORM.txt; one with ``self`` has one persona a dialogue."""

_LINE = re.compile(r"^(\d+) (.*)$", re.DOTALL)
_TRAIT = "your persona: "


def convert(folder: Path, layout: Layout) -> list[tuple[str, ...]]:
    """The distinct personas of a file, in its order, each with its traits.

    Raises:
        AnnotationError: If the file can't be read, a line has no number, or there are no personas.
    """
    path = file_of(folder, layout.file or "", "a file of dialogues")
    if path.is_dir():
        raise AnnotationError(f"{path} is a folder: name one of its .txt files as `file` with --columns")
    personas: dict[frozenset[str], tuple[str, ...]] = {}  # the same traits in another order are the same persona
    traits: list[str] = []
    for number, line in enumerate(read_text(path, ".txt").split("\n"), start=1):
        if not line.strip():
            continue
        numbered = _LINE.match(line.rstrip("\r"))
        if numbered is None:
            raise AnnotationError(
                f"{path}, line {number}: does not begin with its number in the dialogue; is it a file of Persona-Chat, "
                "as ParlAI unpacks it?"
            )
        if numbered[1] == "1":
            personas.setdefault(frozenset(traits), tuple(traits))
            traits = []
        if numbered[2].startswith(_TRAIT):
            traits.append(numbered[2].removeprefix(_TRAIT).strip())
    personas.setdefault(frozenset(traits), tuple(traits))
    personas.pop(frozenset(), None)  # before the first dialogue, and of dialogues without a persona
    if not personas:
        raise AnnotationError(f"{path} has no line with {_TRAIT!r}: give a file with `self` or `both` in its name")
    return list(personas.values())


def as_toml(traits: tuple[str, ...], source: str) -> str:
    """A persona as `--persona` of the commands takes it."""
    lines = "".join(f"    {json.dumps(trait, ensure_ascii=False)},\n" for trait in traits)
    return f"# From {source}.\ntraits = [\n{lines}]\n"
