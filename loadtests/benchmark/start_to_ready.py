"""From the start of a process until it can answer: axia's inference service beside vLLM's own server, in turns.

python -m loadtests.benchmark.start_to_ready [--times 5] [--model FOLDER] [--add-to bench-all]
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from loadtests.benchmark.intervals import Median
from loadtests.benchmark.rivals import DEMO_MODEL, start_vllm
from loadtests.benchmark.table import RESULTS, add_notes
from loadtests.machine import this_machine
from loadtests.servers import Server, Servers, end, wait_until_200, wait_until_serving

GOAL = 1.10
AXIA, VLLM = "axia's inference service", "vLLM's server"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    times: Annotated[int, typer.Option(min=1, help="Times that each is started, after one that warms the disk.")] = 5,
    model: Annotated[Path, typer.Option(help="Folder of the model.")] = DEMO_MODEL,
    add_to: Annotated[str, typer.Option(help="A result of the benchmark that gets the figures as notes.")] = "",
) -> None:
    """Measure how long both take until they can answer."""
    machine = this_machine()
    print(f"{machine.when:%d %B %Y}, commit {machine.commit or 'none'}, {machine.cores} cores, {model.name}")
    found = asyncio.run(_run(times, model))
    notes = {f"from the start to ready, s: {name}": f"{Median.of(seconds):.1f}" for name, seconds in found.items()}
    ratio = Median.of([one / other for one, other in zip(found[AXIA], found[VLLM], strict=True)])
    missed = ", **missed**" if ratio.median > GOAL else ""
    notes[f"from the start to ready: axia beside vLLM (goal: at most {GOAL:.2f})"] = f"× {ratio:.2f}{missed}"
    for what, figure in notes.items():
        print(f"{what}: {figure}")
    if add_to:
        add_notes(RESULTS, add_to, notes)


async def _run(times: int, model: Path) -> Mapping[str, list[float]]:
    """Seconds of each start, by what was started."""

    async def until_serving(server: Server) -> None:
        await wait_until_serving(server)

    async def until_healthy(server: Server) -> None:
        await wait_until_200(server, "/health")

    ways: dict[str, tuple[Callable[[Servers], Server], Callable[[Server], Awaitable[None]]]] = {
        AXIA: (lambda servers: servers.start("inference", model=model), until_serving),
        VLLM: (lambda servers: start_vllm(servers, str(model)), until_healthy),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(0)
    for repetition in range(times + 1):
        for name in order.sample(list(ways), len(ways)):
            start, wait = ways[name]
            with Servers() as servers:
                began = time.perf_counter()
                server = start(servers)
                await wait(server)
                seconds = time.perf_counter() - began
                await asyncio.to_thread(end, server)
            if repetition:
                found[name].append(seconds)
                print(f"{repetition}/{times} {name}: {seconds:.1f} s", flush=True)
    return found


if __name__ == "__main__":
    app(prog_name="python -m loadtests.benchmark.start_to_ready")
