"""python -m loadtests: sends calls at their times, whatever becomes of those before, and writes what was measured."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from pydantic import ValidationError
from rich.console import Console

from axia import TLS
from axia._connection.call import resolve_address
from loadtests.driver import DEFAULT_IN_FLIGHT
from loadtests.errors import LoadError
from loadtests.pictures import read_pictures
from loadtests.plan import Plan, explain, read_budgets, read_plan
from loadtests.records import Arrival
from loadtests.report.page import page
from loadtests.report.text import print_result
from loadtests.run import Run, measure
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.base import DEFAULT_HTTP, Target
from loadtests.shapes import ShapeName
from loadtests.traces import length_of, read_trace, write_trace

EXIT_BROKEN = 1
"""A budget was broken."""
EXIT_UNUSABLE = 2
"""The run could not begin: an option, a file, or nothing that answers."""
OUT = Path(".axia/load")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def load(
    plan: Annotated[str, typer.Argument(help="A plan in TOML or JSON, or the name of one in loadtests/plans.")] = "",
    scenario: Annotated[
        list[str] | None,
        typer.Option(help=f"Call to send, with its relative weight: detect=3. Calls: {', '.join(SCENARIOS)}."),
    ] = None,
    shape: Annotated[Optional[ShapeName], typer.Option(help="How calls arrive over time.")] = None,  # noqa: UP045 - typer needs it
    rate: Annotated[float | None, typer.Option(help="Calls per second.")] = None,
    peak: Annotated[float | None, typer.Option(help="Calls per second at the end of a ramp or in a spike.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the run, in seconds.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random arrivals.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Send the arrivals of this CSV or JSONL file instead.")] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Speed of a trace; 2 sends it in half its time.")] = 1.0,
    save_trace: Annotated[Path | None, typer.Option(help="Write the arrivals as CSV, to send them again.")] = None,
    budgets: Annotated[
        Path | None, typer.Option(help="Limits in TOML or JSON, added to those of the plan or replacing them.")
    ] = None,
    target: Annotated[str | None, typer.Option(envvar="AXIA_TARGET", help="Host and port of the gateway.")] = None,
    http: Annotated[str, typer.Option(envvar="AXIA_HTTP_TARGET", help="URL of the HTTP API.")] = DEFAULT_HTTP,
    start: Annotated[
        Optional[Literal["scripted", "demo"]],  # noqa: UP045 - typer needs it
        typer.Option(help="Start the services for this run: with scripted answers, or with the demo's models."),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of the images to send. Default: the demo's scenes.")
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Completions per detection.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens of one completion.")] = 100,
    full_text: Annotated[bool, typer.Option(help="Let completions run to their end.")] = False,
    model: Annotated[str, typer.Option(help="Name of the model. Default: the gateway's default model.")] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Timeout of a call, in seconds.")] = 60.0,
    in_flight: Annotated[int, typer.Option(min=1, help="Maximum calls in flight; others wait.")] = DEFAULT_IN_FLIGHT,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Number of gRPC connections.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the result as JSON and HTML.")] = OUT,
) -> None:
    """Send calls to a gateway in an open loop, and write rates, latencies and errors.

    An API key is read from AXIA_API_KEY, and encryption from AXIA_TLS and AXIA_TLS_ROOTS, as for axia's clients.
    Exit code 1: a budget was exceeded; 2: the run could not start.
    """
    console = Console(width=None if Console().is_terminal else 130)
    try:
        chosen = _plan(plan, _weights(scenario), shape, rate, peak, seconds, seed, budgets)
        arrivals, length_s = _arrivals(chosen, trace, speed)
        if save_trace is not None:
            write_trace(save_trace, arrivals)
        asked = Target(
            address=resolve_address(target),
            http=http,
            tls=None if start else TLS.from_environment(),
            pictures=read_pictures(pictures),
            n=n,
            max_tokens=max_tokens,
            full_text=full_text,
            model=model,
            timeout_s=timeout,
            connections=connections,
        )
        run = Run(chosen, arrivals, length_s, in_flight, start or "", "" if trace is None else str(trace))
        result, recording = asyncio.run(measure(run, asked, console))
        out.mkdir(parents=True, exist_ok=True)
        result.write(out / f"{chosen.name}.json")
        (out / f"{chosen.name}.html").write_text(page(result, recording), encoding="utf-8")
    except (LoadError, ValueError, OSError) as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(EXIT_UNUSABLE) from error
    print_result(result, console)
    console.print(f"Result: {out / chosen.name}.json, {out / chosen.name}.html", soft_wrap=True)
    if not result.kept:
        raise typer.Exit(EXIT_BROKEN)


def _weights(options: Sequence[str] | None) -> Mapping[str, float]:
    """What the options --scenario say."""
    found = {}
    for option in options or ():
        name, _, weight = option.partition("=")
        try:
            found[name] = float(weight or 1.0)
        except ValueError:
            raise LoadError(f"--scenario {option}: give a name and a number, such as detect=3") from None
    return found


def _plan(
    named: str,
    scenarios: Mapping[str, float],
    shape: ShapeName | None,
    rate: float | None,
    peak: float | None,
    seconds: float | None,
    seed: int | None,
    budgets: Path | None,
) -> Plan:
    """The plan with what the options say otherwise."""
    plan = read_plan(named) if named else Plan()
    given = {"shape": shape, "rate": rate, "peak": peak, "seconds": seconds, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    if options and len(plan.phases) > 1:
        raise LoadError(f"{named} has several phases: change the file instead of giving --{next(iter(options))}")
    kept = dict(plan.phases[0].model_dump(exclude_unset=True).items())
    if shape not in {None, "ramp", "spike"}:
        kept.pop("peak", None)
    changes: dict[str, object] = {}
    if options:
        changes["phases"] = [kept | options]
    if scenarios:
        changes["scenarios"] = scenarios
    if budgets is not None:
        changes["budgets"] = {**plan.budgets, **read_budgets(budgets)}
    try:
        return Plan.model_validate(plan.model_dump(exclude_unset=True) | changes)
    except ValidationError as error:
        raise LoadError(explain(error)) from error


def _arrivals(plan: Plan, trace: Path | None, speed: float) -> tuple[list[Arrival], float]:
    """What to send, and the seconds that it stands for."""
    if trace is not None:
        alone = next(iter(plan.scenarios)) if len(plan.scenarios) == 1 else None
        arrivals = read_trace(trace, scenario=alone, speed=speed)
        return arrivals, length_of(arrivals)
    arrivals = plan.arrivals()
    if not arrivals:
        raise LoadError("no call would be sent: give a higher --rate or more --seconds")
    return arrivals, plan.length_s
