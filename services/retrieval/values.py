"""The lexicon of values as this service uses it: loaded once, with the hash that results carry."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from axia.lexicon import DATA, VALUES, Lexicon, LexiconError, Value, load_lexicon, normal_keyword
from services.serving.errors import FailedPrecondition, InvalidArgument


class Values:
    """The values and their keywords.

    Args:
        path: A lexicon file; None takes axia's own.

    Raises:
        FailedPrecondition: If the file can't be read or breaks a rule; names the file and the rule.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            self.lexicon: Lexicon = load_lexicon(path)
            self.sha256 = hashlib.sha256((path or DATA).read_bytes()).hexdigest()
        except LexiconError as error:
            # A text of ours, about the operator's file.
            raise FailedPrecondition(
                f"{error}; correct the file, or leave AXIA_RETRIEVAL_LEXICON unset", reason="LEXICON_BROKEN"
            ) from error

    @property
    def in_order(self) -> list[Value]:
        """The values in the order of the published tables."""
        return sorted(self.lexicon.values, key=lambda value: VALUES.index(value.id))

    def value(self, value_id: str) -> Value:
        """The value of an id.

        Raises:
            InvalidArgument: About `value`, if there is none.
        """
        for value in self.lexicon.values:
            if value.id == value_id:
                return value
        known = ", ".join(value.id for value in self.lexicon.values)
        raise InvalidArgument("value", f"is not a value of the lexicon; there are {known}", reason="VALUE_UNKNOWN")

    def keywords(self, value: Value, wanted: Sequence[str]) -> tuple[str, ...]:
        """The keywords to search for, in the lexicon's order: those wanted, or all.

        Raises:
            InvalidArgument: About the keyword that isn't one of the value's or is named twice.
        """
        seen: set[str] = set()
        for number, keyword in enumerate(map(normal_keyword, wanted)):
            if keyword not in value.keywords:
                raise InvalidArgument(
                    f"keywords[{number}]",
                    f"is not a keyword of {value.id}, which has {', '.join(value.keywords)}",
                    reason="KEYWORD_UNKNOWN",
                )
            if keyword in seen:
                raise InvalidArgument(f"keywords[{number}]", "is given twice; give it once", reason="KEYWORD_REPEATED")
            seen.add(keyword)
        return tuple(keyword for keyword in value.keywords if not seen or keyword in seen)
