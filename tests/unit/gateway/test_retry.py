"""What a question of a protocol is asked again for, and after which pause."""

import asyncio

import pytest

from gateway.protocols.retry import RetryPolicy, with_retries
from services.serving.errors import ENDPOINT_FAILURES, ENGINE_DIED, ResourceExhausted, ServiceError, Unavailable

RETRY_POLICY = RetryPolicy(attempts=4, pause_s=1.0)


async def tries_and_pauses(error: ServiceError, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[float]]:
    tries, pauses = 0, []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> None:
        nonlocal tries
        tries += 1
        raise error

    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(ServiceError) as caught:
        await with_retries(work, RETRY_POLICY)
    assert caught.value is error
    return tries, pauses


@pytest.mark.parametrize("reason", sorted({*ENDPOINT_FAILURES, ENGINE_DIED} - {"ENDPOINT_UNREACHABLE"}))
async def test_what_its_server_has_tried_enough_is_not_tried_again(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = Unavailable("the endpoint failed", reason=reason, retry_after_s=1.0)
    assert await tries_and_pauses(error, monkeypatch) == (1, [])


async def test_an_endpoint_that_is_not_reached_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    error = Unavailable("no connection", reason="ENDPOINT_UNREACHABLE")
    assert await tries_and_pauses(error, monkeypatch) == (4, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("asked_for_s", "pauses"), [(None, [1.0, 2.0, 4.0]), (3.0, [3.0, 3.0, 4.0]), (30.0, [30.0] * 3)]
)
async def test_a_pause_is_never_shorter_than_the_one_that_is_asked_for(
    asked_for_s: float | None, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ResourceExhausted("busy", reason="ENDPOINT_BUSY", retry_after_s=asked_for_s)
    assert await tries_and_pauses(error, monkeypatch) == (4, pauses)


async def test_a_pause_that_is_too_long_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ResourceExhausted("busy", reason="ENDPOINT_BUSY", retry_after_s=3600.0)
    assert await tries_and_pauses(error, monkeypatch) == (1, [])


def test_pauses_of_their_own_have_a_bound() -> None:
    assert RETRY_POLICY.before(10, None) == 10.0
