"""The API keys that a server takes, read again when their file changes."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from axia.identity.keys import KeyRecord, KeysError, read_keys
from services.serving.errors import FailedPrecondition, Unauthenticated
from services.serving.identity.principal import Principal

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often the file is looked at."""
_Stamp = tuple[int, int, int]


class KeyRing:
    """The keys of a file. One that becomes unreadable leaves the keys as they were, and says so in the log.

    Args:
        path: The file.
        setting: The variable that names it, for messages.

    Raises:
        FailedPrecondition: If it can't be read at the start.
    """

    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._setting = setting
        self._stamp: _Stamp | None = None
        try:
            self._stamp, self._keys = _stamp(path), _by_id(path)
        except KeysError as error:
            raise FailedPrecondition(f"{setting}: {error}", reason="KEYS_UNREADABLE") from error

    def authenticate(self, text: str) -> Principal:
        """Who a key belongs to. Raises Unauthenticated, saying what is wrong as far as the secret is right."""
        identity, _, secret = text.partition(".")
        key = self._keys.get(identity)
        if key is None or not key.matches(secret):
            raise Unauthenticated(
                "this server doesn't know the API key; check it for typing errors, or ask the operator for another",
                reason="KEY_UNKNOWN",
            )
        if key.revoked is not None:
            raise Unauthenticated(
                f"the API key {key.id} was revoked; ask the operator of this server for another", reason="KEY_REVOKED"
            )
        if key.expires is not None and key.expires <= datetime.now(UTC):
            raise Unauthenticated(
                f"the API key {key.id} has expired; ask the operator of this server for another", reason="KEY_EXPIRED"
            )
        models = None if key.models is None else frozenset(key.models)
        return Principal(key.name, f"key:{key.id}", frozenset(key.roles), models, key.quota)

    async def follow(self) -> None:
        """Reads the file again whenever it changes; never ends by itself."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.refresh()

    def refresh(self) -> None:
        """Reads the file again if it has changed."""
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._keys = _by_id(self._path)
        except KeysError as error:
            if self._stamp is not None:
                logger.error("%s: %s; the keys stay as they were", self._setting, error)  # noqa: TRY400 - says it all
            self._stamp = None  # tried again until it can be read
            return
        logger.info("%d keys read from %s", len(self._keys), self._path)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise KeysError(f"{path} can't be read ({error.strerror}); `axia keys add` makes such a file") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def _by_id(path: Path) -> Mapping[str, KeyRecord]:
    return MappingProxyType({key.id: key for key in read_keys(path).keys})
