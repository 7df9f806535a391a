"""Where Chromium is."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent import AgentError

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium(given: Path | None = None) -> str:
    """The program.

    Raises:
        AgentError: there is none.
    """
    if given is not None:
        if not given.is_file():
            raise AgentError(f"{given} is not a program: give Chromium's path with --chromium")
        return str(given)
    if found := next(filter(None, map(shutil.which, _NAMES)), None):
        return found
    raise AgentError(
        "Chromium is not installed: on Debian and Ubuntu `apt-get install chromium`, or give its path with --chromium"
    )
