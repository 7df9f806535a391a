"""`vllm serve --grpc`: vLLM's own gRPC server, made for routers that tokenize prompts and process images themselves."""

import hashlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from PIL import Image

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.testing import free_port
from loadtests.benchmark.axias import CALL_S, COMPLETIONS, MAX_TOKENS, GrpcSide
from loadtests.benchmark.rivals import CRUDE_STOPS, GPU_SHARE, vllm_arguments
from loadtests.benchmark.sides import Answer
from loadtests.pictures import Picture
from loadtests.servers import Server, Servers

NAME = "vllm-grpc"
_GENERATE = "/vllm.grpc.engine.VllmEngine/Generate"


def start_vllm_grpc(servers: Servers, model: str) -> Server:
    """Starts it with the engine arguments that vLLM's other server has."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.launchers.grpc_server", "--model", model),
        *("--host", "127.0.0.1", "--port", str(port), "--limit-mm-per-prompt", '{"image": 1}'),
        *vllm_arguments(GPU_SHARE),
    ]
    # It logs each request, which vLLM's other server doesn't.
    environment = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    environment |= os.environ | {"VLLM_LOGGING_LEVEL": "WARNING"}
    return servers.spawn(NAME, command, environment, port=port)


class VllmGrpcDetection(GrpcSide):
    """The same question, with three completions and the stop list.

    This client has tokenized the prompt and processed the images before the measurement, as the server wants it: what
    axia and vLLM's other server do for each call.

    Args:
        name: Names it in the table.
        server: Of `start_vllm_grpc`.
        model: Folder of the model, whose processor is used.
        pictures: What to send.
    """

    def __init__(self, name: str, server: Server, model: str, pictures: Sequence[Picture]) -> None:
        super().__init__(name, [server], server.address)
        self._model = model
        self._pictures = pictures

    async def open(self) -> None:
        """Connects and prepares the requests."""
        from smg_grpc_proto import vllm_engine_pb2
        from transformers import AutoProcessor

        await super().open()
        self._request: Any = vllm_engine_pb2.GenerateRequest
        answer = vllm_engine_pb2.GenerateResponse.FromString
        self._generate: Any = self.channel.unary_stream(_GENERATE, response_deserializer=answer)
        processor = AutoProcessor.from_pretrained(self._model)
        text = load_prompts()[DEFAULT_DETECTION_PROMPT].text
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
        prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
        self._questions = [_question(processor, prompt, picture) for picture in self._pictures]

    async def call(self, number: int) -> Answer:
        """See the base."""
        # Serialized messages that follow each other are one message with the fields of both.
        name: bytes = self._request(request_id=f"{NAME}-{number}").SerializeToString()
        tokens = 0
        async for response in self._generate(name + self._questions[number % len(self._questions)], timeout=CALL_S):
            if response.HasField("complete"):
                tokens += response.complete.completion_tokens
        return Answer(1, tokens)


def _question(processor: Any, prompt: str, picture: Picture) -> bytes:
    """What the server takes for one picture, without the name of the request."""
    from smg_grpc_proto import vllm_engine_pb2

    pixels = Image.open(io.BytesIO(picture.data)).convert("RGB")
    made = processor(images=pixels, text=prompt, return_tensors="pt", add_special_tokens=False)
    tokens = made["input_ids"][0].tolist()
    image_token = int(processor.tokenizer.convert_tokens_to_ids(processor.image_token))
    request = vllm_engine_pb2.GenerateRequest()
    request.tokenized.input_ids.extend(tokens)
    sampling = request.sampling_params
    sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.n = 1.0, 1.0, MAX_TOKENS, COMPLETIONS
    sampling.stop.extend(CRUDE_STOPS)
    values = made["pixel_values"].float().contiguous()
    images = request.mm_inputs
    images.pixel_values.inline = values.numpy().tobytes()
    images.pixel_values.shape.extend(values.shape)
    images.pixel_values.dtype = "float32"
    images.batched_keys.append("pixel_values")
    images.im_token_id = image_token
    images.mm_placeholders.add(offset=tokens.index(image_token), length=tokens.count(image_token))
    images.mm_hashes.append(hashlib.sha256(picture.data).hexdigest())
    question: bytes = request.SerializeToString()
    return question
