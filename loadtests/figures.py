"""Rates, percentiles and errors of what was recorded."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from loadtests.records import OK, SUPERSEDED, Record, Recording

SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)
_WINDOWS = 60
_MESSAGE_CHARS = 300


class Percentiles(BaseModel):
    """Seconds that half, 90, 95, 99 and 100% of calls took at most."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Percentiles | None":
        """Of these times; None without any."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(**dict(zip(cls.model_fields, (quantile(ordered, share) for share in SHARES), strict=True)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values don't exceed (nearest rank), so one that was measured.

    Args:
        ordered: Ascending values, at least one.
        share: Above 0 and at most 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


class Figures(BaseModel):
    """What became of the calls of a scenario, or of all."""

    requested: int
    """Calls that were to be sent; frames for a watch."""
    answered: int
    """Calls that ended well."""
    superseded: int
    """Frames whose place a newer one took."""
    errors: dict[str, int]
    """Calls that failed, by code."""
    requested_per_s: float
    """Calls a second that were to be sent."""
    achieved_per_s: float
    """Calls a second that were sent in the same time: less where this client held them back."""
    answered_per_s: float
    """Calls a second that ended well, from the begin to the last end."""
    images_per_s: float
    """Images a second that were answered."""
    latency_s: Percentiles | None
    """From the intended time to the end, of calls that ended well."""
    service_s: Percentiles | None
    """From the actual start to the end, of the same."""
    first_completion_s: Percentiles | None
    """From the intended time to the first completion, where completions are streamed."""
    schedule_delay_s: Percentiles | None
    """How much too late calls were sent."""
    drift: float | None
    """Median latency of the last fifth of the calls beside that of the first: above 1 where it grows."""

    @property
    def failed(self) -> int:
        """Calls that failed."""
        return sum(self.errors.values())

    @property
    def error_share(self) -> float:
        """Share of the calls that failed, 0 to 1."""
        return self.failed / self.requested if self.requested else 0.0


class Window(BaseModel):
    """A part of the time."""

    begin_s: float
    end_s: float
    requested_per_s: float
    """Calls that were to be sent."""
    answered_per_s: float
    """Calls that ended well."""
    errors_per_s: float
    """Calls that failed."""
    latency_s: Percentiles | None
    """Of calls that were to be sent in this part."""
    in_flight: int
    """Calls that were being answered, or late, at its end."""


class Summary(BaseModel):
    """A run in figures."""

    length_s: float
    """Seconds in which calls were to be sent."""
    ended_s: float
    """Seconds from the begin to the end of the last call."""
    held_back: int
    """Calls that waited because as many as allowed were in flight."""
    total: Figures
    """All calls."""
    scenarios: dict[str, Figures]
    """The same by scenario."""
    windows: list[Window]
    """Over time."""
    messages: dict[str, str]
    """What was said of the first error of each code."""


def summarize(recording: Recording) -> Summary:
    """The figures of a run.

    Raises:
        ValueError: If nothing was recorded.
    """
    records = sorted(recording.records, key=lambda record: record.intended_s)
    if not records:
        raise ValueError("nothing was recorded")
    ended_s = max(recording.length_s, *(record.ended_s for record in records))
    names = sorted({record.scenario for record in records})
    messages: dict[str, str] = {}
    for record in records:
        if record.outcome.code not in {OK, SUPERSEDED}:
            messages.setdefault(record.outcome.code, record.outcome.message[:_MESSAGE_CHARS])
    return Summary(
        length_s=recording.length_s,
        ended_s=ended_s,
        held_back=recording.held_back,
        total=_figures(records, recording.length_s, ended_s),
        scenarios={
            name: _figures([record for record in records if record.scenario == name], recording.length_s, ended_s)
            for name in names
        },
        windows=_windows(records, recording.length_s, ended_s),
        messages=messages,
    )


def _figures(records: Sequence[Record], length_s: float, ended_s: float) -> Figures:
    well = [record for record in records if record.outcome.code == OK]
    codes = Counter(record.outcome.code for record in records)
    superseded = codes.pop(SUPERSEDED, 0)
    codes.pop(OK, 0)
    return Figures(
        requested=len(records),
        answered=len(well),
        superseded=superseded,
        errors=dict(codes.most_common()),
        requested_per_s=len(records) / length_s,
        achieved_per_s=sum(record.started_s <= length_s for record in records) / length_s,
        answered_per_s=len(well) / ended_s,
        images_per_s=sum(record.outcome.images for record in well) / ended_s,
        latency_s=Percentiles.of(record.latency_s for record in well),
        service_s=Percentiles.of(record.ended_s - record.started_s for record in well),
        first_completion_s=Percentiles.of(record.first_s for record in well if record.first_s is not None),
        schedule_delay_s=Percentiles.of(max(0.0, record.delay_s) for record in records),
        drift=_drift([record.latency_s for record in well]),
    )


def _drift(latencies_s: Sequence[float]) -> float | None:
    fifth = len(latencies_s) // 5
    if not fifth:
        return None
    first, last = quantile(sorted(latencies_s[:fifth]), 0.5), quantile(sorted(latencies_s[-fifth:]), 0.5)
    return last / first if first > 0 else None


def _windows(records: Sequence[Record], length_s: float, ended_s: float) -> list[Window]:
    width = max(0.1, length_s / _WINDOWS)
    count = max(1, math.ceil(ended_s / width - 1e-9))
    due: list[list[Record]] = [[] for _ in range(count)]
    ended: list[Counter[str]] = [Counter() for _ in range(count)]
    for record in records:
        due[min(count - 1, int(record.intended_s / width))].append(record)
        ended[min(count - 1, int(record.ended_s / width))][_kind(record)] += 1
    windows = []
    for number in range(count):
        end = (number + 1) * width
        windows.append(
            Window(
                begin_s=number * width,
                end_s=end,
                requested_per_s=len(due[number]) / width,
                answered_per_s=ended[number]["answered"] / width,
                errors_per_s=ended[number]["failed"] / width,
                latency_s=Percentiles.of(record.latency_s for record in due[number] if record.outcome.code == OK),
                in_flight=sum(record.intended_s < end < record.ended_s for record in records),
            )
        )
    return windows


def _kind(record: Record) -> str:
    return {OK: "answered", SUPERSEDED: "superseded"}.get(record.outcome.code, "failed")
