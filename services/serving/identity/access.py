"""Who may call what: the one table of every RPC and every HTTP route.

A server that offers an RPC or a route without an entry doesn't start, so that what is added later is not open by
mistake.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

from axia.identity.keys import Role


class Anyone(Enum):
    """Entries that name no role."""

    OPEN = "open"
    """Without a credential."""
    KNOWN = "known"
    """With any valid credential, whatever its roles."""


Access = Role | Anyone

OPEN: Final = Anyone.OPEN
KNOWN: Final = Anyone.KNOWN

_GATEWAY, _INFERENCE = "/axia.v1.GatewayService/", "/axia.v1.InferenceService/"
_RETRIEVAL, _SCORING = "/axia.v1.RetrievalService/", "/axia.v1.ScoringService/"

RPCS: dict[str, Access] = {
    "/grpc.health.v1.Health/Check": OPEN,
    "/grpc.health.v1.Health/List": OPEN,
    "/grpc.health.v1.Health/Watch": OPEN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": OPEN,
    f"{_GATEWAY}DetectValues": "detect",
    f"{_GATEWAY}StreamDetectValues": "detect",
    f"{_GATEWAY}WatchValues": "detect",
    f"{_GATEWAY}AssessPreference": "detect",
    f"{_GATEWAY}JudgeInterest": "detect",
    f"{_GATEWAY}JudgeAlignment": "detect",
    f"{_GATEWAY}ListModels": KNOWN,
    f"{_INFERENCE}Generate": "detect",
    f"{_INFERENCE}GenerateAll": "detect",
    f"{_INFERENCE}GetModel": KNOWN,
    f"{_RETRIEVAL}IndexImages": "ingest",
    f"{_RETRIEVAL}SearchByText": "search",
    f"{_RETRIEVAL}SearchByImage": "search",
    f"{_RETRIEVAL}SearchByValue": "search",
    f"{_RETRIEVAL}ListValues": "search",
    f"{_RETRIEVAL}GetImages": "search",
    f"{_RETRIEVAL}ListImages": "search",
    f"{_RETRIEVAL}GetStats": "search",
    f"{_RETRIEVAL}UpdateImages": "ingest",
    f"{_RETRIEVAL}DeleteImages": "admin",
    f"{_RETRIEVAL}PurgeImages": "admin",
    f"{_RETRIEVAL}StartReindex": "admin",
    f"{_RETRIEVAL}GetReindex": "admin",
    f"{_SCORING}ClassifyResponses": "score",
    f"{_SCORING}AttributeValues": "score",
    f"{_SCORING}SummarizeCompletions": "score",
    f"{_SCORING}ReadCompletions": "score",
    f"{_SCORING}ScoreAlignment": "score",
    f"{_SCORING}ReadVerdicts": "score",
    f"{_SCORING}ScorePreference": "score",
    f"{_SCORING}ComparePreferences": "score",
    f"{_SCORING}ScoreIsq": "score",
    f"{_SCORING}ScorePersona": "score",
    f"{_SCORING}ClassifyMisalignments": "score",
    f"{_SCORING}CompareModels": "score",
    f"{_SCORING}MeasureAgreement": "score",
}
"""By full method name."""

ROUTES: dict[str, str | Anyone] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /": OPEN,
    "GET /docs": OPEN,
    "MOUNT /docs/assets": OPEN,
    "GET /openapi.json": OPEN,
    # They say what to call instead, to clients of other interfaces.
    **{
        f"{verb} {path}": OPEN
        for verb in ("GET", "POST")
        for path in (
            "/v1/responses", "/v1/completions", "/v1/embeddings", "/v1/messages", "/api/chat", "/api/generate",
            "/chat/completions",
        )
    },
    "GET /v1/models": f"{_GATEWAY}ListModels",
    "GET /v1/models/{name:path}": f"{_GATEWAY}ListModels",
    "GET /v1/prompts": f"{_GATEWAY}ListModels",
    "POST /v1/detect": f"{_GATEWAY}DetectValues",
    "POST /v1/detect/stream": f"{_GATEWAY}StreamDetectValues",
    "WEBSOCKET /v1/watch": f"{_GATEWAY}WatchValues",
    "POST /v1/preference": f"{_GATEWAY}AssessPreference",
    "POST /v1/interest": f"{_GATEWAY}JudgeInterest",
    "POST /v1/judge": f"{_GATEWAY}JudgeAlignment",
    "POST /v1/chat/completions": f"{_INFERENCE}Generate",
    "POST /v1/search/text": f"{_RETRIEVAL}SearchByText",
    "POST /v1/search/image": f"{_RETRIEVAL}SearchByImage",
    "POST /v1/search/value": f"{_RETRIEVAL}SearchByValue",
    "GET /v1/values": f"{_RETRIEVAL}ListValues",
    "GET /v1/stats": f"{_RETRIEVAL}GetStats",
    "POST /v1/images": f"{_RETRIEVAL}IndexImages",
    "GET /v1/images/{id}": f"{_RETRIEVAL}GetImages",
    "GET /v1/images/{id}/metadata": f"{_RETRIEVAL}GetImages",
    "DELETE /v1/images/{id}": f"{_RETRIEVAL}DeleteImages",
    "POST /v1/images/list": f"{_RETRIEVAL}ListImages",
    "POST /v1/images/update": f"{_RETRIEVAL}UpdateImages",
    "POST /v1/images/delete": f"{_RETRIEVAL}DeleteImages",
    "POST /v1/images/purge": f"{_RETRIEVAL}PurgeImages",
    "POST /v1/reindex": f"{_RETRIEVAL}StartReindex",
    "GET /v1/reindex": f"{_RETRIEVAL}GetReindex",
    "GET /v1/reindex/{id}": f"{_RETRIEVAL}GetReindex",
    "POST /v1/score/response-types": f"{_SCORING}ClassifyResponses",
    "POST /v1/score/values": f"{_SCORING}AttributeValues",
    "POST /v1/score/summary": f"{_SCORING}SummarizeCompletions",
    "POST /v1/score/readings": f"{_SCORING}ReadCompletions",
    "POST /v1/score/alignment": f"{_SCORING}ScoreAlignment",
    "POST /v1/score/verdicts": f"{_SCORING}ReadVerdicts",
    "POST /v1/score/preference": f"{_SCORING}ScorePreference",
    "POST /v1/score/preference-comparison": f"{_SCORING}ComparePreferences",
    "POST /v1/score/isq": f"{_SCORING}ScoreIsq",
    "POST /v1/score/persona": f"{_SCORING}ScorePersona",
    "POST /v1/score/misalignments": f"{_SCORING}ClassifyMisalignments",
    "POST /v1/score/model-comparison": f"{_SCORING}CompareModels",
    "POST /v1/score/agreement": f"{_SCORING}MeasureAgreement",
}  # fmt: skip
"""By method and path: the RPC that answers, whose entry holds, or that nothing is asked of the gateway."""


class NoEntry(Exception):
    """An RPC or a route is offered that the table doesn't name."""


def require_entries(offered: Iterable[str], table: dict[str, Any]) -> None:
    """Raises NoEntry if something is offered that a table has no entry for."""
    missing = sorted(set(offered) - set(table))
    if missing:
        raise NoEntry(
            f"{', '.join(missing)}: no entry in services/serving/identity/access.py says who may call it; "
            "add one before it is offered"
        )


def methods_of(handlers: Iterable[Any]) -> list[str]:
    """The full names of the methods that gRPC's generic handlers answer.

    Raises:
        NoEntry: If a handler doesn't tell its methods, which could be any.
    """
    found: list[str] = []
    for handler in handlers:
        methods = getattr(handler, "_method_handlers", None)  # gRPC has no public name for it
        if not isinstance(methods, dict):
            raise NoEntry(
                f"the methods of {type(handler).__name__} can't be listed; use method_handlers_generic_handler"
            )
        found += methods
    return found


class RecordingServer:
    """Stands before a server while a component registers, and remembers what is offered.

    Args:
        server: Gets everything passed on.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.methods: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """As the server's own."""
        handlers = tuple(handlers)
        self.methods += methods_of(handlers)
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """As the server's own."""
        self.methods += [f"/{service}/{name}" for name in handlers]
        self._server.add_registered_method_handlers(service, handlers)
