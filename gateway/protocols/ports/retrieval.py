"""Pictures that the retrieval service finds and keeps, and who asks it, without how it is reached."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.protocols.ports.message import Message


class LexiconValue(NamedTuple):
    """A value and the words that stand for it in picture search."""

    id: str
    keywords: tuple[str, ...]


class Hit(NamedTuple):
    """A picture that a keyword found."""

    keyword: str
    image_id: str
    """SHA-256 of its bytes."""
    score: float
    """Cosine similarity, -1 to 1."""
    source: str = ""
    """Where it comes from in its owner's words."""


class ValueSearch(NamedTuple):
    """Pictures of a value, by keyword."""

    hits: tuple[Hit, ...]
    provenance: Message
    images: int
    """Pictures that were indexed."""


class Retrieval(Protocol):
    """The retrieval service. Every method raises Unavailable if it does not answer."""

    async def lexicon(self) -> list[LexiconValue]:
        """The values in their order."""

    async def search_value(
        self,
        value: str,
        keywords: Sequence[str],
        k: int,
        search_filter: Message | None,
        score_threshold: float | None,
    ) -> ValueSearch:
        """The k pictures nearest to each keyword of a value, as far as they reach a cosine similarity."""

    async def picture(self, image_id: str) -> bytes:
        """A stored picture's bytes. Raises NotFound if there is none."""
