"""Settings of the inference service: environment variables with the prefix AXIA_INFERENCE_."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BeforeValidator,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from services.serving.environment import Listed
from services.serving.settings import ServiceSettings

DEMO_MODEL = Path(__file__).parents[2] / "demo" / "models" / "vlm"
"""The checkpoint that comes with a checkout."""

_ADDRESS_WANTED = "OPENAI_BASE_URL is needed by the openai engine: an http or https address such as https://host/v1"

RESERVED_FIELDS = frozenset(
    {
        *("model", "messages", "n", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
        *("stream", "stream_options", "tools", "tool_choice", "functions", "modalities", "audio", "logprobs"),
    }
)
"""Fields of a request to an OpenAI-compatible endpoint that the engine fills in, or whose answers it couldn't read."""


_VLLM_ALONE = frozenset(
    {
        *("trust_remote_code", "chat_template", "completion_template", "image_placeholder", "reasoning_parser"),
        *("dtype", "tensor_parallel_size", "quantization", "gpu_memory_utilization", "enforce_eager", "kv_cache_gib"),
        *("cpu_threads", "offline", "engine_args", "engine_metrics"),
        "hang_seconds",
    }
)
"""Settings that no other engine reads."""


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be JSON") from None


def _fields_to_leave_out(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(names) - {"temperature", "top_p", "seed"}):
        raise ValueError(f"may contain temperature, top_p and seed, not {', '.join(unknown)}")
    return names


ValueT = TypeVar("ValueT")
# pydantic-settings would read JSON itself, and end the server with a traceback where it can't.
FromJson = Annotated[ValueT, NoDecode, BeforeValidator(_from_json)]


class InferenceSettings(ServiceSettings):
    """What the inference service can be told."""

    # Without the last one a refusal of several settings together would show them all, the key among them.
    model_config = SettingsConfigDict(env_prefix="AXIA_INFERENCE_", hide_input_in_errors=True)

    port: int = Field(default=50051, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=9101, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    engine: Literal["vllm", "openai", "scripted"] = "vllm"
    """Which engine answers: vLLM, an OpenAI-compatible endpoint, or answers from a file."""
    model: str = str(DEMO_MODEL)
    """A folder with a checkpoint, or a hub id such as llava-hf/llava-v1.6-34b-hf; the demo model if unset. With the
    openai engine the name that the endpoint knows the model by."""
    model_name: str = ""
    """Name that requests use; the folder's name, the hub id or the endpoint's name if unset."""
    revision: str = ""
    """Branch, tag or commit of a hub model; the hub's default if unset. With the openai engine a name for the state of
    the model; what the endpoint's answers say if unset."""
    answers: Path | None = None
    """The scripted engine's file of answers."""

    max_samples: int = Field(default=16, ge=1, le=256)
    """Completions that one request may ask for."""
    max_tokens: int = Field(default=1024, ge=1)
    """Tokens that one completion may have."""
    max_text_chars: int = Field(default=16_384, ge=1)
    """Characters that one message may have."""
    max_images: int = Field(default=4, ge=1, le=64)
    """Images that one conversation may have, where the model takes several; a detection has one. All of them together
    must fit into one message, which has room for one of the largest size."""
    max_queue: int = Field(default=256, ge=1)
    """Completions running and waiting together; beyond it requests are refused with RESOURCE_EXHAUSTED."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint, for models that need it. Read that code first: it runs with all
    rights of this server. Provenance says that it was allowed."""
    chat_template: str = ""
    """A chat template in place of the model's own: Jinja, a file that holds it, or the name of a packaged one (blip-2,
    llava-1.5, plain)."""
    completion_template: str = ""
    """For models without a chat template: a turn as plain text, such as "Question: {prompt} Answer:"."""
    image_placeholder: str = ""
    """Text that stands for the image in `completion_template`, put before the turn that it belongs to, such as
    "<image>\\n"; empty for models whose processor adds it."""

    reasoning_parser: str = ""
    """vLLM's parser for what a reasoning model thinks before it answers, such as qwen3 or deepseek_r1; the names are
    those of `vllm serve --reasoning-parser`. Set it for reasoning checkpoints alone: some parsers take everything for
    reasoning until it ends. Where it is unset, text within <think> tags counts as reasoning."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of weights and activations; auto takes the checkpoint's."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share one copy of the model."""
    quantization: str = ""
    """Quantization method, such as awq, gptq or fp8; the checkpoint's own if unset."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory that vLLM may take."""
    max_model_len: int | None = Field(default=None, ge=64)
    """Context length in tokens. If unset, the model's own, or as much of it as the key-value cache has room for; not
    known where an endpoint doesn't tell it."""
    max_running: int = Field(default=64, ge=1)
    """Completions that are generated at the same time; others wait."""
    enforce_eager: bool | None = None
    """Skip compilation and CUDA graphs, which starts faster and answers more slowly. If unset, only on machines without
    a GPU."""
    engine_args: FromJson[dict[str, JsonValue]] = Field(default={})
    """Further arguments of vLLM's engine by their names in `AsyncEngineArgs`, as a JSON object, such as
    {"kv_cache_dtype": "fp8", "async_scheduling": true}. Those that have a setting of their own or are dangerous are
    refused."""
    hang_seconds: float = Field(default=600.0, ge=0)
    """Seconds without a token while completions run from which vLLM counts as hung: health turns to NOT_SERVING and the
    server exits, so that its process manager starts it again. Set it higher than the longest prompt takes; 0: never."""
    engine_metrics: bool = False
    """Whether vLLM's own Prometheus metrics (vllm:…) are served beside axia's."""
    kv_cache_gib: float | None = Field(default=None, gt=0)
    """Memory for the key-value cache on machines without a GPU, in GiB. If unset, room for one whole context, but at
    least 1 GiB and at most half of the memory that is free once the model is loaded. A GPU's cache follows from its
    utilization."""
    cpu_threads: int = Field(default=0, ge=0)
    """Threads that a model computes with on machines without a GPU; 0 for OMP_NUM_THREADS or, where that is not set
    either, all cores but one, which is left to everything else. Without effect where VLLM_CPU_OMP_THREADS_BIND is set
    or the model is split over several processes: vLLM then binds threads to cores."""
    offline: bool = False
    """Never connect to the model hub."""

    openai_base_url: str = ""
    """Where the openai engine finds chat/completions, such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1."""
    openai_api_key: SecretStr | None = None
    """Key of the endpoint, sent as a bearer token; none if unset. It is never logged."""
    openai_concurrency: int = Field(default=8, ge=1, le=1024)
    """Requests to the endpoint at the same time, one a completion; others wait."""
    openai_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Time for one completion after it leaves the queue, its retries included, in seconds."""
    openai_retries: int = Field(default=4, ge=0, le=20)
    """How often a completion is asked for again after 429, 5xx or a lost connection, as long as no token has come."""
    openai_retry_max_s: float = Field(default=20.0, gt=0, le=600)
    """Longest pause before a retry, in seconds. If the endpoint asks for a longer one, the caller is told instead."""
    openai_stream: bool = True
    """Whether the endpoint can stream; without it a completion can't stop at the end of its first sentence."""
    openai_usage: Literal["none", "final", "continuous"] = "final"
    """How the endpoint counts tokens in a stream: not at all, at the end, or with every chunk as vLLM can. At the end
    is too late for completions that stop early; then chunks are counted."""
    openai_max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Field that bounds a completion; OpenAI's reasoning models want max_completion_tokens."""
    openai_seed_bits: int = Field(default=53, ge=0, le=53)
    """Lowest bits of a seed that are sent: 31 for endpoints that want a 32-bit integer, 0 for those that take none."""
    openai_leave_out: Annotated[Listed, AfterValidator(_fields_to_leave_out)] = ()
    """Fields that are not sent: temperature, top_p or seed, separated by commas, for models that refuse them. The
    endpoint's own values hold then, and provenance says so. A refusal that names such a field is learned without this
    setting, at the cost of one request after each start."""
    openai_accepts_images: bool = True
    """Whether the endpoint's model accepts images."""
    openai_image_format: Literal["jpeg", "png"] = "jpeg"
    """How images are sent: as JPEG of quality 95, or as PNG, exact and several times as large."""
    openai_image_detail: Literal["", "low", "high", "auto"] = ""
    """How closely the endpoint looks at an image, for endpoints that let one choose."""
    openai_structured: bool = True
    """Whether the endpoint keeps to a JSON Schema in `response_format`. Turn it off for one that doesn't: requests with
    an answer format are then refused, where their answers would be refused otherwise."""
    openai_special_tokens: Listed = ("<image>",)
    """Texts that are refused in messages because they mean something to the endpoint's model, as a JSON list or
    separated by commas."""
    openai_extra: FromJson[dict[str, JsonValue]] = Field(default={})
    """Further fields of each request to the endpoint, as a JSON object, such as {"top_k": 50}."""

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> "InferenceSettings":
        if self.engine == "vllm" and not self.model:
            raise ValueError("MODEL is needed: a folder with a checkpoint or a hub id such as llava-hf/llava-1.5-7b-hf")
        if self.engine == "scripted" and self.answers is None:
            raise ValueError("ANSWERS is needed by the scripted engine: a YAML file, see docs/scripted-engine.md")
        if self.engine == "openai":
            self._endpoint_makes_sense()
        if self.completion_template and "{prompt}" not in self.completion_template:
            raise ValueError("COMPLETION_TEMPLATE must hold {prompt}, where the text of a turn goes")
        if self.engine == "vllm" and self.completion_template and self.chat_template:
            raise ValueError("CHAT_TEMPLATE and COMPLETION_TEMPLATE can't be set together; unset one")
        return self

    def without_effect(self) -> Mapping[str, str]:
        """Settings of other engines than the one that is used, and of a template that is not set."""
        why = f"the {self.engine} engine doesn't use it"
        unread = {name for name in type(self).model_fields if name.startswith("openai_") and self.engine != "openai"}
        if self.engine != "vllm":
            unread |= _VLLM_ALONE
        if self.engine == "openai":
            unread.add("max_running")
        if self.engine != "scripted":
            unread.add("answers")
        else:
            unread |= {"model", "revision"} - ({"model"} if not self.model_name else set())
        found = dict.fromkeys(sorted(unread), why)
        if self.engine == "vllm" and not self.completion_template:
            found["image_placeholder"] = "it belongs to COMPLETION_TEMPLATE, which is not set"
        return found

    def _endpoint_makes_sense(self) -> None:
        if "model" not in self.model_fields_set or not self.model:
            raise ValueError("MODEL is needed by the openai engine: the endpoint's name of the model, such as gpt-4o")
        try:
            address = AnyHttpUrl(self.openai_base_url)
        except ValidationError:
            raise ValueError(_ADDRESS_WANTED) from None
        if address.query or address.fragment:
            raise ValueError(_ADDRESS_WANTED)
        if address.username or address.password:  # the address may be written to logs
            raise ValueError("OPENAI_BASE_URL must not contain a user and password; set OPENAI_API_KEY instead")
        key = self.openai_api_key.get_secret_value() if self.openai_api_key else ""
        if not all("!" <= character <= "~" for character in key):
            raise ValueError("OPENAI_API_KEY must be printable ASCII without spaces or line breaks")
        if taken := sorted(RESERVED_FIELDS & self.openai_extra.keys()):
            raise ValueError(f"OPENAI_EXTRA must not hold {', '.join(taken)}: requests and other settings give them")
