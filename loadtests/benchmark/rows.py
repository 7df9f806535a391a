"""What is compared with what, and the goals."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Measure = Literal["calls_per_s", "p50", "gateway_processor"]


class Row(NamedTuple):
    """One row of the table: a side beside its rival."""

    what: str
    side: str
    rival: str
    measure: Measure
    goals: Mapping[int, float | None]
    """By concurrency, the ratio of side to rival that is wanted; None where it is only given."""
    at_least: bool = True
    """Whether the ratio should be at least the goal, or at most."""


AXIA = "axia"
FULL_TEXT = "axia, full text"
WARM = "axia, scoring warm"
COLD = "axia, scoring cold"
HTTP = "axia over HTTP"
VLLM = "vLLM's server, n=3, no stop"
VLLM_STOP = "vLLM's server, n=3, stop list"
VLLM_THREE = "vLLM's server, three requests, no stop"
BARE_LOOP = "AsyncLLM in a bare loop"
BARE_PROXY = "a bare gRPC proxy"
ISQ = "ScoreIsq"
ECHO = "grpc.aio echo"
SEEN_AGAIN = "axia, one picture again and again"
FIRST_SIGHT = "axia, pictures of their first sight"
SEARCH = "SearchByText"
SEARCH_GATEWAY = "SearchByText through the gateway"

WATCHED_CACHE = (SEEN_AGAIN, FIRST_SIGHT)
"""Sides of which the cache of pictures is told."""

_EACH: Mapping[int, float | None] = dict.fromkeys((1, 2, 4, 8, 16, 32, 64, 128))

DETECTION: Mapping[str, Row] = {
    "early-stop": Row("early stop", AXIA, VLLM, "calls_per_s", {**_EACH, 1: 3.5, 32: 2.8}),
    "stop-list": Row("early stop", AXIA, VLLM_STOP, "calls_per_s", {1: 1.05, 8: 1.05, 32: 1.05, 64: 1.05}),
    "full-text": Row("full text", FULL_TEXT, VLLM, "calls_per_s", {1: 0.95, 8: 0.95, 32: 0.95, 64: 0.95}),
    "three-requests": Row("early stop", AXIA, VLLM_THREE, "calls_per_s", {32: 4.5}),
    "http": Row("HTTP beside gRPC", HTTP, AXIA, "calls_per_s", {32: 0.8}),
    "bare-loop": Row("latency at the gateway", AXIA, BARE_LOOP, "p50", {1: 1.10}, at_least=False),
}
"""Rows of `make bench`."""

REST: Mapping[str, Row] = {
    "scoring-warm": Row("scoring on, warm", WARM, AXIA, "calls_per_s", {1: 0.75, 32: 0.75}),
    "scoring-cold": Row("scoring on, nothing remembered", COLD, AXIA, "calls_per_s", {1: 0.55, 32: 0.55}),
    "gateway-time": Row(
        "the gateway's processor time", AXIA, BARE_PROXY, "gateway_processor", {32: 1.3}, at_least=False
    ),
    "seen-again": Row(
        "a picture that was seen before, beside new ones", SEEN_AGAIN, FIRST_SIGHT, "p50", {1: None}, at_least=False
    ),
    "isq": Row("ScoreIsq", ISQ, ECHO, "calls_per_s", {1: None, 32: 0.75}),
    "search": Row("search, 12 images", SEARCH_GATEWAY, SEARCH, "calls_per_s", {1: None, 32: None}),
}
"""Further rows of `make bench-all`."""

ROWS: Mapping[str, Row] = {**DETECTION, **REST}
"""Every row by its name."""
