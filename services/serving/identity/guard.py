"""Who calls, and whether they may: certificates, keys and tokens, checked against the table of `access`.

A server without a setting for any of them is open, as on a robot that only its own programs reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, Any

import grpc

from axia.identity.keys import Quota
from services.serving.errors import FailedPrecondition, PermissionDenied, ServiceError, Unauthenticated
from services.serving.identity.access import KNOWN, OPEN, RPCS, Access
from services.serving.identity.audit import AuditLog
from services.serving.identity.claims import ClaimNames, LimitClaim
from services.serving.identity.keys import KeyRing
from services.serving.identity.principal import ANYBODY, Principal, principal
from services.serving.identity.quotas import Quotas, Usage
from services.serving.identity.tokens import TokenRules, TokenVerifier
from services.serving.settings import ServerSettings

if TYPE_CHECKING:  # generic in its type stubs alone
    Context = grpc.aio.ServicerContext[Any, Any]

AUTHORIZATION = "authorization"
"""Metadata key of the credential: "Bearer" and an API key or a token."""

_ALTERNATIVE_NAMES = "x509_subject_alternative_name"
"""gRPC's key of the names in a caller's certificate."""
_KEY = re.compile(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{43}")


class Guard:
    """Decides on each call.

    Args:
        keys: The API keys; None takes none.
        tokens: Checks tokens; None takes none.
        audit: Gets a line for each decision.
        table: Who may call what, by full method name.
        names: Of which a caller's certificate must have one; empty takes all certificates, and calls without.
        quotas: What callers may use; None sets no bounds.
    """

    def __init__(
        self,
        keys: KeyRing | None = None,
        tokens: TokenVerifier | None = None,
        audit: AuditLog | None = None,
        table: Mapping[str, Access] = RPCS,
        names: Collection[str] = (),
        quotas: Quotas | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._audit = audit
        self._table = table
        self._names = frozenset(names)
        self._quotas = quotas or Quotas(Quota())
        self._open = keys is None and tokens is None

    @classmethod
    def from_settings(cls, settings: ServerSettings, service: str) -> Guard:
        """The guard that settings ask for. Raises FailedPrecondition if a file can't be used."""
        prefix = settings.model_config.get("env_prefix", "")
        keys = KeyRing(settings.keys, f"{prefix}KEYS") if settings.keys else None
        tokens = None
        if settings.oidc_issuer:
            rules = TokenRules(
                settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks, settings.oidc_algorithms,
                _claim_names(settings),
            )  # fmt: skip
            tokens = TokenVerifier(rules, f"{prefix}OIDC_JWKS")
        audit = AuditLog(settings.audit_log, f"{prefix}AUDIT_LOG", service) if settings.audit_log else None
        names = settings.tls_client_names if settings.tls_client_ca else ()
        usual = Quota(
            requests_per_minute=settings.requests_per_minute or None,
            images_per_minute=settings.images_per_minute or None,
            image_mib_per_minute=settings.image_mib_per_minute or None,
            calls_in_flight=settings.calls_in_flight or None,
            open_watches=settings.open_watches or None,
        )
        return cls(keys, tokens, audit, names=names, quotas=Quotas(usual))

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Reads what is checked against, and reads it again when it changes, until the context ends.

        Raises:
            FailedPrecondition: If it can't be read at first.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._tokens is not None:
                await self._tokens.start()
                tasks.append(asyncio.create_task(self._tokens.follow()))
            if self._keys is not None:
                tasks.append(asyncio.create_task(self._keys.follow()))
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._audit is not None:
                self._audit.close()

    def audits(self) -> bool:
        """Whether decisions are written down."""
        return self._audit is not None

    async def admit(self, method: str, context: Context) -> Usage | None:
        """Lets a call in. From then on `principal` says whose it is.

        Args:
            method: Its full name.
            context: Of the call.

        Returns:
            What its caller has used, where that is bounded; `end` belongs to the end of the call.

        Raises:
            Unauthenticated: If it isn't known whose it is.
            PermissionDenied: If its caller may not make it.
            ResourceExhausted: If its caller makes too many.
        """
        access = self._table.get(method)
        if access is OPEN:
            return None
        caller: Principal | None = None
        try:
            certified = self._certified(context)
            caller = (certified or ANYBODY) if self._open else await self._authenticate(context)
            principal.set(caller)
            self._authorise(access, caller)
            usage = self._quotas.of(caller)
            if usage is not None:
                usage.begin(method)
        except ServiceError as refusal:
            if self._audit is not None:
                self._audit.write(method, caller, context.peer(), refusal=refusal)
            raise
        return usage

    def note(self, method: str, context: Context, request: Any, refusal: ServiceError | None = None) -> None:
        """Writes down that a call was let in, or refused for what it asks for, with the ids that its request names."""
        if self._audit is not None and self._table.get(method) is not OPEN:
            self._audit.write(method, principal.get(), context.peer(), request, refusal)

    def _certified(self, context: Context) -> Principal | None:
        """Who a caller's certificate is of, where its name matters. Raises PermissionDenied for other names."""
        if not self._names:
            return None
        shown = {name.decode("utf-8", "replace") for name in context.auth_context().get(_ALTERNATIVE_NAMES, ())}
        found = sorted(shown & self._names)
        if not found:
            raise PermissionDenied(
                f"this server accepts only client certificates with the name {' or '.join(sorted(self._names))}, but "
                f"yours has {', '.join(sorted(shown)) or 'no name'}; call the gateway, or ask the operator to add "
                "the name to TLS_CLIENT_NAMES",
                reason="CERTIFICATE_NAME",
            )
        return Principal(found[0], "certificate", ANYBODY.roles)

    async def _authenticate(self, context: Context) -> Principal:
        credential = _credential(context)
        if self._keys is not None and (self._tokens is None or _KEY.fullmatch(credential)):
            return self._keys.authenticate(credential)
        assert self._tokens is not None  # noqa: S101 - one of the two is there
        return await self._tokens.authenticate(credential)

    @staticmethod
    def _authorise(access: Access | None, caller: Principal) -> None:
        if access is KNOWN or access in caller.roles:
            return
        if access is None:
            raise PermissionDenied("no role may make this call", reason="ROLE_MISSING")
        has = f"only the roles: {', '.join(sorted(caller.roles))}" if caller.roles else "no roles"
        raise PermissionDenied(
            f"this call needs the role {access!r}, but {caller.name!r} has {has}. Ask the operator of this server for "
            "a key or token with that role",
            reason="ROLE_MISSING",
        )


def check_settings(settings: ServerSettings) -> None:
    """Raises FailedPrecondition if settings of identity lack one another."""
    prefix = settings.model_config.get("env_prefix", "")
    parts = {"OIDC_ISSUER": settings.oidc_issuer, "OIDC_AUDIENCE": settings.oidc_audience}
    parts["OIDC_JWKS"] = settings.oidc_jwks
    missing = [name for name, value in parts.items() if not value]
    if missing and len(missing) < len(parts):
        raise FailedPrecondition(
            f"{prefix}{missing[0]} is missing: tokens need issuer, audience and keys; set all three, or none",
            reason="OIDC_INCOMPLETE",
        )


def _claim_names(settings: ServerSettings) -> ClaimNames:
    limits = {
        "requests_per_minute": LimitClaim(
            settings.oidc_requests_per_minute_claim, settings.oidc_max_requests_per_minute
        ),
        "images_per_minute": LimitClaim(settings.oidc_images_per_minute_claim, settings.oidc_max_images_per_minute),
        "calls_in_flight": LimitClaim(settings.oidc_calls_in_flight_claim, settings.oidc_max_calls_in_flight),
    }
    return ClaimNames(
        settings.oidc_roles_claim,
        settings.oidc_models_claim,
        settings.oidc_priority_claim,
        settings.oidc_max_priority,
        {quantity: claim for quantity, claim in limits.items() if claim.name},
    )


def _credential(context: Context) -> str:
    given = [value for key, value in context.invocation_metadata() or () if key == AUTHORIZATION]
    if not given:
        raise Unauthenticated(
            'this server requires a credential: send an API key or a token as "authorization: Bearer …"; axia\'s '
            "clients read it from AXIA_API_KEY",
            reason="CREDENTIAL_MISSING",
        )
    scheme, _, credential = str(given[0]).partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not credential.strip():
        raise Unauthenticated(
            'the credential can\'t be read: send one, as "authorization: Bearer …"', reason="CREDENTIAL_UNREADABLE"
        )
    return credential.strip()
