"""vLLM's AsyncLLM in a bare loop: what is left of a detection without gRPC, checks, queues and provenance.

Loads the model as the inference service does, so with the same arguments, and then answers lines on standard input:
`{"first": 0, "calls": 20}` asks for detections one after the other, with three completions each that end with their
first sentence, and writes `{"latencies_s": […], "tokens": …}`. Pictures are decoded each time, as a server has to.
"""

import asyncio
import io
import json
import os
import sys
import time
from typing import Any

from PIL import Image

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.sentence.first_sentence import FirstSentence
from loadtests.pictures import read_pictures
from services.inference.engines.vllm.environment import own_files, prepare_environment
from services.inference.engines.vllm.loading import load_model
from services.inference.settings import InferenceSettings

MAX_TOKENS = 100
COMPLETIONS = 3


async def complete(llm: Any, prompt: Any, seed: int, name: str) -> int:
    """Samples one completion to the end of its first sentence; returns its tokens."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    params = SamplingParams(n=1, seed=seed, temperature=1.0, max_tokens=MAX_TOKENS, output_kind=RequestOutputKind.DELTA)
    sentence, tokens = FirstSentence(), 0
    outputs = llm.generate(prompt, params, name)
    async for output in outputs:
        (part,) = output.outputs
        tokens += len(part.token_ids)
        sentence.add(part.text)
        if sentence.over:
            break
    await outputs.aclose()
    return tokens


async def serve(llm: Any, answers: Any) -> None:
    """Answers lines until there are no more."""
    template = os.environ.get("AXIA_BARE_TEMPLATE", "<|user|>\n<image>\n{prompt}<|end|><|assistant|>")
    text = template.format(prompt=load_prompts()[DEFAULT_DETECTION_PROMPT].text)
    pictures = read_pictures(None)
    answers.write('{"ready": true}\n')
    answers.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        latencies, tokens = [], 0
        for number in range(asked["first"], asked["first"] + asked["calls"]):
            began = time.perf_counter()
            pixels = Image.open(io.BytesIO(pictures[number % len(pictures)].data)).convert("RGB")
            question = {"prompt": text, "multi_modal_data": {"image": [pixels]}}
            (prompt,) = await llm.renderer.render_cmpl_async([question])
            names = [f"bare-{number}-{index}" for index in range(COMPLETIONS)]
            done = [complete(llm, prompt, number * COMPLETIONS + index, name) for index, name in enumerate(names)]
            tokens += sum(await asyncio.gather(*done))
            latencies.append(time.perf_counter() - began)
        answers.write(json.dumps({"latencies_s": latencies, "tokens": tokens}) + "\n")
        answers.flush()


def main() -> None:
    """Loads the model and serves."""
    # What vLLM prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = InferenceSettings()
    prepare_environment(settings)
    with own_files():
        llm, _ = load_model(settings, [])
        try:
            asyncio.run(serve(llm, answers))
        finally:
            llm.shutdown()


if __name__ == "__main__":
    main()
