"""Keeps what a model's engine caches of one caller's prompts from others.

An engine answers sooner where it has the beginning of a prompt in its cache. One who measures times could so find out
that somebody else has sent the same text or image. The gateway sends the engine a salt with each call, another for each
caller, and what was cached under another salt is not found. It is derived with a secret of the process, so it says
nothing of whose it is, and nobody can state another's.
"""

import secrets
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from services.serving.identity.principal import ANYBODY, principal

CACHE_SALT_KEY = "x-axia-cache-salt"
"""Metadata key in which the salt travels from the gateway to inference servers."""

_SECRET = secrets.token_bytes(32)


def cache_salt_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata with the salt of the current caller; empty where who calls isn't known, for then all are one caller."""
    caller = principal.get()
    if caller is None or caller.credential == ANYBODY.credential:
        return ()
    return ((CACHE_SALT_KEY, _salt(caller.id)),)


@lru_cache(maxsize=10_000)
def _salt(caller: str) -> str:
    return blake2b(caller.encode(), key=_SECRET, digest_size=16).hexdigest()


def cache_salt_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The salt in a call's metadata; empty if there is none."""
    return next((str(value) for key, value in metadata or () if key == CACHE_SALT_KEY), "")
