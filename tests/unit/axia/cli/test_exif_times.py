"""Times of capture as cameras and editors write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from axia.cli._images.exif_times import captured_at

LOCAL = datetime(2024, 5, 1, 12).astimezone()
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("date_time", "offset", "wanted"),
    [
        ("2024:05:01 12:00:00", None, LOCAL),
        ("2024:05:01 12:00:00", "+02:00", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00", "+0200", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00", b"+02:00\0", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00", "Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024:05:01 12:00:00", "   :  ", LOCAL),
        ("2024:05:01 12:00:00", "+99:00", LOCAL),
        ("2024:05:01 12:00:00", 2, LOCAL),
        (b"2024:05:01 12:00:00\0", None, LOCAL),
        ("2024-05-01T12:00:00", None, LOCAL),
        ("2024:05:01 12:00:00.25", None, LOCAL),
        ("2024:05:01 12:00: 0", None, LOCAL),
        ("2024:05:01 12:00:00+0200", None, datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00+0200", "   :  ", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00", None, LOCAL),
        ("2024:05:01 12:00:00", "+2:00", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00", "+02", datetime(2024, 5, 1, 12, tzinfo=EAST)),
        ("2024:05:01 12:00:00", "UTC", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024:05:01 12:00:00", "+02:75", LOCAL),
        ("9999:12:31 23:59:59", "-12:00", None),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("2018:10:13 24:24:27", None, None),
        ("0001:01:01 00:00:00", None, None),
        ("2024:13:01 12:00:00", None, None),
        ("", None, None),
        (b"\xff\xfe", None, None),
        (12345, None, None),
        ((1, 2, 3), None, None),
        (None, "+02:00", None),
    ],
)
def test_a_time_is_read_if_it_is_one(date_time: object, offset: object, wanted: datetime | None) -> None:
    found = captured_at(date_time, offset)
    assert found == wanted
    assert found is None or found.tzinfo is not None
