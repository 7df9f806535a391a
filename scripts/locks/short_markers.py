"""Shortens the markers of a lock file: python scripts/locks/short_markers.py requirements/cpu.txt

Each requirement of a lock that was resolved for `tool.uv.environments` says in full for which of them it is. What all
environments have in common is left out, so that a requirement for all of them has no marker.
"""

import re
import sys
from pathlib import Path

COMMON = (
    "python_full_version < '3.14'", "implementation_name == 'cpython'", "platform_python_implementation != 'PyPy'",
    "sys_platform == 'linux'",
)  # fmt: skip
MACHINES = frozenset({"platform_machine == 'aarch64'", "platform_machine == 'x86_64'"})


def short(marker: str) -> str:
    """The marker without what is common; empty where it holds in every environment."""
    alternatives = [
        frozenset(part for part in one.strip("() ").split(" and ") if part not in COMMON)
        for one in marker.split(" or ")
    ]
    without_machine = {one - MACHINES for one in alternatives}
    if len(without_machine) == 1 and {part for one in alternatives for part in one & MACHINES} == MACHINES:
        alternatives = list(without_machine)
    texts = sorted({" and ".join(sorted(one, reverse=True)) for one in alternatives})
    if "" in texts:
        return ""
    return texts[0] if len(texts) == 1 else " or ".join(f"({text})" for text in texts)


def shorten(lock: str) -> str:
    """The text of a lock file with short markers."""

    def line(found: re.Match[str]) -> str:
        marker = short(found["marker"])
        return found["requirement"] + (f" ; {marker}" if marker else "") + found["rest"]

    return re.sub(r"^(?P<requirement>\S+==\S+) ; (?P<marker>.*?)(?P<rest> \\|)$", line, lock, flags=re.MULTILINE)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(shorten(path.read_text(encoding="utf-8")), encoding="utf-8")
