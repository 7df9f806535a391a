"""What is compared with what, and the goals."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, NamedTuple

Measure = Literal["calls_per_s", "p50", "p95", "gateway_processor"]
SetupName = Literal["engine", "small-caches", "replicas", "own-cores", "searching"]


class Row(NamedTuple):
    """One row of the table: a side beside its rival."""

    what: str
    side: str
    rival: str
    """Empty where the side's own figure is the row's."""
    measure: Measure
    goals: Mapping[int, float | None]
    """By concurrency, the ratio of side to rival that is wanted, or the side's own figure; None where it is only
    given."""
    at_least: bool = True
    """Whether the ratio should be at least the goal, or at most."""
    setup: SetupName = "engine"
    """The servers that it needs; see `loadtests.benchmark.setups`."""

    @property
    def sides(self) -> tuple[str, ...]:
        """What is measured for it."""
        return (self.side, self.rival) if self.rival else (self.side,)


AXIA = "axia"
FULL_TEXT = "axia, full text"
WARM = "axia, scoring warm"
COLD = "axia, scoring cold"
SCORING_APART = "axia, scoring on a core of its own"
UNSCORED_APART = "axia without scoring, on the other cores"
HTTP = "axia over HTTP"
WATCHED = "axia, cameras that watch"
VLLM = "vLLM's server, n=3, no stop"
VLLM_STOP = "vLLM's server, n=3, stop list"
VLLM_THREE = "vLLM's server, three requests, no stop"
VLLM_GRPC = "vllm serve --grpc, n=3, stop list"
TWO_REPLICAS = "axia, two replicas"
SMG = "smg, two vLLM servers, stop list"
VLLM_ROUTER = "vllm-router, two vLLM servers, stop list"
AFFINITY = "axia, two replicas, image affinity"
NO_AFFINITY = "axia, two replicas, fewest calls in flight"
BARE_LOOP = "AsyncLLM in a bare loop"
BARE_PROXY = "a bare gRPC proxy"
ISQ = "ScoreIsq"
ECHO = "grpc.aio echo"
SEEN_AGAIN = "axia, one picture again and again"
FIRST_SIGHT = "axia, pictures of their first sight"
SEARCH = "SearchByText"
SEARCH_GATEWAY = "SearchByText through the gateway"
SEARCH_50K = "SearchByText, 50,191 images"
SEARCH_500K = "SearchByText, 502,000 images"
EDGE = "Qdrant Edge in the process, 50,191 vectors"
LOCAL_MODE = "qdrant-client's local mode, 50,191 vectors"
NUMPY = "numpy, exact, 50,191 vectors"
SQLITE = "SQLite, all rows read, 50,191 vectors"

CACHE_GOALS: Mapping[str, tuple[str, float]] = {
    SEEN_AGAIN: ("at least", 0.99),
    FIRST_SIGHT: ("at most", 0.01),
    AFFINITY: ("at least", 0.9),
    NO_AFFINITY: ("at most", 0.6),
}
"""Sides of which the cache of pictures is told, and the share of hits that is wanted."""

PACKAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((VLLM, VLLM_STOP, VLLM_THREE, BARE_LOOP), ("vllm",)),
    SMG: ("vllm", "smg"),
    VLLM_ROUTER: ("vllm", "vllm_router"),
    VLLM_GRPC: ("vllm", "smg_grpc_servicer"),
    HTTP: ("bentoml",),
    **dict.fromkeys((SEARCH_50K, SEARCH_500K), ("open_clip", "qdrant_edge")),
    EDGE: ("qdrant_edge",),
    LOCAL_MODE: ("qdrant_client",),
}
"""Packages, by their import names, without which a side can't be measured."""

DETECTION: Mapping[str, Row] = {
    "early-stop": Row("early stop", AXIA, VLLM, "calls_per_s", {1: 3.5, 8: None, 32: 2.8, 64: None}),
    "stop-list": Row("early stop", AXIA, VLLM_STOP, "calls_per_s", {1: 1.05, 8: 1.05, 32: 1.05, 64: 1.05}),
    "full-text": Row("full text", FULL_TEXT, VLLM, "calls_per_s", {1: 0.95, 8: 0.95, 32: 0.95, 64: 0.95}),
    "three-requests": Row("early stop", AXIA, VLLM_THREE, "calls_per_s", {32: 4.5}),
    "http": Row("HTTP beside gRPC", HTTP, AXIA, "calls_per_s", {32: 0.8}),
    "bare-loop": Row("latency at the gateway", AXIA, BARE_LOOP, "p50", {1: 1.10}, at_least=False),
}
"""Rows of `make bench`."""

REST: Mapping[str, Row] = {
    "sweep": Row("more calls in flight", AXIA, "", "calls_per_s", dict.fromkeys((1, 2, 4, 8, 16, 32, 64, 128))),
    "vllm-grpc": Row("early stop", AXIA, VLLM_GRPC, "calls_per_s", {1: 1.0, 32: 1.0}),
    "scoring-warm": Row("scoring on, warm", WARM, AXIA, "calls_per_s", {1: 0.75, 32: 0.75}),
    "scoring-cold": Row("scoring on, nothing remembered", COLD, AXIA, "calls_per_s", {1: 0.55, 32: 0.55}),
    "gateway-time": Row(
        "the gateway's processor time", AXIA, BARE_PROXY, "gateway_processor", {32: 1.3}, at_least=False
    ),
    "seen-again": Row(
        "a picture that was seen before, beside new ones", SEEN_AGAIN, FIRST_SIGHT, "p50", {1: None}, at_least=False
    ),
    "frame-age": Row("age of a frame at its answer, s", WATCHED, "", "p50", {50: 0.30}, at_least=False),
    "frame-age-p95": Row("age of a frame at its answer, s", WATCHED, "", "p95", {50: 0.80}, at_least=False),
    "isq": Row("ScoreIsq", ISQ, ECHO, "calls_per_s", {1: None, 32: 0.75}),
    "search": Row("search, 12 images", SEARCH_GATEWAY, SEARCH, "calls_per_s", {1: None, 32: None}),
    # With more calls in flight some go to the other replica, because the image's own is much busier.
    "affinity": Row("image affinity", AFFINITY, NO_AFFINITY, "p50", {4: None}, at_least=False, setup="small-caches"),
    "smg": Row("early stop", TWO_REPLICAS, SMG, "calls_per_s", {8: 1.0, 32: 1.0}, setup="replicas"),
    "vllm-router": Row("early stop", TWO_REPLICAS, VLLM_ROUTER, "calls_per_s", {8: 1.0, 32: 1.0}, setup="replicas"),
    "scoring-apart": Row("scoring on", SCORING_APART, UNSCORED_APART, "calls_per_s", {32: 0.95}, setup="own-cores"),
    "search-edge": Row("search", SEARCH_50K, EDGE, "p50", {1: 2.5}, at_least=False, setup="searching"),
    "search-local": Row("search", LOCAL_MODE, SEARCH_50K, "p50", {1: 30.0}, setup="searching"),
    "search-numpy": Row("search", NUMPY, SEARCH_50K, "p50", {1: None}, setup="searching"),
    "search-sqlite": Row("search", SQLITE, SEARCH_50K, "p50", {1: None}, setup="searching"),
    "search-growth": Row(
        "ten times the images", SEARCH_500K, SEARCH_50K, "p50", {1: 2.0}, at_least=False, setup="searching"
    ),
}
"""Further rows of `make bench-all`."""

ROWS: Mapping[str, Row] = {**DETECTION, **REST}
"""Every row by its name."""


def why_not(row: Row) -> str:
    """Why a row can't be measured on this machine; empty if it can."""
    for side in row.sides:
        for package in PACKAGES.get(side, ()):
            if find_spec(package) is None:
                return f"the package of the module {package} is not installed, see docs/load-testing.md"
    if row.setup == "own-cores" and cores() < 2:  # noqa: PLR2004 - one for scoring, one for the rest
        return "it needs two processor cores and a system that binds processes to them"
    return ""


def cores() -> int:
    """Processor cores that this process may use, and may bind others to; 0 where it can't."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
