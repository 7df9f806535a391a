"""The same calls over HTTP."""

import base64
import json
import time
from abc import abstractmethod
from typing import Any, ClassVar

import aiohttp

from axia._connection.transport import resolve_api_key
from loadtests.records import Outcome
from loadtests.scenarios.base import Scenario, Target
from loadtests.scenarios.services import HITS, isq_request, search_queries

_OK = 200


class HttpScenario(Scenario):
    """A call over HTTP."""

    path: ClassVar[str]

    async def open(self) -> None:
        """Makes the session; it connects with the first call."""
        key = resolve_api_key(self.target.api_key)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # As many connections as calls: one that waits for another's connection would hide what the server does.
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.target.timeout_s),
        )
        self._url = self.target.http.rstrip("/") + self.path

    async def close(self) -> None:
        """Ends the connections."""
        await self._session.close()

    @abstractmethod
    def body(self, number: int) -> bytes:
        """What is sent, JSON."""

    @abstractmethod
    def outcome(self, answer: Any) -> Outcome:
        """What an answer counts as."""

    async def call(self, number: int) -> Outcome:
        """Posts, and reads the answer."""
        began = time.perf_counter()
        try:
            async with self._session.post(self._url, data=self.body(number)) as response:
                if response.status != _OK:
                    return await _problem(response)
                return await self.read(response, began)
        except TimeoutError:
            return Outcome("HTTP TIMEOUT", message=f"no answer within {self.target.timeout_s:g} s")
        except (aiohttp.ClientError, ConnectionError) as error:
            return Outcome("HTTP UNREACHABLE", message=str(error))

    async def read(self, response: aiohttp.ClientResponse, began: float) -> Outcome:
        """Reads an answer with status 200; `began` is when the call started, on time.perf_counter."""
        return self.outcome(await response.json())


def detection_body(target: Target, number: int) -> bytes:
    """The request of a detection as JSON."""
    request = {
        "n": target.n, "temperature": 1.0, "max_tokens": target.max_tokens, "full_text": target.full_text,
        "seed": str(number), "image": {"data": base64.b64encode(target.picture(number).data).decode()},
    }  # fmt: skip
    return json.dumps(request | ({"model": target.model} if target.model else {})).encode()


def _detection(answer: Any, first_s: float | None = None) -> Outcome:
    done, asked = answer.get("completions_done", 0), answer.get("completions_requested", 0)
    if not asked or done < asked:
        return Outcome("INCOMPLETE", message=f"{done} of {asked} completions came in time")
    return Outcome(images=1, first_s=first_s)


class HttpDetect(HttpScenario):
    """Waits for a whole detection."""

    name = "http-detect"
    help = "POST /v1/detect"
    needs = frozenset({"inference", "http"})
    path = "/v1/detect"

    def body(self, number: int) -> bytes:
        """See the base."""
        return detection_body(self.target, number)

    def outcome(self, answer: Any) -> Outcome:
        """See the base."""
        return _detection(answer)


class HttpStream(HttpDetect):
    """Takes each completion as an event."""

    name = "http-stream"
    help = "POST /v1/detect/stream, with the time to the first completion"
    path = "/v1/detect/stream"

    async def read(self, response: aiohttp.ClientResponse, began: float) -> Outcome:
        """Reads events until the summary."""
        first_s: float | None = None
        name = ""
        async for line in response.content:
            text = line.decode().rstrip("\r\n")
            if text.startswith("event:"):
                name = text.removeprefix("event:").strip()
            elif text.startswith("data:"):
                data = json.loads(text.removeprefix("data:"))
                if name == "completion" and first_s is None:
                    first_s = time.perf_counter() - began
                elif name == "summary":
                    return _detection(data.get("summary", data), first_s)
                elif name == "error":
                    return Outcome(str(data.get("code", "HTTP ERROR")), message=str(data.get("detail", "")))
        return Outcome("NO_SUMMARY", message="the stream ended without its summary")


class HttpScoreIsq(HttpScenario):
    """Scores one answer to the questionnaire of interest."""

    name = "http-isq"
    help = "POST /v1/score/isq of one answer"
    needs = frozenset({"scoring", "http"})
    path = "/v1/score/isq"

    def body(self, number: int) -> bytes:
        """See the base."""
        items = {field.name: value for field, value in isq_request().answers[0].items.ListFields()}
        return json.dumps({"answers": [{"items": items}]}).encode()

    def outcome(self, answer: Any) -> Outcome:
        """See the base."""
        scores = answer.get("scores", [])
        return (
            Outcome()
            if len(scores) == 1
            else Outcome("WRONG_COUNT", message=f"{len(scores)} scores came for one answer")
        )


class HttpSearch(HttpScenario):
    """Searches the indexed pictures for a value's name."""

    name = "http-search"
    help = "POST /v1/search/text"
    needs = frozenset({"retrieval", "http"})
    path = "/v1/search/text"

    def body(self, number: int) -> bytes:
        """See the base."""
        queries = search_queries()
        return json.dumps({"query": queries[number % len(queries)], "k": HITS}).encode()

    def outcome(self, answer: Any) -> Outcome:
        """See the base."""
        hits = answer.get("hits", [])
        if not hits:
            return Outcome("NO_HITS", message="the search found nothing: index images with `axia index`")
        return Outcome(images=len(hits))


async def _problem(response: aiohttp.ClientResponse) -> Outcome:
    """The outcome of an error: problem details (RFC 9457), where a proxy in between did not answer itself."""
    text = await response.text()
    try:
        problem = json.loads(text)
        return Outcome(f"HTTP {response.status}", message=f"{problem['code']}: {problem['detail']}")
    except (ValueError, KeyError, TypeError):
        return Outcome(f"HTTP {response.status}", message=text.strip())
