"""Reads what a service said before it ended."""

import json
from pathlib import Path

from suite.restarts import LOGGER


def size(log: Path) -> int:
    """Bytes in a log, 0 if there is none yet."""
    return log.stat().st_size if log.exists() else 0


def read_since(log: Path, offset: int) -> list[str]:
    """The lines of a log from an offset in bytes on."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace").splitlines()


def until_end(lines: list[str]) -> list[str]:
    """The lines up to the first note that the service's process ended; none if there is no such note."""
    for number, line in enumerate(lines):
        record = _record(line)
        if record.get("logger") == LOGGER and "process" in record:
            return lines[: number + 1]
    return []


def readable(line: str) -> str:
    """A line for people: level and message of a JSON record, anything else as it is."""
    record = _record(line)
    if "message" not in record:
        return line
    head = f"{record.get('level', '')} {record['message']}".strip()
    return "\n".join(filter(None, (head, str(record.get("exc_info") or "").strip())))


def _record(line: str) -> dict[str, object]:
    """A JSON log record; empty if the line is none."""
    if not line.startswith("{"):
        return {}
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
