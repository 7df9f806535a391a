"""Who a call is from, and which models they may call."""

from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass

from axia.identity.keys import ROLES, Quota, Role
from services.serving.errors import PermissionDenied


@dataclass(frozen=True)
class Principal:
    """A caller that a server knows."""

    name: str
    """For logs: of the key, or the token's subject."""
    credential: str
    """What it showed: "key:" and the key's id, "token:" and the issuer, "certificate", or "none"."""
    roles: frozenset[Role]
    models: AbstractSet[str] | None = None
    """Names of the models that it may call; None for all."""
    quota: Quota | None = None
    """What it may use, where that differs from the server's settings."""

    @property
    def id(self) -> str:
        """Tells it from all others, of whatever kind their credentials are."""
        return f"{self.credential}\0{self.name}"

    def may_call(self, model: str) -> bool:
        """Whether it may call a model."""
        return self.models is None or model in self.models


ANYBODY = Principal("anonymous", "none", frozenset(ROLES))
"""Every caller of a server that asks for no credential."""

principal: ContextVar[Principal | None] = ContextVar("principal", default=None)
"""Who the current task works for; None outside a call."""


def may_call(model: str) -> bool:
    """Whether the current caller may call a model; outside a call there is nobody to refuse."""
    caller = principal.get()
    return caller is None or caller.may_call(model)


def require_model(model: str) -> None:
    """Raises PermissionDenied unless the current caller may call a model."""
    caller = principal.get()
    if caller is None or caller.models is None or model in caller.models:
        return
    named = ", ".join(map(repr, sorted(caller.models))) or "none"
    raise PermissionDenied(
        f"{caller.name!r} may not call the model {model!r}; it may call {named}, and the operator of this server can "
        "give it a credential for others",
        reason="MODEL_NOT_ALLOWED",
    )
