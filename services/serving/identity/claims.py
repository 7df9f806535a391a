"""What the claims of a token say of its caller: roles, models, and how much it may use.

A claim that sets a limit is checked, where one with roles may hold anything: a role that isn't known gives nothing, but
a limit that can't be read would leave the caller with none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from axia.identity.keys import PRIORITIES, ROLES, Priority, Quota, Role
from services.serving.errors import ServiceError, Unauthenticated

LARGEST_LIMIT: Final = 1_000_000_000
"""Largest limit that a claim or its maximum may have."""

_MISPLACED: Final = object()


@dataclass(frozen=True)
class LimitClaim:
    """A claim that sets a limit."""

    name: str
    """Of the claim."""
    maximum: int = 0
    """Of the limit; a larger one counts as this. 0: none."""


@dataclass(frozen=True)
class ClaimNames:
    """Which claims are read. Dots lead into objects."""

    roles: str
    """Of a list, or a text with spaces."""
    models: str
    """The same for models. A token without it may call all."""
    priority: str = ""
    """Of the priority; empty: tokens have none of their own."""
    highest_priority: Priority = "high"
    """A higher one counts as this."""
    limits: Mapping[str, LimitClaim] = field(default_factory=lambda: MappingProxyType({}))
    """Of limits, by the field of `Quota` that they set."""


def roles_in(claims: Mapping[str, Any], names: ClaimNames) -> frozenset[Role]:
    """The roles of a token that are known here."""
    given = _texts(claims, names.roles) or ()
    return frozenset(role for role in ROLES if role in given)


def models_in(claims: Mapping[str, Any], names: ClaimNames) -> frozenset[str] | None:
    """The models that a token is bound to; None for all."""
    given = _texts(claims, names.models)
    return None if given is None else frozenset(given)


def quota_in(claims: Mapping[str, Any], names: ClaimNames) -> Quota | None:
    """What a token says that its caller may use; None if it says nothing.

    Raises:
        Unauthenticated: If a claim is of another type, or no limit or priority that there is.
    """
    found: dict[str, Any] = {}
    for quantity, claim in names.limits.items():
        limit = _find(claims, claim.name)
        if limit is not None:
            found[quantity] = min(_checked_limit(claim.name, limit), claim.maximum or LARGEST_LIMIT)
    if names.priority and (priority := _find(claims, names.priority)) is not None:
        found["priority"] = min(_checked_priority(names.priority, priority), names.highest_priority, key=_rank)
    return Quota(**found) if found else None


def _checked_limit(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_LIMIT:
        raise _wrong(name, f"a whole number from 1 to {LARGEST_LIMIT:,}, as a number and not as text")
    return value


def _checked_priority(name: str, value: Any) -> Priority:
    for priority in PRIORITIES:
        if value == priority:
            return priority
    raise _wrong(name, f"one of the texts {', '.join(PRIORITIES)}")


def _rank(priority: Priority) -> int:
    return PRIORITIES.index(priority)


def _wrong(name: str, needed: str) -> ServiceError:
    return Unauthenticated(
        f"the token's claim {name!r} must be {needed}; ask whoever runs its provider to correct the claim, or to leave "
        "it out",
        reason="TOKEN_CLAIM_INVALID",
    )


def _find(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name; None if there is none."""
    found: Any = claims.get(name)
    if found is not None:  # Keycloak has realm_access.roles, and names may have dots as well
        return found
    found = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return _MISPLACED  # there is something, and not what was meant
        found = found.get(part)
        if found is None:
            return None
    return found


def _texts(claims: Mapping[str, Any], name: str) -> list[str] | None:
    found = _find(claims, name)
    if isinstance(found, str):
        return found.split()
    return [str(text) for text in found] if isinstance(found, list) else None
