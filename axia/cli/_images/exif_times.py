"""Times in EXIF, as cameras and editors write them."""

import re
from datetime import UTC, datetime, timedelta, timezone

_TIME = re.compile(
    r"\s*(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[ T]+(\d\d?):[ ]?(\d\d?)(?::[ ]?(\d\d?)(?:[.,]\d+)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?\s*$"
)
_OFFSET = re.compile(r"\s*(?:(Z|UTC|GMT)|([+-])(\d\d?)(?::?([0-5]\d))?)\s*$")
_FIRST_PHOTOGRAPH = 1826


def captured_at(date_time: object, offset: object) -> datetime | None:
    """A time of capture; None where the values say none.

    Args:
        date_time: The value of DateTimeOriginal, such as ``2024:05:01 12:00:00``.
        offset: The value of OffsetTimeOriginal, such as ``+02:00``. Without one that can be read, the time is this
            machine's local time.
    """
    found = _TIME.match(_text(date_time))
    if found is None or int(found[1]) < _FIRST_PHOTOGRAPH:
        return None
    zone = _zone(found[7] or "") or _zone(_text(offset))
    try:
        moment = datetime(*(int(digits or 0) for digits in found.groups()[:6]), tzinfo=zone)  # type: ignore[arg-type, misc]  # six numbers
        moment.astimezone(UTC)  # at the end of 9999 there may be none
        return moment if zone else moment.astimezone()
    except (ValueError, OverflowError):
        return None  # such as the hour 24


def _text(value: object) -> str:
    """A value as text: EXIF has types beside it, and bytes are what some cameras use."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0 ") if isinstance(value, str) else ""


def _zone(text: str) -> timezone | None:
    found = _OFFSET.match(text)
    if found is None:
        return None
    if found[1]:
        return UTC
    minutes = 60 * int(found[3]) + int(found[4] or 0)
    try:
        return timezone(timedelta(minutes=minutes if found[2] == "+" else -minutes))
    except ValueError:
        return None  # a day or more
