"""What a user would run instead."""

import asyncio
import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.testing import free_port
from loadtests.benchmark.axias import CALL_S, COMPLETIONS, MAX_TOKENS, GrpcSide
from loadtests.benchmark.children.echo import ECHO
from loadtests.benchmark.sides import Answer, Side
from loadtests.errors import LoadError
from loadtests.pictures import Picture
from loadtests.scenarios.services import isq_request
from loadtests.servers import ROOT, Server, Servers

DEMO_MODEL = ROOT / "demo" / "models" / "vlm"
CRUDE_STOPS = (". ", "\n")
"""What a user would stop at instead of finding the end of a sentence."""
_NAME = "rival"
GPU_SHARE = 0.25
"""Share of a GPU's memory for each of the engines that are loaded at the same time."""


def start_vllm(servers: Servers, model: str, *, share: float = GPU_SHARE) -> Server:
    """vLLM's own OpenAI-compatible server, with the engine arguments that axia has on this machine.

    Args:
        servers: Ends it.
        model: Folder or hub id.
        share: Of a GPU's memory.
    """
    port = free_port()
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name", _NAME),
        *("--host", "127.0.0.1", "--port", str(port), "--limit-mm-per-prompt", '{"image": 1}'),
        *("--generation-config", "vllm", *vllm_arguments(share)),
    ]
    environment = os.environ | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1")}
    if not on_gpu():
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    return servers.spawn("vllm", command, environment, port=port)


def vllm_arguments(share: float) -> list[str]:
    """On CPU vLLM's defaults waste what short prompts share, and compile for half a minute; a GPU is shared."""
    return ["--gpu-memory-utilization", str(share)] if on_gpu() else ["--enforce-eager", "--block-size", "32"]


@cache
def on_gpu() -> bool:
    """Whether a CUDA device is there."""
    try:
        import torch
    except ImportError:  # rows without a model need none
        return False
    return bool(torch.cuda.is_available())


class OpenAiDetection(Side):
    """The same question to vLLM's OpenAI server.

    Args:
        name: Names it in the table.
        servers: The processes that do the work.
        asked: The one that is asked: a vLLM server, or a router in front of several.
        pictures: What to send.
        requests: 1 asks for three completions in one request; 3 asks three times for one.
        stop: Texts that end a completion; without them completions are cut afterwards.
    """

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        asked: Server,
        pictures: Sequence[Picture],
        *,
        requests: int = 1,
        stop: Sequence[str] = (),
    ) -> None:
        super().__init__(name, servers)
        self._url = f"http://{asked.address}/v1/chat/completions"
        self._images = [
            f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}" for picture in pictures
        ]
        self._requests = requests
        self._stop = list(stop)
        self._prompt = load_prompts()[DEFAULT_DETECTION_PROMPT].text

    async def open(self) -> None:
        """Makes the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CALL_S)
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self._session.close()

    async def call(self, number: int) -> Answer:
        """See the base."""
        if self._requests == 1:
            return await self._ask(number, COMPLETIONS)
        asked = [self._ask(number, 1) for _ in range(self._requests)]
        answers = await asyncio.gather(*asked)
        texts = tuple(text for answer in answers for text in answer.texts)
        return Answer(1, sum(answer.tokens for answer in answers), texts)

    async def _ask(self, number: int, n: int) -> Answer:
        # Without a seed, which saves it work: on CPU, vLLM 0.32 ends at a seeded request whose prompt is prefilled in
        # several steps, as happens with many calls in flight ("CPU Generator does not use offset").
        content = [
            {"type": "image_url", "image_url": {"url": self._images[number % len(self._images)]}},
            {"type": "text", "text": self._prompt},
        ]
        request: dict[str, Any] = {
            "model": _NAME, "messages": [{"role": "user", "content": content}], "n": n, "temperature": 1.0,
            "max_tokens": MAX_TOKENS,
        }  # fmt: skip
        if self._stop:
            request |= {"stop": self._stop}
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=json.dumps(request), headers=headers) as response:
            response.raise_for_status()
            answer = await response.json()
        texts = tuple(choice["message"]["content"] or "" for choice in answer["choices"])
        return Answer(1, answer["usage"]["completion_tokens"], texts)


class BareEngine(Side):
    """AsyncLLM in a bare loop, in a process of its own; one call at a time."""

    def __init__(self, name: str, servers: Servers, model: Path) -> None:
        command = [sys.executable, "-m", "loadtests.benchmark.children.bare_engine"]
        share = {"AXIA_INFERENCE_GPU_MEMORY_UTILIZATION": str(GPU_SHARE)}
        server = servers.spawn_with_pipes("engine", command, os.environ | {"AXIA_INFERENCE_MODEL": str(model)} | share)
        super().__init__(name, [server])
        self._process = server.process
        # Cancelled in the middle, an answer must not be left for the next call.
        self._turn = threading.Lock()

    async def open(self) -> None:
        """Waits until the model is loaded."""
        await asyncio.to_thread(self._read)

    async def call(self, number: int) -> Answer:
        """See the base."""
        answer = await asyncio.to_thread(self._ask, number)
        return Answer(1, answer["tokens"])

    def _ask(self, number: int) -> Any:
        if self._process.stdin is None:
            raise LoadError("the bare engine takes no questions")
        with self._turn:
            self._process.stdin.write(json.dumps({"first": number, "calls": 1}).encode() + b"\n")
            self._process.stdin.flush()
            return self._read()

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self.servers[0].require_running()
            raise LoadError("the bare engine has ended")
        return json.loads(line)


class Echo(GrpcSide):
    """A raw grpc.aio echo of the same bytes."""

    async def open(self) -> None:
        """Makes the channel."""
        await super().open()
        self._echo: Any = self.channel.unary_unary(ECHO)
        self._bytes = isq_request().SerializeToString()

    async def call(self, number: int) -> Answer:
        """See the base."""
        await self._echo(self._bytes, timeout=CALL_S)
        return Answer()


class InProcess(Side):
    """A search in this process with the vector at hand: without a service, the processor time is the client's.

    Args:
        name: Names it in the table.
        queries: Vectors to search for, in turn.
        search: Searches for one; blocks until it has the result.
        images: Images that a search finds.
    """

    def __init__(self, name: str, queries: Sequence[Any], search: Callable[[Any], Any], *, images: int) -> None:
        super().__init__(name, [])
        self._queries = queries
        self._search = search
        self._images = images

    async def call(self, number: int) -> Answer:
        """See the base."""
        self._search(self._queries[number % len(self._queries)])
        # Or nothing else would get its turn, the clock that ends the measurement included. It takes microseconds.
        await asyncio.sleep(0)
        return Answer(self._images)
