"""Reads what an OpenAI-compatible endpoint says instead of an answer: its words, its status, the field that it names.

Endpoints agree on little here. Read are:

    {"error": {"message", "type", "param", "code"}}   OpenAI, Azure, vLLM, LM Studio, LiteLLM, llama.cpp, Ollama
    {"error": {…, "metadata": {"raw"}}}               OpenRouter, where "raw" holds the provider's own words
    {"error": "…", "error_type": "…"}                 Text Generation Inference, older Ollama
    {"type": "error", "error": {…}}                   Anthropic
    [{"error": {"code", "status", "details"}}]        Google; "details" may ask for a pause
    {"object": "error", "message": "…"}               older vLLM, Mistral
    {"detail": "…"} or {"detail": [{"loc", "msg"}]}   FastAPI; Mistral has it as the message too
    {"errors": [{"message", "code"}]}                 Cloudflare
    {"code", "msg"} or {"base_resp": {"status_msg"}}  Zhipu and others, MiniMax

and pages of HTML, by their title, and plain text.
"""

import html
import json
import re
from http import HTTPStatus
from typing import Any, NamedTuple

OUT_OF_QUOTA = re.compile(
    r"insufficient_quota|billing_hard_limit_reached|billing_not_active|insufficient_balance|exceeded_current_quota"
)

_STATUS_OF_WORDS = (
    (
        HTTPStatus.TOO_MANY_REQUESTS,
        re.compile(r"rate_?limit|too_?many|resource_?exhausted|insufficient_quota|billing_hard"),
    ),
    (HTTPStatus.SERVICE_UNAVAILABLE, re.compile(r"overload|unavailable|time_?out|server_?error|internal|api_error")),
    (HTTPStatus.UNAUTHORIZED, re.compile(r"authentic|invalid_api_key|unauthorized")),
    (HTTPStatus.FORBIDDEN, re.compile(r"permission|forbidden")),
    (HTTPStatus.NOT_FOUND, re.compile(r"not_?found")),
    (HTTPStatus.BAD_REQUEST, re.compile(r"invalid_|bad_?request|validation|unsupported|context_length|unprocessable")),
)
"""Statuses of the types and codes that endpoints write as words, in lower case; the first that fits counts."""
_PASSES = re.compile(
    r"overload|rate.?limit|too many requests|try again|temporar|timed? ?out|unavailable|still loading|capacity"
    r"|\bbusy\b",
    re.IGNORECASE,
)
"""What is said of failures that pass."""
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MAX_READ_CHARS = 4000


class Complaint(NamedTuple):
    """What an endpoint says instead of an answer."""

    message: str = ""
    """Its words, not yet fit for a log (see `openai_errors.readable`); empty if there are none."""
    kind: str = ""
    """Its type and code, as written."""
    status: int | None = None
    """The HTTP status that the type and code stand for, 400 to 599; None if they say nothing."""
    param: str = ""
    """The fields that it names apart from its words, separated by spaces."""
    pause_s: float | None = None
    """Seconds that it asks to wait."""

    @property
    def passes(self) -> bool:
        """Whether its words say that the failure passes."""
        return bool(_PASSES.search(self.message))


def read_complaint(body: bytes) -> Complaint:
    """What a body says that is no answer; empty if it says nothing."""
    text = body.decode(errors="replace").strip()
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        if text.startswith("<"):
            title = _TITLE.search(text)
            return Complaint(html.unescape(title.group(1)) if title else "a page of HTML")
        return Complaint(text[:_MAX_READ_CHARS])
    return complaint_of(said)


def complaint_of(said: Any) -> Complaint:
    """The same of JSON that was read already."""
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, str):
        return Complaint(said[:_MAX_READ_CHARS])
    if not isinstance(said, dict):
        return Complaint()
    for name, kind in (("errors", list), ("base_resp", dict)):
        if isinstance(said.get(name), kind) and said[name] and not said.get("error"):
            return complaint_of(said[name])
    outer, inner = said, said.get("error") or said
    if isinstance(inner, str):
        inner = {"message": inner, "type": outer.get("error_type")}
    if not isinstance(inner, dict):
        return Complaint()
    wrapped = inner.get("message")
    detail = wrapped.get("detail") if isinstance(wrapped, dict) else inner.get("detail")
    words = (wrapped, *map(inner.get, ("msg", "status_msg", "error_message")), detail)
    message = next(filter(None, map(_text, words)), "")
    params = [_text(inner.get("param"))]
    if isinstance(detail, list):
        found = [entry for entry in detail if isinstance(entry, dict)]
        message = "; ".join(f"{_place(entry.get('loc'))}: {_text(entry.get('msg'))}" for entry in found)
        params += [_place(entry.get("loc")).rpartition(".")[2] for entry in found]
    metadata = inner.get("metadata")
    if raw := _text(metadata.get("raw")) if isinstance(metadata, dict) else "":
        message = f"{message}: {raw}"
    kinds = [_text(inner.get(name)) for name in ("type", "status", "code", "error_type")]
    return Complaint(
        message[:_MAX_READ_CHARS],
        ", ".join(kind for kind in kinds if kind and kind not in {"None", "error"}),
        _status(inner),
        " ".join(param for param in params if param),
        _google_pause(inner.get("details")),
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ""
    return str(value) if isinstance(value, (str, int)) else ""


def _place(loc: object) -> str:
    return ".".join(map(str, loc)) if isinstance(loc, list) else _text(loc)


def _status(inner: dict[str, Any]) -> int | None:
    for name in ("code", "status", "status_code", "http_status_code"):
        number = _text(inner.get(name))
        if re.fullmatch(r"[45]\d\d", number):
            return int(number)
    words = " ".join(_text(inner.get(name)) for name in ("code", "status", "type", "error_type"))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", words).lower()  # BadRequestError
    return next((int(status) for status, pattern in _STATUS_OF_WORDS if pattern.search(words)), None)


def _google_pause(details: object) -> float | None:
    """The pause of a google.rpc.RetryInfo, such as "17s"."""
    for entry in details if isinstance(details, list) else ():
        delay = entry.get("retryDelay") if isinstance(entry, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", delay):
            return float(delay.removesuffix("s"))
    return None
