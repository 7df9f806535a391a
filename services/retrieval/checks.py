"""Checks of ids, metadata and filters, with messages that name the field."""

import re
from collections.abc import Sequence
from typing import Protocol

from services.retrieval.index import Filter
from services.serving.errors import InvalidArgument
from services.serving.limits import check_between

MAX_SOURCE_CHARS = 1_024
_ID = re.compile(r"[0-9a-f]{64}")
_PLATFORM = re.compile(r"[a-z0-9-]{0,64}")


def check_id(field: str, picture_id: str) -> None:
    """Refuses what is no picture id."""
    if not _ID.fullmatch(picture_id):
        raise InvalidArgument(
            field, "must be an image's SHA-256 as 64 lower-case hexadecimal digits", reason="PICTURE_ID"
        )


def check_ids(ids: Sequence[str], max_ids: int) -> None:
    """Refuses no ids, too many, and what is no id."""
    check_between("ids", len(ids), 1, max_ids)
    for number, picture_id in enumerate(ids):
        check_id(f"ids[{number}]", picture_id)


class Known(Protocol):
    """What is told of a picture."""

    @property
    def id(self) -> str:
        """Which picture."""

    @property
    def platform(self) -> str:
        """Where it was taken from."""

    @property
    def source(self) -> str:
        """Where it comes from."""


def check_updates(updates: Sequence[Known], max_ids: int) -> None:
    """Refuses no updates, too many, an id twice, and what is wrong in one."""
    check_between("updates", len(updates), 1, max_ids)
    seen: set[str] = set()
    for place, update in enumerate(updates):
        check_id(f"updates[{place}].id", update.id)
        check_platform(f"updates[{place}].metadata.platform", update.platform)
        check_source(f"updates[{place}].metadata.source", update.source)
        if update.id in seen:
            raise InvalidArgument(f"updates[{place}].id", "is given twice; give it once", reason="PICTURE_ID")
        seen.add(update.id)


def check_platform(field: str, platform: str) -> None:
    """Refuses what is no platform."""
    if not _PLATFORM.fullmatch(platform):
        raise InvalidArgument(
            field, "must be at most 64 lower-case letters, digits and hyphens, such as tiktok", reason="PLATFORM"
        )


def check_source(field: str, source: str) -> None:
    """Refuses an overlong source."""
    if len(source) > MAX_SOURCE_CHARS:
        raise InvalidArgument(
            field, f"has {len(source):,} characters, at most {MAX_SOURCE_CHARS:,} are allowed", reason="TEXT_TOO_LONG"
        )


def check_filter(wanted: Filter, max_entries: int) -> None:
    """Refuses a filter with bad or too many entries, or that no picture can pass."""
    for name, entries, check in (
        ("platforms", wanted.platforms, check_platform),
        ("sources", wanted.sources, check_source),
    ):
        check_between(f"filter.{name}", len(entries), 0, max_entries)
        for number, entry in enumerate(entries):
            check(f"filter.{name}[{number}]", entry)
    begin, end = wanted.captured_from, wanted.captured_before
    if begin is not None and end is not None and begin >= end:
        raise InvalidArgument(
            "filter.captured_before", "must be later than captured_from, or no image can match", reason="OUT_OF_RANGE"
        )
