"""API keys and the file that holds them, for `axia keys`, which writes it, and for the servers, which read it.

{"keys": [{"id": "9f2c41d07ab3e815", "name": "robot-7", "sha256": "5e88…", "roles": ["detect"], "models": null,
           "quota": null, "created": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z", "revoked": null}]}

A key is `id.secret`. The secret is 256 random bits, of which the file has the SHA-256 alone: nobody can guess them, so
a slow hash would add no safety, and would let anybody who sends wrong keys keep the processors busy.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Role = Literal["detect", "score", "search", "ingest", "admin"]
"""What a caller may do: ask models, compute scores, search pictures, add pictures, delete and re-index."""

ROLES: tuple[Role, ...] = get_args(Role)
"""All roles."""

Priority = Literal["low", "normal", "high"]
"""Who is served first where calls to a model wait: all that are high, then normal, then low."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""All priorities, the last one to wait at the end."""

_ID_BYTES = 8
_SECRET_BYTES = 32
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class Quota(BaseModel):
    """What one caller may use; None sets no bound, or in a key the server's usual one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: int | None = Field(default=None, ge=1)
    images_per_minute: int | None = Field(default=None, ge=1)
    image_mib_per_minute: int | None = Field(default=None, ge=1)
    """Size of images as they are sent, in MiB."""
    calls_in_flight: int | None = Field(default=None, ge=1)
    open_watches: int | None = Field(default=None, ge=1)
    """Calls of WatchValues at a time."""
    priority: Priority | None = None
    """Not a bound: its place among the calls that wait for a model."""

    @property
    def bounds(self) -> bool:
        """Whether it sets any bound."""
        return any(value is not None for name, value in self if name != "priority")

    def with_own(self, quota: "Quota") -> "Quota":
        """These bounds, and a caller's own in the place of those that it has."""
        return self.model_copy(update=quota.model_dump(exclude_none=True))


class KeyRecord(BaseModel):
    """A key as the file has it, which is not enough to use it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: _Id
    name: str = Field(min_length=1, max_length=100)
    """For people and logs."""
    sha256: _Sha256
    """Of the secret, in hexadecimal."""
    roles: tuple[Role, ...] = Field(min_length=1)
    models: tuple[str, ...] | None = None
    """Names of the models that it may call; None for all."""
    quota: Quota | None = None
    """What it may use, where that differs from the server's settings."""
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None

    def matches(self, secret: str) -> bool:
        """Whether a secret is this key's. The time that it takes says nothing of how much of it is right."""
        return hmac.compare_digest(_digest(secret), self.sha256)


class KeysFile(BaseModel):
    """All keys of a file, revoked ones too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyRecord, ...] = ()

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> "KeysFile":
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id; remove one of them")
        return self


class KeysError(Exception):
    """The file can't be read or written, or has no such key."""


class NewKey(NamedTuple):
    """A key that was just made."""

    record: KeyRecord
    text: str
    """What its owner sends. It is shown once and stored nowhere."""


def new_key(
    name: str,
    roles: Sequence[Role],
    models: Sequence[str] | None = None,
    expires: datetime | None = None,
    quota: Quota | None = None,
) -> NewKey:
    """Makes a key. Raises pydantic.ValidationError if a name or a role can't be."""
    identity, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    record = KeyRecord(
        id=identity,
        name=name,
        sha256=_digest(secret),
        roles=tuple(dict.fromkeys(roles)),
        models=None if models is None else tuple(dict.fromkeys(models)),
        quota=quota,
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
    )
    return NewKey(record, f"{identity}.{secret}")


def read_keys(path: Path) -> KeysFile:
    """The keys of a file.

    Raises:
        KeysError: If it can't be read or is not a file of keys. The message holds nothing of what is in it.
    """
    try:
        return KeysFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise KeysError(f"{path} can't be read ({error.strerror}); create it with `axia keys add`") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])
        raise KeysError(f"{path} is not a valid keys file: {places}") from None


def add_key(path: Path, key: KeyRecord) -> None:
    """Adds a key to a file, which is made if there is none. Raises KeysError."""
    with _locked(path):
        before = read_keys(path) if path.exists() else KeysFile()
        _write(path, KeysFile(keys=(*before.keys, key)))


def revoke_key(path: Path, identity: str) -> KeyRecord:
    """Marks a key as revoked; returns it. Raises KeysError if there is no key with this id."""
    with _locked(path):
        before = read_keys(path)
        found = next((key for key in before.keys if key.id == identity), None)
        if found is None:
            raise KeysError(f"{path} has no key {identity!r}; `axia keys list` shows the ids")
        revoked = found.model_copy(update={"revoked": found.revoked or datetime.now(UTC).replace(microsecond=0)})
        _write(path, KeysFile(keys=tuple(revoked if key.id == identity else key for key in before.keys)))
    return revoked


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps two commands from writing over each other's changes."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysError(f"{path.parent} can't be opened ({error.strerror}); create the folder first") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, keys: KeysFile) -> None:
    """Replaces the file in one step, readable by its owner alone or by whom it was before."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(keys.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise KeysError(f"{path} can't be written ({error.strerror})") from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
