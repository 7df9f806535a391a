"""An evaluation beside a bare load of the same calls: how much of the throughput inspect_ai and the scoring leave.

python -m loadtests.benchmark.evaluation_speed [--images 600] [--times 3]

The evaluation is `axia eval values_detector` on as many images, three completions each, from its first to its last
sample, scoring included. The bare load sends the same conversations to the same gateway, with as many calls in flight.
The floor is inspect_ai alone: as many samples of a text, with its mock model that answers at once.
"""

import asyncio
import base64
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer

from axia import AsyncClient
from axia._connection.call import channel_options
from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.v1 import inference_pb2, inference_pb2_grpc
from loadtests.benchmark.axias import CALL_S, MAX_TOKENS
from loadtests.benchmark.intervals import Median
from loadtests.benchmark.rivals import DEMO_MODEL
from loadtests.errors import LoadError
from loadtests.machine import this_machine
from loadtests.pictures import GALLERY
from loadtests.servers import ROOT, Server, Servers, wait_until_serving

GOAL = 0.85
EPOCHS, IN_FLIGHT = 3, 32
EVALUATION, LOAD, FLOOR = "axia eval", "the same calls without it", "inspect_ai with its mock model"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    images: Annotated[int, typer.Option(min=1, help="Images of the evaluation.")] = 600,
    times: Annotated[int, typer.Option(min=1, help="Times that each runs.")] = 3,
    model: Annotated[Path, typer.Option(help="Folder of the model.")] = DEMO_MODEL,
) -> None:
    """Measure calls/s of an evaluation and of a bare load, in turns."""
    machine = this_machine()
    print(f"{machine.when:%d %B %Y}, commit {machine.commit or 'none'}, {machine.cores} cores, {model.name}")
    found = asyncio.run(_run(images, times, model))
    for name, rates in found.items():
        print(f"{name}: {Median.of(rates):.1f}/s")
    ratio = Median.of([one / other for one, other in zip(found[EVALUATION], found[LOAD], strict=True)])
    print(f"ratio: {ratio:.2f} (goal: at least {GOAL:.2f})")


async def _run(images: int, times: int, model: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {EVALUATION: [], LOAD: [], FLOOR: []}
    order = random.Random(0)
    with Servers() as servers:
        inference = servers.start("inference", model=model)
        scoring = servers.start("scoring")
        for server in (inference, scoring):
            await wait_until_serving(server)
        gateway = servers.start("gateway", inference=inference.address, scoring=scoring.address, retrieval="")
        await wait_until_serving(gateway)
        async with AsyncClient(gateway.address) as client:
            served = (await client.models()).models[0].model
        if served is None:
            raise LoadError("the gateway has no model: see the log of the inference service")
        annotations = _write_study(servers.folder / "study", images)
        for repetition in range(1, times + 1):
            for name in order.sample(list(found), len(found)):
                logs = servers.folder / f"logs-{repetition}-{name.split()[0]}"
                if name == LOAD:
                    rate = await _load(gateway, served.name, annotations, repetition)
                elif name == FLOOR:
                    rate = await asyncio.to_thread(_floor, images, logs)
                else:
                    rate = await asyncio.to_thread(_evaluate, gateway, served.name, annotations, logs, repetition)
                found[name].append(rate)
                print(f"{repetition}/{times} {name}: {rate:.1f}/s", flush=True)
    return found


def _write_study(folder: Path, images: int) -> Path:
    """Images of the demo, each with other bytes, and one annotation each."""
    folder.mkdir()
    rows = []
    frames = [path.read_bytes() for path in sorted(GALLERY.glob("*.webp"))]
    for number, frame in zip(range(images), itertools.cycle(frames), strict=False):
        # A chunk that readers of WebP files skip, so that no cache has seen the image.
        chunk = b"NOTE" + (8).to_bytes(4, "little") + number.to_bytes(8, "little")
        (folder / f"{number:04}.webp").write_bytes(
            frame[:4] + (len(frame) - 8 + len(chunk)).to_bytes(4, "little") + frame[8:] + chunk
        )
        element = "a child near a hot stove"
        row = {"image": f"{number:04}.webp", "annotator": "a1", "element": element, "response_type": 2}
        rows.append(json.dumps(row))
    annotations = folder / "annotations.jsonl"
    annotations.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return annotations


def _evaluate(gateway: Server, model: str, annotations: Path, logs: Path, seed: int) -> float:
    """Calls/s of one evaluation."""
    command = [sys.executable, "-m", "axia", "eval", "values_detector", "--models", model]
    command += ["--out", str(logs), "--epochs", str(EPOCHS), "--connections", str(IN_FLIGHT)]
    command += ["-T", f"annotations={annotations}", "-T", f"seed={seed}", "-T", f"max_tokens={MAX_TOKENS}"]
    return _rate(command, logs, AXIA_ADDRESS=gateway.address)


def _floor(images: int, logs: Path) -> float:
    """Samples/s of inspect_ai alone."""
    module = "loadtests.benchmark.children.mock_evaluation"
    return _rate([sys.executable, "-m", module, str(logs), str(images), str(EPOCHS), str(IN_FLIGHT)], logs)


def _rate(command: Sequence[str], logs: Path, **environment: str) -> float:
    """Samples/s of an evaluation, from the start of its first sample to the end of its last."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"the evaluation ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    samples = [
        sample
        for log in list_eval_logs(str(logs))
        for sample in read_eval_log(log, resolve_attachments=False).samples or ()
    ]
    began = min(moment for sample in samples if (moment := sample.started_at))
    ended = max(moment for sample in samples if (moment := sample.completed_at))
    return len(samples) / _seconds(began, ended)


def _seconds(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


async def _load(gateway: Server, model: str, annotations: Path, seed: int) -> float:
    """Calls/s of the same conversations, with the same images, prompt and sampling."""
    requests = list(_requests(model, annotations, seed))
    async with grpc.aio.insecure_channel(gateway.address, options=channel_options(gateway.address)) as channel:
        stub: Any = inference_pb2_grpc.InferenceServiceStub(channel)

        async def send(waiting: Iterator[inference_pb2.GenerateAllRequest]) -> None:
            for request in waiting:
                await stub.GenerateAll(request, timeout=CALL_S)

        waiting = iter(requests)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as senders:
            for _ in range(IN_FLIGHT):
                senders.create_task(send(waiting))
        return len(requests) / (time.perf_counter() - began)


def _requests(model: str, annotations: Path, seed: int) -> Iterator[inference_pb2.GenerateAllRequest]:
    from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig

    from axia.evals.generation import FIRST_SENTENCE, to_request

    text = load_prompts()[DEFAULT_DETECTION_PROMPT].text
    images = []
    for line in annotations.read_text(encoding="utf-8").splitlines():
        data = base64.b64encode((annotations.parent / json.loads(line)["image"]).read_bytes()).decode()
        images.append(ContentImage(image=f"data:image/webp;base64,{data}"))
    for epoch, (place, image) in itertools.product(range(EPOCHS), enumerate(images)):  # inspect_ai's order
        config = GenerateConfig(
            temperature=1.0,
            max_tokens=MAX_TOKENS,
            seed=1_000_000 * seed + EPOCHS * place + epoch,
            extra_body={FIRST_SENTENCE: True},
        )
        generation = to_request(model, [ChatMessageUser(content=[image, ContentText(text=text)])], config)
        yield inference_pb2.GenerateAllRequest(generation=generation)


if __name__ == "__main__":
    app(prog_name="python -m loadtests.benchmark.evaluation_speed")
