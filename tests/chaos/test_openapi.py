"""Requests that schemathesis makes from the OpenAPI document: none may be a fault of the server."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.chaos.faults import ChaosSuite, size

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis isn't installed; it comes with the lock of developers"
)

EXAMPLES = size(3, 60, "EXAMPLES")
DOCUMENTED = frozenset({503, 504})
"""Of a server that is away, and of a call that takes too long."""
LASTING = frozenset({"POST /v1/reindex", "POST /v1/images/purge"})
"""Calls that begin hours of work where a request happens to be good."""
SERVER_ERROR = 500


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_request_of_the_documents_form_is_a_fault_of_the_server(attacked: ChaosSuite) -> None:
    with urllib.request.urlopen(f"{attacked.http.url}/openapi.json", timeout=30) as page:  # noqa: S310 - of this machine
        document = json.loads(page.read())
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=attacked.http.url)
    pids = attacked.pids()
    codes: Counter[int] = Counter()
    faults: list[str] = []
    operations = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.label in LASTING:
            continue
        operations += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:
            response = case.call(headers=attacked.headers, timeout=90)
            codes[response.status_code] += 1
            if response.status_code >= SERVER_ERROR and response.status_code not in DOCUMENTED:
                faults.append(f"{case.method} {case.path}: {response.status_code} {response.text[:300]}")

        send()
    told = ", ".join(f"{code} {count}" for code, count in codes.most_common())
    print(f"\n{operations} operations of the OpenAPI document, {sum(codes.values()):,} requests: {told}")
    assert operations > 30
    assert not faults, faults[:5]
    attacked.require_alive(pids)
    attacked.require_no_tracebacks()
