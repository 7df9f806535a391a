"""Keys, tokens and certificates for tests, made when they are asked for."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from axia.identity.certs import Authority, key_to_pem, new_authority, new_certificate, to_pem
from axia.identity.keys import NewKey, Quota, Role, add_key, new_key, revoke_key

ISSUER, AUDIENCE, KID = "https://login.example.org", "axia", "k1"


class Provider:
    """An OpenID Connect provider that has one key, published in a file.

    Args:
        folder: For the file.
    """

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwks = folder / "jwks.json"
        self.publish(KID)

    def publish(self, kid: str) -> None:
        """Writes the public key under an id."""
        published: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        self.jwks.write_text(json.dumps({"keys": [published | {"kid": kid, "use": "sig"}]}))

    def token(self, *, kid: str | None = KID, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """A token; a claim that is None is left out."""
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 600, "roles": ["detect"]}
        kept = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm, headers={"kid": kid} if kid else {})

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a server that takes its tokens."""
        return {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(self.jwks)}


def make_key(
    path: Path,
    name: str,
    roles: Sequence[Role],
    *,
    models: Sequence[str] | None = None,
    expired: bool = False,
    quota: Quota | None = None,
) -> NewKey:
    """Adds a key to a file."""
    expires = datetime.now(UTC) - timedelta(seconds=1) if expired else None
    made = new_key(name, roles, models, expires, quota)
    add_key(path, made.record)
    return made


def make_revoked(path: Path, name: str, roles: Sequence[Role]) -> NewKey:
    """Adds a key to a file and revokes it."""
    made = make_key(path, name, roles)
    revoke_key(path, made.record.id)
    return made


def bearer(credential: str) -> tuple[tuple[str, str], ...]:
    """Metadata with a credential."""
    return (("authorization", f"Bearer {credential}"),)


class Leaf(NamedTuple):
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    def replace_with(self, other: Leaf) -> None:
        """Takes the place of another in its files, as a renewal does."""
        self.key.write_bytes(other.key.read_bytes())
        self.certificate.write_bytes(other.certificate.read_bytes())


class Certificates:
    """An authority, and certificates of it.

    Args:
        folder: For the files; made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.authority: Authority = new_authority(timedelta(days=1))
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(to_pem(self.authority.certificate))

    def leaf(self, *names: str, days: float = 1, file: str = "") -> Leaf:
        """A certificate for some names; one of negative days has ended."""
        certificate, key = new_certificate(self.authority, names, timedelta(days=days))
        made = Leaf(self.folder / f"{file or names[0]}.pem", self.folder / f"{file or names[0]}.key")
        made.certificate.write_bytes(to_pem(certificate))
        made.key.write_bytes(key_to_pem(key))
        return made


def channel_credentials(ca: Path, leaf: Leaf | None = None) -> grpc.ChannelCredentials:
    """What a caller trusts and shows."""
    if leaf is None:
        return grpc.ssl_channel_credentials(ca.read_bytes())
    return grpc.ssl_channel_credentials(ca.read_bytes(), leaf.key.read_bytes(), leaf.certificate.read_bytes())


def client_context(ca: Path, leaf: Leaf | None = None) -> ssl.SSLContext:
    """The same for HTTP."""
    context = ssl.create_default_context(cafile=ca)
    if leaf is not None:
        context.load_cert_chain(leaf.certificate, leaf.key)
    return context
