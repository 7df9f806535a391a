"""The audit log: who asked for what, and what was decided, as JSON lines in a file of its own.

A line is written before the call is answered, so that no call is without one; how it ended is in the access log under
the same request id. It holds names and ids, and nothing of pictures, prompts or answers.
"""

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.serving.errors import FailedPrecondition, ServiceError
from services.serving.identity.principal import Principal
from services.serving.logs import request_id

_MAX_TARGETS = 1000
_MAX_CHARS = 200

TARGETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/axia.v1.RetrievalService/GetImages": "ids",
        "/axia.v1.RetrievalService/UpdateImages": "updates",
        "/axia.v1.RetrievalService/DeleteImages": "ids",
        "/axia.v1.RetrievalService/StartReindex": "encoder",
        "/axia.v1.RetrievalService/GetReindex": "id",
        "/axia.v1.GatewayService/DetectValues": "model",
        "/axia.v1.InferenceService/Generate": "model",
    }
)
"""The field of the first request that says what a call is about, by method: a text, texts, or messages with an id."""


class AuditLog:
    """Appends lines to a file.

    Args:
        path: The file; it is opened again if it was moved away, as by logrotate.
        setting: The variable that names it, for messages.
        service: Name of the server.

    Raises:
        FailedPrecondition: If it can't be opened.
    """

    def __init__(self, path: Path, setting: str, service: str) -> None:
        self._path = path
        self._service = service
        self._lock = threading.Lock()
        try:
            self._file = _open(path)
        except OSError as error:
            raise FailedPrecondition(
                f"{setting}: {path} can't be written ({error.strerror}); give a file in a folder that this server may "
                "write to",
                reason="AUDIT_LOG_UNWRITABLE",
            ) from error

    def write(
        self, method: str, caller: Principal | None, peer: str, request: Any = None, refusal: ServiceError | None = None
    ) -> None:
        """Writes one line. Raises OSError if that fails, and then the call must not be answered."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "service": self._service,
            "request_id": request_id.get(),
            "principal": caller.name if caller else None,
            "credential": caller.credential if caller else None,
            "peer": peer,
            "method": method,
            "decision": "denied" if refusal else "allowed",
        }
        if refusal is not None:
            line["reason"] = refusal.reason
        if targets := _targets(method, request):
            line["targets"] = targets
        text = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        with self._lock:
            self._reopen_if_moved()
            os.write(self._file, text)

    def _reopen_if_moved(self) -> None:
        try:
            current = self._path.stat().st_ino
        except OSError:
            current = -1
        if current != os.fstat(self._file).st_ino:
            before, self._file = self._file, _open(self._path)
            os.close(before)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _targets(method: str, request: Any) -> list[str]:
    field = TARGETS.get(method)
    if field is None or request is None:
        return []
    if isinstance(request, bytes):  # one that is passed on unread
        service, _, name = method[1:].rpartition("/")
        try:
            kind = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name].input_type
            request = GetMessageClass(kind).FromString(request)
        except (KeyError, DecodeError):
            return []
    found = getattr(request, field, ())
    texts = [found] if isinstance(found, str) else list(found)
    named = (text if isinstance(text, str) else text.id for text in texts[:_MAX_TARGETS])
    return [text[:_MAX_CHARS] for text in named if text]
