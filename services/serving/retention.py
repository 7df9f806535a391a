"""What servers keep of a call after its answer, which they say in each answer."""

from enum import StrEnum

from services.serving.identity.access import ROUTES, RPCS

RETENTION_KEY = "axia-retention"
"""Trailing metadata of each answer over gRPC, and its header over HTTP."""


class Retention(StrEnum):
    """What is kept."""

    NONE = "none"
    """Nothing of the request or the answer."""
    MEMORY = "memory"
    """Parts may stay in caches in memory, of bounded size, until others take their place or the server ends; nothing
    is on disk. The documentation lists the caches (docs/privacy.md)."""
    STORED = "stored"
    """Images or metadata are on disk until they are deleted."""


_RETRIEVAL, _SCORING = "/axia.v1.RetrievalService/", "/axia.v1.ScoringService/"
_STORED = {f"{_RETRIEVAL}{name}" for name in ("IndexImages", "UpdateImages")}
_NONE = {
    "/axia.v1.GatewayService/ListModels",
    "/axia.v1.InferenceService/GetModel",
    *(
        f"{_RETRIEVAL}{name}"
        for name in (
            "SearchByImage", "ListValues", "GetImages", "ListImages", "GetStats", "DeleteImages", "PurgeImages",
            "StartReindex", "GetReindex",
        )
    ),
    *(
        f"{_SCORING}{name}"
        for name in ("ScorePreference", "ComparePreferences", "ScorePersona", "CompareModels", "MeasureAgreement")
    ),
}  # fmt: skip


def retention_of(method: str) -> Retention | None:
    """What is kept of a call.

    Args:
        method: Full name of an RPC, such as /axia.v1.GatewayService/DetectValues.

    Returns:
        None for a method that isn't of the suite's contract, such as health.
    """
    if method not in RPCS or not method.startswith("/axia."):
        return None
    if method in _STORED:
        return Retention.STORED
    return Retention.NONE if method in _NONE else Retention.MEMORY


def retention_of_route(route: str) -> Retention | None:
    """The same for an HTTP route, by method and path, such as "POST /v1/detect"; None where no RPC answers."""
    entry = ROUTES.get(route)
    return retention_of(entry) if isinstance(entry, str) else None
