"""Measures how long a prompt holds up others on a CPU.

    python -m loadtests.benchmark.prefill_stall --model FOLDER [--tokens 30000]

While one completion is generated, a long prompt comes. Prints the longest pause between two tokens of the first and
the time until the first token of the second: once with prompts prefilled in steps, as axia has vLLM do it, and once
with each prompt in one step (`enable_chunked_prefill=False`).
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from services.inference.engines.engine import Conversation, Message, Role, Sampling
from services.inference.engines.vllm import loading
from services.inference.engines.vllm.engine import VllmEngine
from services.inference.settings import InferenceSettings


async def measure(settings: InferenceSettings, tokens: int) -> str:
    """Loads the model and measures once."""
    began = time.monotonic()
    engine = VllmEngine(settings)
    await engine.start()
    loaded = time.monotonic() - began
    pauses: list[float] = []

    async def generate() -> None:
        prepared = await engine.prepare(Conversation([Message(Role.USER, "Tell a story")]))
        last = time.perf_counter()
        async for _ in engine.stream(prepared, Sampling(seed=1, temperature=1.5, top_p=1.0, max_tokens=3000)):
            pauses.append(time.perf_counter() - last)
            last = time.perf_counter()

    going = asyncio.create_task(generate())
    await asyncio.sleep(1)
    conversation = Conversation([Message(Role.USER, "knife stove " * (tokens // 2))])
    prepared = await engine.prepare(conversation)
    asked = time.perf_counter()
    async for _ in engine.stream(prepared, Sampling(seed=2, temperature=1.0, top_p=1.0, max_tokens=1)):
        pass
    first_token = time.perf_counter() - asked
    await going
    await engine.close()
    return (
        f"loaded in {loaded:.0f} s; a prompt of {prepared.prompt_tokens} tokens: its first token after "
        f"{first_token:.1f} s, longest pause of the other completion {max(pauses):.1f} s"
    )


def main() -> None:
    """Measures both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=30_000)
    given = parser.parse_args()
    settings = InferenceSettings(model=str(given.model))
    as_shipped = loading._cpu_arguments

    def in_one_step(settings: InferenceSettings) -> dict[str, Any]:
        return as_shipped(settings) | {"enable_chunked_prefill": False}

    for name, arguments in (("in steps", as_shipped), ("in one step", in_one_step)):
        loading._cpu_arguments = arguments
        print(f"{name}: {asyncio.run(measure(settings, given.tokens))}")


if __name__ == "__main__":
    main()
