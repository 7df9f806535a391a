"""Outputs that can't encode every character get ASCII for axia's own signs, and escapes for everything else."""

import codecs
import io
import re
import sys
from json import dumps

_NAME = "axia.signs"
_SIGNS = {
    "✓": "+", "✗": "x", "·": "*", "—": "-", "–": "-", "−": "-", "─": "-", "…": "...", "κ": "kappa", "ε": "e", "×": "x",
    "≥": ">=", "≤": "<=", "→": "->", "“": '"', "”": '"', "‘": "'", "’": "'", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
"""Stand in for what tables and messages are made of; models use some of it as well."""
_REPLACED = ("strict", "surrogateescape", "backslashreplace")
"""How Python treats what it can't encode where nobody said how."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`: signs in ASCII, and all else as Python's escapes, so that nothing is lost."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_SIGNS.get(char) or _escaped(char) for char in text), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(_NAME, _in_ascii)


def degrade_gracefully() -> None:
    """Lets standard output and error print whatever they can encode, and the rest in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _REPLACED:
            stream.reconfigure(errors=_NAME)


def encodable_json(text: str) -> str:
    """JSON as standard output can encode it: the same value, with escapes where characters can't be written."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]+", lambda found: dumps(found[0])[1:-1], text)
    return text
