"""Images that are indexed, found, fetched and deleted."""

from datetime import datetime
from typing import Literal

from axia.results.base import FilePath, Result
from axia.results.detection import ImageInfo


class ImageMetadata(Result):
    """What is known of an image beside its pixels. As an argument every part may be left out."""

    platform: str = ""
    """Lower-case letters, digits and hyphens, at most 64."""
    capture_time: datetime | None = None
    """When it was captured, with a time zone; one without counts as UTC. None if not known."""
    source: str = ""
    """Where it comes from in the owner's words, at most 1,024 characters."""


class Indexed(Result):
    """An image is stored and durable."""

    path: FilePath | None
    """The path as given; None for bytes. In JSON as `ImageInfo` has it."""
    id: str
    """SHA-256 of its bytes, 64 lower-case hexadecimal digits."""
    info: ImageInfo
    """What was read from it."""
    duplicate: bool
    """Whether it was already stored."""
    perceptual_hash: str
    """64 bits as 16 hexadecimal digits; images whose hashes differ in few bits look alike."""


class Rejected(Result):
    """An image was refused; the others continue."""

    path: FilePath | None
    """The path as given; None for bytes. In JSON as `ImageInfo` has it."""
    reason: str
    """The cause in UPPER_SNAKE_CASE."""
    message: str
    """What is wrong and what to do."""


Acknowledgement = Indexed | Rejected
"""What became of an image."""


class Encoder(Result):
    """A model that maps images and texts into one space."""

    name: str
    """Its architecture, or the folder's name of a local one."""
    revision: str
    """Pretrained tag, or a hash of a local one's weights."""
    dimension: int
    """Length of its vectors."""


class SearchProvenance(Result):
    """What produced a search's result."""

    encoder: Encoder | None
    """The encoder."""
    store: str
    """``qdrant-edge`` or ``qdrant``."""
    images: int
    """Images that were indexed when the search ran."""
    lexicon_sha256: str
    """SHA-256 of the lexicon file; empty where none took part."""
    request_id: str
    """Id of the request, as in the logs."""
    keyword_prompts: tuple[str, ...] = ()
    """What keywords were put into before they were encoded, such as ``a photo of {}``; empty where none took part."""
    warnings: tuple[str, ...] = ()
    """What makes the result less good than it could be; empty where nothing does."""


class SearchHit(Result):
    """An image that was found."""

    id: str
    """Its id, for `get_images`."""
    score: float
    """Cosine similarity to the query, -1 to 1."""
    info: ImageInfo
    """What was read from it; its path is None."""
    metadata: ImageMetadata
    """What its owner said of it."""


class SearchResult(Result):
    """The images nearest to a text or an image."""

    hits: tuple[SearchHit, ...]
    """The nearest first."""
    provenance: SearchProvenance | None
    """What produced them."""
    next_page_token: str
    """For the next page; empty where none follows, and where all pages together have as many images as the service
    allows, 10,000 by default."""


class KeywordHits(Result):
    """Images of one keyword."""

    keyword: str
    """The keyword."""
    hits: tuple[SearchHit, ...]
    """The nearest first."""


class ValueSearchResult(Result):
    """Images of a value, each once."""

    value: str
    """The value's id."""
    keywords: tuple[KeywordHits, ...]
    """In the lexicon's order."""
    provenance: SearchProvenance | None
    """What produced them."""


class Keyword(Result):
    """A word that stands for a value in image search."""

    text: str
    """The word or phrase."""
    published: bool
    """Whether arXiv 2411.11479 names it; otherwise it is the lexicon's own."""


class LexiconValue(Result):
    """One of the ten values."""

    id: str
    """Such as ``self-direction``."""
    name: str
    """Name for people."""
    definition: str
    """What it means."""
    group: str
    """Higher-order group that it is counted under."""
    keywords: tuple[Keyword, ...]
    """Its keywords."""


class ValueList(Result):
    """The lexicon."""

    values: tuple[LexiconValue, ...]
    """In the order of the published tables."""
    lexicon_sha256: str
    """SHA-256 of the lexicon file."""


class StoredImage(Result):
    """A stored image."""

    id: str
    """Its id."""
    data: bytes | None
    """The encoded file; None where no image has this id."""
    info: ImageInfo | None
    """What was read from it."""
    metadata: ImageMetadata | None
    """What its owner said of it."""


class ListedImage(Result):
    """What is known of a stored image."""

    id: str
    """Its id."""
    info: ImageInfo
    """What was read from it."""
    metadata: ImageMetadata
    """What its owner said of it."""
    perceptual_hash: str
    """64 bits as 16 hexadecimal digits; images whose hashes differ in few bits look alike."""


class Updated(Result):
    """What was replaced."""

    updated: int
    """Images that were there."""
    not_found: int
    """Ids that no image had."""


class Purged(Result):
    """Nothing is left of deleted images."""

    orphans: int
    """Files of the image store that no image had, which were removed."""
    without_bytes: int
    """Images whose bytes the image store has lost."""


class Deleted(Result):
    """What was deleted."""

    deleted: int
    """Images that are gone now and were there."""
    not_found: int
    """Ids that no image had."""


class IndexStats(Result):
    """What is indexed; as a text, the number of images and how many of them are in the HNSW index.

    >>> print(client.stats())
    573 images; none is in the HNSW index, so all are searched exactly
    """

    images: int
    """Images that searches reach."""
    indexed_images: int
    """Of these, the number of images in the HNSW index; the others are searched exactly."""
    platforms: dict[str, int]
    """Images by platform; those without one are under ``""``."""
    encoder: Encoder | None
    """The encoder in use."""
    store: str
    """``qdrant-edge`` or ``qdrant``."""
    building: bool
    """Whether an index is being built now."""

    def __str__(self) -> str:
        """How many images there are and how they are searched, in words."""
        if not self.images:
            return "no images are indexed"
        rest = self.images - self.indexed_images
        pictures = f"{self.images:,} {'image' if self.images == 1 else 'images'}"
        if not self.indexed_images:
            told = f"{pictures}; none is in the HNSW index, so all are searched exactly"
        elif rest <= 0:
            told = f"{pictures}, all in the HNSW index"
        else:
            told = f"{pictures}; {self.indexed_images:,} in the HNSW index, {rest:,} searched exactly"
        return f"{told}; an index is being built" if self.building else told


class Reindex(Result):
    """How far a re-index with another encoder is."""

    id: str
    """Its id."""
    state: Literal["running", "succeeded", "failed"] | None
    """Where it is; None if not known."""
    encoder: Encoder | None
    """The new encoder; its dimension is 0 until it is loaded."""
    done: int
    """Images that are done."""
    total: int
    """Images in all, as far as known."""
    error: str
    """Why it failed; empty otherwise."""
