"""Keys that are bound to some models, at a gateway's pool in front of real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from axia.identity.keys import ROLES
from services.serving.errors import PermissionDenied, ServiceError
from services.serving.identity.principal import Principal, principal
from tests.component.test_backends import Model, pool


@contextmanager
def calling(*models: str) -> Iterator[None]:
    """As a caller that may call these models; every model if none is named."""
    allowed = frozenset(models) if models else None
    token = principal.set(Principal("lab", "key:1", frozenset(ROLES), allowed))
    try:
        yield
    finally:
        principal.reset(token)


async def refused(backends: object, model: str) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await backends.find(model)  # type: ignore[attr-defined]
    return error.value


async def test_a_caller_has_its_own_models_alone() -> None:
    first, second = Model("first"), Model("second")
    await first.start()
    await second.start()
    try:
        async with pool(first.address, second.address) as backends:
            await backends.start()
            with calling("second"):
                assert (await backends.find("second")).name == "second"
                for model in ("first", ""):  # the default model is the first
                    assert (await refused(backends, model)).reason == "MODEL_NOT_ALLOWED"
                assert [state.model.name for state in await backends.states() if state.model] == ["second"]
            with calling():
                assert (await backends.find("")).name == "first"
                assert len(await backends.states()) == 2
    finally:
        await first.stop()
        await second.stop()


async def test_a_refusal_says_nothing_of_models_that_the_caller_may_not_call() -> None:
    other = Model("other")
    await other.start()
    try:
        async with pool(other.address) as backends:
            await backends.start()
            with calling("mine"):
                unknown, there = await refused(backends, "nobody-has-it"), await refused(backends, "other")
                assert isinstance(unknown, PermissionDenied)
                assert unknown.message.replace("nobody-has-it", "other") == there.message
                missing = await refused(backends, "mine")
                assert (missing.reason, "other" in missing.message) == ("MODEL_UNKNOWN", False)
    finally:
        await other.stop()
