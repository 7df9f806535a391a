"""Sessions and events in SQLite: a feed goes on after a restart, and a run can be replayed event by event."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from feed import FeedError
from feed.session import Event, Kind

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, platform TEXT NOT NULL, seed INTEGER NOT NULL, ends_after INTEGER,
    library TEXT NOT NULL, created TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    session TEXT NOT NULL REFERENCES sessions (id), number INTEGER NOT NULL, step INTEGER NOT NULL,
    kind TEXT NOT NULL, dwell_ms INTEGER NOT NULL, video TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (session, number)
) STRICT;
"""


class Stored(NamedTuple):
    """A session as it was begun."""

    id: str
    platform: str
    seed: int
    ends_after: int | None
    library: str
    """Fingerprint of the videos."""


class Noted(NamedTuple):
    """An event, and the video that was on."""

    event: Event
    video: str


class Store:
    """The database of one feed. Calls may come from any thread.

    Args:
        path: its file, or None for one in memory.

    Raises:
        FeedError: the file is no database of a feed, or can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise FeedError(f"{path} can't be used as the feed's database ({error}): give another --state") from error

    def begin(self, stored: Stored) -> None:
        """A new session."""
        with self._lock:
            self._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", (*stored, _now()))

    def find(self, session: str) -> Stored | None:
        """A session by its id."""
        with self._lock:
            columns = "id, platform, seed, ends_after, library"
            row = self._db.execute(f"SELECT {columns} FROM sessions WHERE id = ?", (session,)).fetchone()  # noqa: S608
        return None if row is None else Stored(*row)

    def sessions(self) -> list[Stored]:
        """All sessions, in the order in which they began."""
        with self._lock:
            rows = self._db.execute("SELECT id, platform, seed, ends_after, library FROM sessions ORDER BY rowid")
            return [Stored(*row) for row in rows]

    def note(self, session: str, event: Event, video: str) -> None:
        """Something happened."""
        with self._lock:
            self._db.execute(
                "INSERT INTO events SELECT ?, coalesce(max(number), -1) + 1, ?, ?, ?, ?, ? FROM events"
                " WHERE session = ?",
                (session, event.step, event.kind.value, event.dwell_ms, video, _now(), session),
            )

    def events(self, session: str) -> list[Noted]:
        """What happened in a session, in order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT step, kind, dwell_ms, video FROM events WHERE session = ? ORDER BY number", (session,)
            ).fetchall()
        return [Noted(Event(step, Kind(kind), dwell_ms), video) for step, kind, dwell_ms, video in rows]

    def export(self, session: str) -> Iterator[str]:
        """A session as JSON lines: how it began, then its events."""
        if (stored := self.find(session)) is None:
            raise FeedError(f"there is no session {session}")
        yield json.dumps({"session": stored._asdict()})
        for event, video in self.events(session):
            yield json.dumps({**event._asdict(), "video": video})

    def close(self) -> None:
        """Ends its use."""
        with self._lock:
            self._db.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
