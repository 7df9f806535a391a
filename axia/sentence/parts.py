"""Parts of a text within which no sentence ends: quotations and an answer in JSON."""

_CLOSING_QUOTES = {
    '"': '"', "'": "'", "“": "”", "”": "”", "‘": "’", "„": "“”", "‚": "‘’", "«": "»", "‹": "›", "「": "」", "『": "』",
    "《": "》", "〈": "〉",
}  # fmt: skip
_BOTH_WAYS = frozenset("\"'”")
"""Quotes that open and close, by what stands before them."""
_BEFORE_QUOTE = frozenset("([{*_—–-:,")
_APOSTROPHES = frozenset("'’")
_LONGEST = 300
"""Characters after which a quote that nothing closes is no quotation, such as that of 12" or '90s."""


class Quotation:
    """Whether a place is within a quotation; of nested ones only the outermost counts."""

    def __init__(self) -> None:
        self._closing = ""
        self.begin = 0
        """Index of the opening quote."""
        self.pending: int | None = None
        """Where the sentence ends if nothing closes the quotation."""

    @property
    def open(self) -> bool:
        """Whether the place is within one."""
        return bool(self._closing)

    def is_too_long(self, position: int) -> bool:
        """Whether an open quotation is none, for its length up to a position."""
        return self.open and position - self.begin > _LONGEST

    def opens(self, char: str, before: str) -> bool:
        """Whether a character opens a quotation; `before` is the one in front, white space at the start."""
        return char in _CLOSING_QUOTES and (before.isspace() or before in _BEFORE_QUOTE or char not in _BOTH_WAYS)

    def start(self, char: str, position: int) -> None:
        """Opens one."""
        self._closing, self.begin = _CLOSING_QUOTES[char], position

    def closes(self, chars: str | list[str]) -> bool:
        """Whether one of some characters closes the open quotation."""
        return self.open and any(char in self._closing for char in chars)

    def end(self) -> None:
        """Closes it: what ended within it was not the sentence."""
        self._closing, self.pending = "", None

    @staticmethod
    def may_be_apostrophe(char: str) -> bool:
        """Whether a closing quote is an apostrophe where a letter follows."""
        return char in _APOSTROPHES


class JsonAnswer:
    """Finds the end of a JSON object or array."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._escaped = False

    def ends_with(self, char: str) -> bool:
        """Reads the next character; whether it is the last of the JSON."""
        if self._open and self._open[-1] == '"':
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._open.pop()
        elif char in '{["':
            self._open.append(char)
        elif char in "}]":
            self._open.pop()
        return not self._open
