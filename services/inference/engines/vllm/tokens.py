"""Which texts mean something to a model beside what they say: its special tokens, of those that its tokenizer adds."""

import re
from collections.abc import Iterable
from typing import Any

from services.inference.engines.engine import Role

_MARKED = re.compile(
    r"(?<![a-z])(?:im(?:g|age|_|(?![a-z]))|vision|patch|slice|video|audio|speech|media|multimodal|"
    r"turn|role|user|assistant|system|human|header|observation|eo[tsdm](?![a-z])|bo[tsd](?![a-z])|inst|sys|begin|end|"
    r"tool|function|python_tag)",
    re.IGNORECASE,
)
"""Names of tokens that mark images, turns and tools; those of other added tokens are text."""
_WRITTEN_BY_MODELS = re.compile(r"tool|function|think|box|ref|quad|point|poly|loc|seg|obj|fim|ocr|table", re.IGNORECASE)
"""Names of tokens that a model's own answer may hold: what it points at, calls or thinks."""
_DELIMITED = re.compile(r"\S*[<\[{|｜][\s\S]*[>\]}|｜]\S*")
"""Between brackets or bars, as all tokens are that no text holds by chance. Some tokenizers call "!" special."""


class SpecialTokens:
    """The special tokens of a tokenizer, by who may not write them.

    Tokenizers add texts of three kinds: special ones, which begin turns or stand for pictures; markers that are not
    flagged as special, such as "<tool_call>"; and plain text that is one token to be short, such as Gemma's line
    breaks, spaces and HTML tags. The last are text.

    Args:
        special: Texts of the tokens that the tokenizer calls special.
        added: Texts of all tokens that were added to its vocabulary.
    """

    def __init__(self, special: Iterable[str], added: Iterable[str]) -> None:
        candidates = {*special, *(text for text in added if _MARKED.search(text))}
        self._refused = tuple(sorted(text for text in candidates if _DELIMITED.fullmatch(text)))
        self._in_answers = tuple(text for text in self._refused if not _WRITTEN_BY_MODELS.search(text))

    def of(self, role: Role) -> tuple[str, ...]:
        """Tokens that a message must not hold.

        A model's own earlier answer may hold what it writes itself, such as boxes, references and reasoning; what would
        end its turn or stand for a picture is refused there too.
        """
        return self._in_answers if role is Role.ASSISTANT else self._refused


def read_special_tokens(tokenizer: Any) -> SpecialTokens:
    """The special tokens of a tokenizer of transformers or mistral-common."""
    added: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    flagged = getattr(tokenizer, "added_tokens_decoder", {})
    special = {str(token) for token in flagged.values() if token.special} | set(tokenizer.all_special_tokens)
    return SpecialTokens(special - {""}, added)
