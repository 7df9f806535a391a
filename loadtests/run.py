"""A run from its begin to its figures."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import NamedTuple

from rich.console import Console

import axia
from loadtests.budgets import check
from loadtests.driver import drive
from loadtests.errors import LoadError
from loadtests.figures import summarize
from loadtests.machine import this_machine
from loadtests.plan import Plan
from loadtests.records import OK, SUPERSEDED, Arrival, Recording
from loadtests.result import Result, Served
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.base import Scenario, Target
from loadtests.servers import Servers, start_suite


class Run(NamedTuple):
    """What to send."""

    plan: Plan
    arrivals: Sequence[Arrival]
    length_s: float
    """Seconds that the arrivals stand for."""
    in_flight: int
    """Calls in flight at most."""
    start: str
    """"scripted" or "demo" to start a suite for the time of the run; empty for one that runs."""
    trace: str
    """The trace that is replayed; empty for the plan's arrivals."""


async def measure(run: Run, target: Target, console: Console) -> tuple[Result, Recording]:
    """Starts what is to be started, sends every call, and gives the figures and what they are made of.

    Raises:
        LoadError: If nothing answers, or what is called can't work.
    """
    names = sorted({arrival.scenario for arrival in run.arrivals})
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise LoadError(f"there is no scenario {unknown[0]!r}: use one of {', '.join(SCENARIOS)}")
    machine = this_machine()
    async with AsyncExitStack() as stack:
        if run.start:
            servers = stack.enter_context(Servers())
            needs = frozenset().union(*(SCENARIOS[name].needs for name in names))
            console.print(f"Starting the gateway, {', '.join(sorted(needs))} ({run.start})")
            suite = await start_suite(servers, needs, scripted=run.start == "scripted")
            there = f"http://{suite.http.address}" if suite.http else target.http
            target = replace(target, address=suite.gateway.address, http=there)
        served = Served(target=target.address, started_here=run.start, models=await _models(target))
        scenarios = {name: SCENARIOS[name](target) for name in names}
        for scenario in scenarios.values():
            await scenario.open()
            stack.push_async_callback(scenario.close)
            await _try(scenario, target)
        console.print(f"Sending {len(run.arrivals)} calls in {run.length_s:g} s to {target.address}")
        recording = await drive(run.arrivals, scenarios, length_s=run.length_s, in_flight=run.in_flight)
    summary = summarize(recording)
    verdicts = check(run.plan.budgets, summary)
    return (
        Result(plan=run.plan, trace=run.trace, served=served, machine=machine, summary=summary, verdicts=verdicts),
        recording,
    )


async def _models(target: Target) -> list[str]:
    """The models behind the gateway.

    Raises:
        LoadError: If no gateway answers.
    """
    try:
        async with axia.AsyncClient(target.address, timeout=10.0, tls=target.tls, api_key=target.api_key) as client:
            found = await client.models()
    except axia.AxiaError as error:
        raise LoadError(f"{error}. Run `axia up`, use --start scripted, or set AXIA_TARGET to a gateway") from error
    return [
        f"{status.model.name} ({status.model.engine})" if status.model else f"{status.address} (not known yet)"
        for status in found.models
    ]


async def _try(scenario: Scenario, target: Target) -> None:
    """Makes one call that doesn't count, so that connections are there, and what can't work fails before the run."""
    outcome = await scenario.call(0)
    if outcome.code not in {OK, SUPERSEDED}:
        where = target.http if "http" in scenario.needs else target.address
        raise LoadError(f"{scenario.help} at {where} failed, so no load was sent: {outcome.code}: {outcome.message}")
