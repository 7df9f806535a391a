"""Whether what a server needs is installed; said before anything is imported that would end in a traceback."""

import logging
import sys
from importlib.util import find_spec

from services.serving.logs import tell


def require_packages(service: str, extra: str, *names: str) -> None:
    """Ends the process with 1 and a message that says what to do, where a package isn't installed.

    Args:
        service: Name for the log record.
        extra: Of this project, which brings the packages.
        names: As they are imported.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        tell(
            service,
            logging.ERROR,
            f"{', '.join(missing)} not installed: run `make setup` in a checkout, or `pip install '.[{extra}]'`; a "
            "set-up with ENGINE=none has no model engine and no retrieval",
        )
        sys.exit(1)
