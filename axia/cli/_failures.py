"""Why an image has no answer, as JSON has it."""

import re
from typing import TYPE_CHECKING

from axia.cli._output import fault_of

if TYPE_CHECKING:
    from axia.results import ItemFailure


def failure_of(error: Exception) -> "ItemFailure":
    """Code, reason and message of an error of the client or of the file system.

    An error that no server of axia raised has no reason of its own; the name of its class stands in for it, such as
    ``CONNECTION_FAILED``.
    """
    from axia.errors import AxiaError
    from axia.results import ItemFailure

    message = fault_of(str(error))
    if isinstance(error, AxiaError):
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).upper()
        return ItemFailure(code=error.code or "UNKNOWN", reason=error.reason or kind, message=message)
    if isinstance(error, FileNotFoundError):
        return ItemFailure(code="NOT_FOUND", reason="FILE_NOT_FOUND", message=message)
    code = "PERMISSION_DENIED" if isinstance(error, PermissionError) else "INVALID_ARGUMENT"
    return ItemFailure(code=code, reason="FILE_UNREADABLE", message=message)
