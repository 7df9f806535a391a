"""Measures what becomes of calls when more is asked of a model than it can answer: python -m scripts.overload

A gateway stands in front of a scripted engine that takes a fixed time for each completion and runs a fixed number at a
time, so what it can do is known. Detections of one completion are sent in an open loop: as many as it can do, four
times as many, then half as many; then two callers, one of whom floods. Prints a table with the bounds, and ends with 1
if one is missed.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from axia.identity.keys import add_key, new_key
from loadtests.driver import drive
from loadtests.figures import quantile
from loadtests.pictures import read_pictures
from loadtests.records import OK, Arrival, Record
from loadtests.scenarios.base import Scenario, Target
from loadtests.scenarios.detection import Detect
from loadtests.servers import Server, Servers, wait_until_serving
from loadtests.shapes import Shape

OVER = 4.0
RECOVERY_S = 10.0
AFTERWARDS = 0.5
"""Share of what the model can do that is asked of it after the overload."""
SHARE = 0.25
"""Share of what the model can do that the caller asks for who doesn't flood: half of what is its own. One who asks for
nearly all of its own waits in a queue of its own calls, whatever others do."""
NORMAL_LATENCIES = 2.0
"""A call that takes no longer than this many times the engine's latency finds things as they should be."""


class Options(NamedTuple):
    """What is measured."""

    seconds: float
    places: int
    latency_s: float
    timeout_s: float


class Robot(Detect):
    """Detections of a caller that asks for no more than its share."""

    name = "robot"


class Flood(Detect):
    """Detections of a caller that floods."""

    name = "flood"


class Row(NamedTuple):
    """A figure beside its bound."""

    what: str
    measured: str
    bound: str
    kept: bool | None
    """None where there is no bound."""


def successes(records: Sequence[Record]) -> list[Record]:
    """Calls that were answered."""
    return [record for record in records if record.outcome.code == OK]


def refusals(records: Sequence[Record]) -> list[Record]:
    """Calls that were refused because there are too many."""
    return [record for record in records if record.outcome.code == "RESOURCE_EXHAUSTED"]


def others(records: Sequence[Record]) -> dict[str, int]:
    """Calls that ended in any other way, by code."""
    codes = [record.outcome.code for record in records if record.outcome.code not in {OK, "RESOURCE_EXHAUSTED"}]
    return {code: codes.count(code) for code in sorted(set(codes))}


def goodput(records: Sequence[Record], begin_s: float, end_s: float) -> float:
    """Calls a second that ended well between two times."""
    return sum(begin_s <= record.ended_s < end_s for record in successes(records)) / (end_s - begin_s)


def share_of(seconds: Sequence[float], share: float) -> float:
    """A quantile; nothing took no time."""
    return quantile(sorted(seconds), share) if seconds else 0.0


class Measurement:
    """The calls of one suite.

    Args:
        scenarios: Callers by name, opened.
        gateway: The server that they call; its log has a line for each call.
        options: What is measured.
    """

    def __init__(self, scenarios: Mapping[str, Scenario], gateway: Server, options: Options) -> None:
        self._scenarios = scenarios
        self._gateway = gateway
        self._process = psutil.Process(gateway.pid)
        self._options = options
        self._seed = 0

    def processor_s(self) -> float:
        """Processor time that the gateway has taken so far, in seconds."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def refused_s(self, begin: int) -> list[float]:
        """How long the gateway itself took for each refusal, in seconds, from a place in its log on."""
        with self._gateway.log.open("rb") as log:
            log.seek(begin)
            lines = [json.loads(line) for line in log if line.startswith(b"{")]
        return [line["duration_ms"] / 1000 for line in lines if line.get("code") == "RESOURCE_EXHAUSTED"]

    def log_size(self) -> int:
        """The end of the gateway's log, in bytes."""
        return self._gateway.log.stat().st_size

    async def peak(self) -> float:
        """Calls a second of as many callers as keep every place and a queue as long busy (a closed loop)."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        ends: list[float] = []

        async def caller(number: int) -> None:
            while loop.time() < begin + self._options.seconds:
                if (await self._scenarios["robot"].call(number)).code == OK:
                    ends.append(loop.time())

        await asyncio.gather(*(caller(number) for number in range(2 * self._options.places)))
        skipped_s = 2 * self._options.latency_s  # until every place is taken
        counted = [end for end in ends if begin + skipped_s <= end < begin + self._options.seconds]
        return len(counted) / (self._options.seconds - skipped_s)

    async def send(self, *phases: tuple[str, float, float, float]) -> list[Record]:
        """Sends calls in an open loop; each phase is a caller, its calls a second, its begin and its end."""
        arrivals: list[Arrival] = []
        for caller, rate, begin_s, end_s in phases:
            self._seed += 1
            shape = Shape(shape="poisson", rate=rate, seconds=end_s - begin_s, seed=self._seed)
            arrivals += [Arrival(begin_s + at_s, caller) for at_s in shape.arrivals()]
        length_s = max(end_s for *_, end_s in phases)
        return (await drive(sorted(arrivals), self._scenarios, length_s=length_s)).records


async def measure(measurement: Measurement, options: Options) -> list[Row]:
    """All figures."""
    seconds, latency_s = options.seconds, options.latency_s
    peak = await measurement.peak()
    rows = [Row("peak, calls/s", f"{peak:.1f}", f"{options.places / latency_s:.0f} by the engine's times", None)]

    before_s = measurement.processor_s()
    records = await measurement.send(("robot", peak, 0.0, seconds))
    call_s = (measurement.processor_s() - before_s) / len(records)
    capacity_p99 = share_of([record.latency_s for record in successes(records)], 0.99)
    rows.append(Row("at capacity: goodput, calls/s", f"{goodput(records, 0.0, seconds):.1f}", "", None))
    rows.append(Row("at capacity: p99, s", f"{capacity_p99:.3f}", "", None))
    rows.append(Row("at capacity: refused", f"{len(refusals(records)) / len(records):.1%}", "", None))

    rows.append(Row("at capacity: processor time of the gateway for a call, ms", f"{1000 * call_s:.2f}", "", None))

    end_s = seconds + RECOVERY_S
    before_s, log_begin = measurement.processor_s(), measurement.log_size()
    records = await measurement.send(("robot", OVER * peak, 0.0, seconds), ("robot", AFTERWARDS * peak, seconds, end_s))
    others_s = call_s * sum(record.outcome.code != "RESOURCE_EXHAUSTED" for record in records)
    refusal_s = (measurement.processor_s() - before_s - others_s) / max(len(refusals(records)), 1)
    at_gateway_s = measurement.refused_s(log_begin)
    during = [record for record in records if record.intended_s < seconds]
    reached = goodput(during, 0.0, seconds) / peak
    accepted_p99 = share_of([record.latency_s for record in successes(during)], 0.99)
    refused_p95 = share_of([record.ended_s - record.started_s for record in refusals(during)], 0.95)
    late_p95 = share_of([record.delay_s for record in during], 0.95)
    over = f"{OVER:g} x capacity"
    rows += [
        Row(f"{over}: goodput over peak", f"{reached:.3f}", "at least 0.90", reached >= 0.90),  # noqa: PLR2004
        Row(
            f"{over}: p99 of accepted, s", f"{accepted_p99:.3f}", f"at most {2 * capacity_p99:.3f}",
            accepted_p99 <= 2 * capacity_p99,
        ),
        Row(f"{over}: refused", f"{len(refusals(during)) / len(during):.1%}", "", None),
        Row(
            f"{over}: refusals, p95, ms", f"{1000 * refused_p95:.1f}", "at most 50", refused_p95 <= 0.05,  # noqa: PLR2004
        ),
        Row(f"{over}: refusals at the gateway itself, p95, ms", f"{1000 * share_of(at_gateway_s, 0.95):.1f}", "", None),
        Row(f"{over}: processor time of the gateway for a refusal, ms", f"{1000 * refusal_s:.2f}", "", None),
        Row(f"{over}: this client sent too late, p95, ms", f"{1000 * late_p95:.1f}", "", None),
        Row(f"{over}: ended in another way", str(others(during) or "none"), "", None),
    ]  # fmt: skip
    slow = [
        record.intended_s - seconds
        for record in records
        if record.intended_s >= seconds
        and (record.outcome.code != OK or record.latency_s > NORMAL_LATENCIES * latency_s)
    ]
    recovery_s = max(slow, default=0.0)
    rows.append(Row("normal again after, s", f"{recovery_s:.2f}", "at most 5", recovery_s <= 5))  # noqa: PLR2004

    alone = await measurement.send(("robot", SHARE * peak, 0.0, seconds))
    both = await measurement.send(("robot", SHARE * peak, 0.0, seconds), ("flood", OVER * peak, 0.0, seconds))
    robots, floods = ([record for record in both if record.scenario == name] for name in ("robot", "flood"))
    kept = len(successes(robots)) / len(robots) / (len(successes(alone)) / len(alone))
    p99 = [share_of([record.latency_s for record in successes(one)], 0.99) for one in (alone, robots)]
    rows += [
        Row(f"at {SHARE:.0%} beside a flood: throughput over alone", f"{kept:.3f}", "at least 0.95", kept >= 0.95),  # noqa: PLR2004
        Row(f"at {SHARE:.0%} beside a flood: p99, s (alone)", f"{p99[1]:.3f} ({p99[0]:.3f})", "", None),
        Row(f"at {SHARE:.0%} beside a flood: refused, other", f"{len(refusals(robots))}, {others(robots)}", "", None),
        Row("the flood's goodput over peak", f"{goodput(floods, 0.0, seconds) / peak:.3f}", "", None),
    ]
    return rows


async def run(options: Options) -> list[Row]:
    """Starts the servers, measures, ends them."""
    with Servers() as servers:
        answers, keys = servers.folder / "answers.yaml", servers.folder / "keys.json"
        answers.write_text(
            f"model: scripted\nfirst_token_ms: {1000 * options.latency_s}\nanswers:\n  - say: ['A knife.']\n"
        )
        made = {name: new_key(name, ["detect"]) for name in ("robot", "flood")}
        for key in made.values():
            add_key(keys, key.record)
        engine = servers.start("inference", engine="scripted", answers=answers, max_running=options.places)
        await wait_until_serving(engine)
        gateway = servers.start(
            "gateway", inference=engine.address, retrieval="", scoring="", keys=keys,
            replica_completions=options.places,
        )  # fmt: skip
        await wait_until_serving(gateway)
        shown = read_pictures(None)
        scenarios = {
            kind.name: kind(
                Target(gateway.address, api_key=made[kind.name].text, pictures=shown, n=1, timeout_s=options.timeout_s)
            )
            for kind in (Robot, Flood)
        }
        for scenario in scenarios.values():
            await scenario.open()
        try:
            return await measure(Measurement(scenarios, gateway, options), options)
        finally:
            for scenario in scenarios.values():
                await scenario.close()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each phase")
    parser.add_argument("--places", type=int, default=8, help="completions that the engine runs at a time")
    parser.add_argument("--latency-ms", type=float, default=400.0, help="time of the engine for a completion")
    parser.add_argument("--timeout-s", type=float, default=2.0, help="time that each call has")
    given = parser.parse_args()
    os.environ["GRPC_VERBOSITY"] = "NONE"
    rows = asyncio.run(run(Options(given.seconds, given.places, given.latency_ms / 1000, given.timeout_s)))
    table = Table("figure", "measured", "bound", "")
    for row in rows:
        table.add_row(row.what, row.measured, row.bound, "" if row.kept is None else "kept" if row.kept else "MISSED")
    Console(width=110).print(table)
    sys.exit(any(row.kept is False for row in rows))


if __name__ == "__main__":
    main()
