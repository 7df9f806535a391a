"""Checks that the packages of a server are installed, before an import of them would end in a traceback."""

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
            f"missing Python packages: {', '.join(missing)}. Run `make setup` in a checkout, or "
            f"`pip install '.[{extra}]'`. `make setup ENGINE=none` installs neither vLLM nor retrieval: there, set "
            "AXIA_INFERENCE_ENGINE=openai and start the suite with `axia up --without retrieval`",
        )
        sys.exit(1)
