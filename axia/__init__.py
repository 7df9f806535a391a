"""axia: detects what people value in an image, with vision-language models behind one small client.

    >>> import axia
    >>> with axia.Client() as client:
    ...     detection = client.detect("kitchen.jpg")
    >>> detection.consensus, detection.agreement
    ('a pot boiling over', 0.67)

Clients
    Client, AsyncClient, TLS
Results
    Completion, Deleted, Detection, FrameDetection, FrameFailed, FrameSuperseded, Group, ImageInfo, ImageMetadata,
    IndexStats, Indexed, Interest, InterestJudgement, ItemFailure, JudgedAnswer, JudgedAnswers, ListedImage, ModelInfo,
    ModelList, ModelStatus, Preference, PreferenceJudgement, PreferencePlan, PreferenceSummary, Prompt, Provenance,
    Purged, Reading, Reindex, Rejected, SearchHit, SearchResult, StoredImage, Updated, ValueList, ValueSearchResult
What calls take beside images
    AlignmentItem, GroundTruth, IsqItems, MisalignmentItem, ModelScores, PersonaOutcome, PreferenceAnswer, Rating,
    SearchFilter
Errors, drawn as a tree in `axia.errors`
    AxiaError, Cancelled, ConnectionFailed, DeadlineExceeded, FailedPrecondition, FieldViolation, InvalidRequest,
    NotFound, Overloaded, ServerError, Unauthenticated, Unavailable
Version
    __version__

The parts of these results are in `axia.results`; a gateway for your own tests is in `axia.testing`.

Importing this package imports nothing else: each name is loaded when it is first used, because whoever imports the
stubs in `axia.v1` runs this module too.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axia._connection.transport import TLS
    from axia.aio import AsyncClient
    from axia.client import Client
    from axia.errors import (
        AxiaError,
        Cancelled,
        ConnectionFailed,
        DeadlineExceeded,
        FailedPrecondition,
        FieldViolation,
        InvalidRequest,
        NotFound,
        Overloaded,
        ServerError,
        Unauthenticated,
        Unavailable,
    )
    from axia.inputs import (
        AlignmentItem,
        GroundTruth,
        IsqItems,
        MisalignmentItem,
        ModelScores,
        PersonaOutcome,
        PreferenceAnswer,
        Rating,
        SearchFilter,
    )
    from axia.results import (
        Completion,
        Deleted,
        Detection,
        FrameDetection,
        FrameFailed,
        FrameSuperseded,
        Group,
        ImageInfo,
        ImageMetadata,
        Indexed,
        IndexStats,
        Interest,
        InterestJudgement,
        ItemFailure,
        JudgedAnswer,
        JudgedAnswers,
        ListedImage,
        ModelInfo,
        ModelList,
        ModelStatus,
        Preference,
        PreferenceJudgement,
        PreferencePlan,
        PreferenceSummary,
        Prompt,
        Provenance,
        Purged,
        Reading,
        Reindex,
        Rejected,
        SearchHit,
        SearchResult,
        StoredImage,
        Updated,
        ValueList,
        ValueSearchResult,
    )
    from axia.version import __version__

__all__ = [
    "TLS",
    "AlignmentItem",
    "AsyncClient",
    "AxiaError",
    "Cancelled",
    "Client",
    "Completion",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Deleted",
    "Detection",
    "FailedPrecondition",
    "FieldViolation",
    "FrameDetection",
    "FrameFailed",
    "FrameSuperseded",
    "GroundTruth",
    "Group",
    "ImageInfo",
    "ImageMetadata",
    "IndexStats",
    "Indexed",
    "Interest",
    "InterestJudgement",
    "InvalidRequest",
    "IsqItems",
    "ItemFailure",
    "JudgedAnswer",
    "JudgedAnswers",
    "ListedImage",
    "MisalignmentItem",
    "ModelInfo",
    "ModelList",
    "ModelScores",
    "ModelStatus",
    "NotFound",
    "Overloaded",
    "PersonaOutcome",
    "Preference",
    "PreferenceAnswer",
    "PreferenceJudgement",
    "PreferencePlan",
    "PreferenceSummary",
    "Prompt",
    "Provenance",
    "Purged",
    "Rating",
    "Reading",
    "Reindex",
    "Rejected",
    "SearchFilter",
    "SearchHit",
    "SearchResult",
    "ServerError",
    "StoredImage",
    "Unauthenticated",
    "Unavailable",
    "Updated",
    "ValueList",
    "ValueSearchResult",
    "__version__",
]

_MODULES = {
    "axia._connection.transport": ("TLS",),
    "axia.aio": ("AsyncClient",),
    "axia.client": ("Client",),
    "axia.errors": (
        "AxiaError",
        "Cancelled",
        "ConnectionFailed",
        "DeadlineExceeded",
        "FailedPrecondition",
        "FieldViolation",
        "InvalidRequest",
        "NotFound",
        "Overloaded",
        "ServerError",
        "Unauthenticated",
        "Unavailable",
    ),
    "axia.inputs": (
        "AlignmentItem",
        "GroundTruth",
        "IsqItems",
        "MisalignmentItem",
        "ModelScores",
        "PersonaOutcome",
        "PreferenceAnswer",
        "Rating",
        "SearchFilter",
    ),
    "axia.results": (
        "Completion",
        "Deleted",
        "Detection",
        "FrameDetection",
        "FrameFailed",
        "FrameSuperseded",
        "Group",
        "ImageInfo",
        "ImageMetadata",
        "IndexStats",
        "Indexed",
        "Interest",
        "InterestJudgement",
        "ItemFailure",
        "JudgedAnswer",
        "JudgedAnswers",
        "ListedImage",
        "ModelInfo",
        "ModelList",
        "ModelStatus",
        "Preference",
        "PreferenceJudgement",
        "PreferencePlan",
        "PreferenceSummary",
        "Prompt",
        "Provenance",
        "Purged",
        "Reading",
        "Reindex",
        "Rejected",
        "SearchHit",
        "SearchResult",
        "StoredImage",
        "Updated",
        "ValueList",
        "ValueSearchResult",
    ),
    "axia.version": ("__version__",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
