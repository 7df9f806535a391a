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

_ADDRESS_WANTED = "OPENAI_BASE_URL is required by the openai engine: an http or https URL such as https://host/v1"

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
    """The engine: vLLM, an OpenAI-compatible endpoint, or scripted answers from a file."""
    model: str = str(DEMO_MODEL)
    """A folder with a checkpoint, or a hub id such as llava-hf/llava-v1.6-34b-hf; default: the demo model. With the
    openai engine, the model's name at the endpoint."""
    model_name: str = ""
    """Name of the model in requests; default: the folder's name, the hub id or the name at the endpoint."""
    revision: str = ""
    """Branch, tag or commit of a hub model; default: the default branch. With the openai engine, a name for the version
    of the model; default: the version in the endpoint's answers."""
    answers: Path | None = None
    """File with the answers of the scripted engine."""

    max_samples: int = Field(default=16, ge=1, le=256)
    """Maximum number of completions of one request."""
    max_tokens: int = Field(default=1024, ge=1)
    """Maximum number of tokens of one completion."""
    max_text_chars: int = Field(default=16_384, ge=1)
    """Maximum number of characters of one message."""
    max_images: int = Field(default=4, ge=1, le=64)
    """Maximum number of images of one conversation, if the model accepts several; a detection has one image. All images
    together may have at most about the size of one image (AXIA_INFERENCE_MAX_IMAGE_MIB), because they are sent in one
    message."""
    max_queue: int = Field(default=256, ge=1)
    """Maximum number of running and waiting completions; more requests are refused with RESOURCE_EXHAUSTED."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint, for models that need it. Read this code first: it runs with all
    permissions of this server. The provenance of answers shows that this setting was on."""
    chat_template: str = ""
    """A chat template that replaces the model's template: Jinja text, a file, or the name of a packaged template
    (blip-2, llava-1.5, plain)."""
    completion_template: str = ""
    """For models without a chat template: the text of one turn, such as "Question: {prompt} Answer:"."""
    image_placeholder: str = ""
    """Placeholder of an image in `completion_template`, added before the turn with the image, such as "<image>\\n";
    empty for models whose processor adds it."""

    reasoning_parser: str = ""
    """vLLM's reasoning parser, such as qwen3 or deepseek_r1; the names are those of `vllm serve --reasoning-parser`.
    Set it only for reasoning models: some parsers treat all text before the end of the reasoning as reasoning. Default:
    text within <think> tags is reasoning."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Data type of weights and activations; auto uses the data type of the checkpoint."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share one copy of the model."""
    quantization: str = ""
    """Quantization method, such as awq, gptq or fp8; default: the method of the checkpoint."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Fraction of each GPU's memory that vLLM may use."""
    max_model_len: int | None = Field(default=None, ge=64)
    """Maximum context length in tokens. Default: the model's context length, or less if the key-value cache has no room
    for it. With the openai engine it is unknown if the endpoint doesn't report it."""
    max_running: int = Field(default=64, ge=1)
    """Maximum number of completions that are generated at the same time; others wait."""
    enforce_eager: bool | None = None
    """Skip compilation and CUDA graphs: the start is faster, but answers are slower. Default: only on machines without
    a GPU."""
    engine_args: FromJson[dict[str, JsonValue]] = Field(default={})
    """More arguments of vLLM's engine by their names in `AsyncEngineArgs`, as a JSON object, such as {"kv_cache_dtype":
    "fp8", "async_scheduling": true}. Dangerous arguments, and arguments that have their own setting, are refused."""
    hang_seconds: float = Field(default=600.0, ge=0)
    """Timeout of a hung engine, in seconds. If completions are running and vLLM generates no token for this time,
    health becomes NOT_SERVING and the server exits, so that its process manager restarts it. Choose a value above the
    processing time of your longest prompt; 0: no timeout."""
    engine_metrics: bool = False
    """Whether vLLM's own Prometheus metrics (vllm:…) are exported together with axia's metrics."""
    kv_cache_gib: float | None = Field(default=None, gt=0)
    """Memory for the key-value cache on machines without a GPU, in GiB. Default: the size of one full context, but at
    least 1 GiB and at most half of the memory that is free after the model is loaded. On a GPU, the size follows from
    the memory utilization."""
    cpu_threads: int = Field(default=0, ge=0)
    """Number of compute threads on machines without a GPU. 0 uses OMP_NUM_THREADS or, if it is not set, all cores
    except one. No effect if VLLM_CPU_OMP_THREADS_BIND is set or the model is split over several processes: vLLM then
    binds threads to cores."""
    offline: bool = False
    """Never connect to the model hub."""

    openai_base_url: str = ""
    """Base URL of the endpoint for the openai engine, such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1."""
    openai_api_key: SecretStr | None = None
    """API key of the endpoint, sent as a bearer token; default: none. It is never logged."""
    openai_concurrency: int = Field(default=8, ge=1, le=1024)
    """Maximum number of concurrent requests to the endpoint, one for each completion; others wait."""
    openai_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Timeout of one completion after it leaves the queue, including its retries, in seconds."""
    openai_retries: int = Field(default=4, ge=0, le=20)
    """Maximum retries of a completion after 429, 5xx or a lost connection, if no token has been received."""
    openai_retry_max_s: float = Field(default=20.0, gt=0, le=600)
    """Maximum pause before a retry, in seconds. If the endpoint requests a longer pause, the call fails and the error
    has the pause."""
    openai_stream: bool = True
    """Whether the endpoint supports streaming; without streaming, a completion can't stop at the end of its first
    sentence."""
    openai_usage: Literal["none", "final", "continuous"] = "final"
    """When the endpoint reports token counts in a stream: never, at the end, or with every chunk (as vLLM can). At the
    end is too late for completions that stop early; for these, axia counts chunks."""
    openai_max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Field for the maximum number of tokens; OpenAI's reasoning models need max_completion_tokens."""
    openai_seed_bits: int = Field(default=53, ge=0, le=53)
    """Number of bits of a seed that are sent (the lowest bits): 31 for endpoints that need a 32-bit integer, 0 for
    endpoints without seeds."""
    openai_leave_out: Annotated[Listed, AfterValidator(_fields_to_leave_out)] = ()
    """Fields that are not sent: temperature, top_p or seed, separated by commas, for models that refuse them. The
    endpoint then uses its own values, and provenance says so. Without this setting, axia learns such a field from the
    endpoint's error, which costs one failed request after each start."""
    openai_accepts_images: bool = True
    """Whether the endpoint's model accepts images."""
    openai_image_format: Literal["jpeg", "png"] = "jpeg"
    """Format of images for the endpoint: JPEG of quality 95, or PNG, which is lossless and several times as large."""
    openai_image_detail: Literal["", "low", "high", "auto"] = ""
    """The field `detail` of images, for endpoints that support it."""
    openai_structured: bool = True
    """Whether the endpoint follows a JSON Schema in `response_format`. Turn it off if the endpoint doesn't: axia then
    refuses requests with an answer format, instead of refusing their answers."""
    openai_special_tokens: Listed = ("<image>",)
    """Special tokens of the endpoint's model, as a JSON list or separated by commas. Messages that contain one of them
    are refused."""
    openai_extra: FromJson[dict[str, JsonValue]] = Field(default={})
    """More fields for each request to the endpoint, as a JSON object, such as {"top_k": 50}."""

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> "InferenceSettings":
        if self.engine == "vllm" and not self.model:
            raise ValueError(
                "MODEL is required: a folder with a checkpoint, or a hub id such as llava-hf/llava-1.5-7b-hf"
            )
        if self.engine == "scripted" and self.answers is None:
            raise ValueError("ANSWERS is required by the scripted engine: a YAML file, see docs/scripted-engine.md")
        if self.engine == "openai":
            self._endpoint_makes_sense()
        if self.completion_template and "{prompt}" not in self.completion_template:
            raise ValueError("COMPLETION_TEMPLATE must contain {prompt}, which is replaced by the text of a turn")
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
        found = {**super().without_effect(), **dict.fromkeys(sorted(unread), why)}
        if self.engine == "vllm" and not self.completion_template:
            found["image_placeholder"] = "it is only used with COMPLETION_TEMPLATE, which is not set"
        return found

    def _endpoint_makes_sense(self) -> None:
        if "model" not in self.model_fields_set or not self.model:
            raise ValueError("MODEL is required by the openai engine: the endpoint's name of the model, such as gpt-4o")
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
            raise ValueError(f"OPENAI_EXTRA must not contain {', '.join(taken)}: requests or other settings set them")
