"""Tokens of an OpenID Connect provider (JWT), checked against its published keys."""

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from services.serving.errors import FailedPrecondition, ServiceError, Unauthenticated, Unavailable
from services.serving.identity.claims import ClaimNames, models_in, quota_in, roles_in
from services.serving.identity.principal import Principal

logger = logging.getLogger(__name__)

_REFRESH_S = 300.0
"""How often the keys are read again."""
_AT_MOST_EVERY_S = 10.0
"""How often tokens with a key that isn't known make them read at most."""
_FETCH_S = 5.0
_MAX_BYTES = 2**20
_LEEWAY_S = 30.0
"""By which the clocks of provider and server may differ."""
_MAX_TOKEN_CHARS = 8192


@dataclass(frozen=True)
class TokenRules:
    """What a token has to be."""

    issuer: str
    audience: str
    jwks: str
    """Path of a JSON Web Key Set, or its https address."""
    algorithms: Sequence[str]
    claims: ClaimNames
    """Which claims say what the caller may do and use."""


class TokenVerifier:
    """Checks tokens.

    Args:
        rules: What they have to be.
        setting: The variable that names the keys, for messages.
    """

    def __init__(self, rules: TokenRules, setting: str) -> None:
        self._rules = rules
        self._setting = setting
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at = -_AT_MOST_EVERY_S
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Reads the keys. Raises FailedPrecondition if that can't be done."""
        try:
            self._keys = await asyncio.to_thread(_read, self._rules.jwks)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise FailedPrecondition(
                f"{self._setting}: no keys can be read from {self._rules.jwks}: {type(error).__name__}; give the path "
                "of a JSON Web Key Set or the address that the provider's jwks_uri names",
                reason="JWKS_UNREADABLE",
            ) from error
        self._read_at = time.monotonic()

    async def follow(self) -> None:
        """Reads the keys again and again; never ends by itself."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            await self._refresh()

    async def _refresh(self) -> None:
        """Reads the keys, unless that was done a moment ago. If it fails those that are known stay."""
        async with self._reading:
            if time.monotonic() - self._read_at < _AT_MOST_EVERY_S:
                return
            self._read_at = time.monotonic()
            try:
                self._keys = await asyncio.to_thread(_read, self._rules.jwks)
            except (OSError, ValueError, jwt.PyJWTError) as error:
                logger.error("%s: %s can't be read: %r", self._setting, self._rules.jwks, error)  # noqa: TRY400

    async def authenticate(self, token: str) -> Principal:
        """Who a token speaks for. Raises Unauthenticated if it isn't for this server or one of its claims is wrong, or
        Unavailable while no keys are known."""
        if len(token) > _MAX_TOKEN_CHARS:
            raise _refused("the token is longer than this server allows")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused("the credential is neither an API key nor a token that can be read") from None
        if header.get("alg") not in self._rules.algorithms:
            raise _refused(f"the token's algorithm is not accepted (accepted: {', '.join(self._rules.algorithms)})")
        key = await self._key(header.get("kid"))
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(self._rules.algorithms),
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired; get a new one", reason="TOKEN_EXPIRED") from None
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise _refused(_advice(error)) from None
        return self._principal(claims)

    async def _key(self, kid: object) -> jwt.PyJWK:
        if not isinstance(kid, str):
            raise _refused("the token has no key id (kid) in its header")
        if kid not in self._keys:
            await self._refresh()  # the provider may have begun to use another key
        if not self._keys:
            raise Unavailable(
                "the provider's public keys can't be read now; try again shortly",
                reason="JWKS_UNREADABLE",
                retry_after_s=_AT_MOST_EVERY_S,
            )
        if kid not in self._keys:
            raise _refused("the token's key is not in the provider's key set")
        return self._keys[kid]

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        names = self._rules.claims
        return Principal(
            str(claims["sub"]), f"token:{self._rules.issuer}", roles_in(claims, names), models_in(claims, names),
            quota_in(claims, names),
        )  # fmt: skip


def _read(source: str) -> dict[str, jwt.PyJWK]:
    if source.startswith("https://"):
        with urllib.request.urlopen(source, timeout=_FETCH_S) as response:  # noqa: S310 - https alone
            if not response.url.startswith("https://"):  # redirected to where anybody could have put keys
                raise ValueError("the address redirects to another address without TLS")
            text = response.read(_MAX_BYTES + 1)
    else:
        text = Path(source).read_bytes()
    if len(text) > _MAX_BYTES:
        raise ValueError("the key set is too large")
    parsed = json.loads(text)
    keys: dict[str, jwt.PyJWK] = {}
    for entry in parsed["keys"] if isinstance(parsed, dict) and isinstance(parsed.get("keys"), list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("kty") == "oct":
            continue
        try:
            keys[entry["kid"]] = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue  # for encryption, say
    if not keys:
        raise ValueError("there is no key with a kid in it")
    return keys


def _advice(error: Exception) -> str:
    if isinstance(error, jwt.InvalidAudienceError):
        return "the token is for another audience"
    if isinstance(error, jwt.InvalidIssuerError):
        return "the token is from another issuer"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no {error.claim}"
    if isinstance(error, jwt.ImmatureSignatureError):
        return "the token is not valid yet"
    if isinstance(error, jwt.InvalidSignatureError):
        return "the token's signature is invalid"
    return "the token is invalid"


def _refused(what: str) -> ServiceError:
    return Unauthenticated(f"{what}; get a token for this server from its provider", reason="TOKEN_INVALID")
