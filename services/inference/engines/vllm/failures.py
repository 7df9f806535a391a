"""What vLLM raises, as errors that say what to do: of a request by class, of a model that doesn't load by its cause.

vLLM loads a model in a process of its own, and the server only learns that it failed. `FailureHandler` is among the
handlers of vLLM's log in each process and keeps the last failure in a file of the server's own.
"""

import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from services.inference.engines.answer_format import UNSUPPORTED
from services.inference.engines.engine import AnswerFormat
from services.inference.engines.queue import queue_full
from services.inference.preparation import CONTEXT_TOO_LONG
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, InvalidArgument, ServiceError, Unavailable

logger = logging.getLogger(__name__)

OWN_FOLDER = "VLLM_RPC_BASE_PATH"
"""Environment variable of vLLM's that names a folder of the server's own, known to all of its processes."""
_FILES = "failure-*.txt"
"""One file a process, for the cause is often logged by another than the last failure."""


class FailureHandler(logging.Handler):
    """Adds the exception of a log record to a file that the server reads when a model doesn't load."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one failure."""
        try:
            folder = os.environ.get(OWN_FOLDER)
            error = record.exc_info[1] if record.exc_info else None
            if folder and error is not None:
                path = Path(folder) / _FILES.replace("*", str(os.getpid()))
                with path.open("a", encoding="utf-8", errors="replace") as file:
                    file.write("\n".join(_causes(error)) + "\n")
        except Exception:  # whatever it is, a handler never fails the code that logs
            self.handleError(record)


def _causes(error: BaseException | None) -> list[str]:
    """An exception's own text and those of what caused it."""
    texts: list[str] = []
    while error is not None and len(texts) < 10:  # noqa: PLR2004 - more than any chain is long, and it could be a ring
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return texts


class _Advice(NamedTuple):
    sign: re.Pattern[str]
    text: str
    """What to do; {1} and so on stand for the groups of the sign, {version} for vLLM's release."""


_ADVICE = (
    _Advice(
        re.compile(
            r"packages that were not found in your environment: ([\w, -]+?)\.|"
            r"Error[^\n]*\n?[^\n]*`pip install ([\w-]+)`|Package `([\w-]+)` is required|"
            r"No module named '(?!vllm|torch|transformers)(\w+)|install ([\w-]+)==[\d.]+"
        ),
        "the model needs Python packages that are not installed: pip install {1}",
    ),
    _Advice(
        re.compile(r"requires you to execute|contains custom code"),
        "the checkpoint needs Python code that comes with it. Read that code, and if you trust it set "
        "AXIA_INFERENCE_TRUST_REMOTE_CODE=true; many models have a version without code, often named -hf",
    ),
    _Advice(
        re.compile(r"max seq len \((\d+)\), \(([\d.]+) GiB KV\s+cache is needed.*?memory \(([\d.]+) GiB\)", re.DOTALL),
        "a context of {1} tokens needs {2} GiB of key-value cache, but there are only {3} GiB: set "
        "AXIA_INFERENCE_MAX_MODEL_LEN lower, or AXIA_INFERENCE_KV_CACHE_GIB a little above {2} (with a GPU: "
        "AXIA_INFERENCE_GPU_MEMORY_UTILIZATION higher), or unset both to fit them to the available memory",
    ),
    _Advice(
        re.compile(r"max_model_len \((\d+)\) is greater than the derived max_model_len \((?:\w+=)?(\d+)"),
        "AXIA_INFERENCE_MAX_MODEL_LEN={1} is longer than the model's context: set at most {2}, or leave it unset",
    ),
    _Advice(
        re.compile(r"Free memory on device .* less than desired"),
        "other processes use the GPU: stop them, or set AXIA_INFERENCE_GPU_MEMORY_UTILIZATION lower",
    ),
    _Advice(
        re.compile(r"No space left on device"),
        "the disk is full: free some space, or set HF_HOME to a folder on a larger disk",
    ),
    _Advice(
        re.compile(
            r"No available memory|[Nn]ot enough (?:GPU )?memory|out of memory|can't allocate memory|MemoryError|"
            r"Available memory on|Failed core proc\(s\): \{[^}]*: -9"
        ),
        "it doesn't fit into memory: set AXIA_INFERENCE_MAX_MODEL_LEN or AXIA_INFERENCE_KV_CACHE_GIB lower, "
        "AXIA_INFERENCE_GPU_MEMORY_UTILIZATION higher, AXIA_INFERENCE_TENSOR_PARALLEL_SIZE to the number of GPUs, or "
        "choose a quantized or a smaller checkpoint",
    ),
    _Advice(
        re.compile(r"must be divisible by tensor parallel size"),
        "AXIA_INFERENCE_TENSOR_PARALLEL_SIZE must divide the number of the model's attention heads: try 1, 2, 4 or 8",
    ),
    _Advice(
        re.compile(r"[Uu]nknown quantization method|[Qq]uantization method .{1,60}(?:not supported|does not match)"),
        "AXIA_INFERENCE_QUANTIZATION isn't a method for this checkpoint: leave it unset to use the checkpoint's own",
    ),
    _Advice(
        re.compile(r"[Bb]float16 is only supported|float16 is not supported|dtype .{0,40}not supported|AMX"),
        "this machine can't compute in the checkpoint's number format: set AXIA_INFERENCE_DTYPE=float32 (or float16)",
    ),
    _Advice(
        re.compile(r"[Mm]odel architectures? .{1,200}? (?:are|is) not supported|does not recognize this architecture"),
        "this release of vLLM ({version}) doesn't support its architecture; docs/models.md lists models that work",
    ),
    _Advice(
        re.compile(r"Cannot find any model weights"),
        "it has no weights in the safetensors format, and pickled files (.bin, .pt) are not loaded, because they "
        "can run code: use a revision or a checkpoint with safetensors, convert yours with save_pretrained of "
        "transformers, or set the format, such as mistral, as load_format in AXIA_INFERENCE_ENGINE_ARGS",
    ),
    _Advice(
        re.compile(r"is not a valid git identifier|Revision Not Found"),
        "its repository has no such revision: check AXIA_INFERENCE_REVISION",
    ),
    _Advice(
        re.compile(r"Repo id must|Invalid repository ID or local directory"),
        "there is no such folder, and it is not a hub id either: check AXIA_INFERENCE_MODEL",
    ),
    _Advice(
        re.compile(
            r"is not a valid model identifier|Repository Not Found|gated repo|401 Client Error|couldn't connect to|"
            r"LocalEntryNotFoundError|OfflineModeIsEnabled"
        ),
        "it can't be downloaded from the hub: check the name, that HF_TOKEN may read it, that the hub is reachable, "
        "and AXIA_INFERENCE_OFFLINE",
    ),
)


def load_failure(error: Exception, settings: InferenceSettings, version: str) -> FailedPrecondition:
    """Says why a model didn't load and which setting helps.

    Args:
        error: What vLLM raised in this process.
        settings: The settings.
        version: vLLM's release.
    """
    folder = os.environ.get(OWN_FOLDER)
    kept = [path.read_text("utf-8") for path in sorted(Path(folder).glob(_FILES))] if folder else []
    texts = "\n".join([*kept, *_causes(error)])
    for advice in _ADVICE:
        if found := advice.sign.search(texts):
            groups = [group for group in found.groups() if group]
            text = advice.text.format("", *groups, version=version)
            return FailedPrecondition(f"vLLM could not load {settings.model!r}: {text}", reason="MODEL_UNLOADABLE")
    return FailedPrecondition(
        f"vLLM could not load {settings.model!r}, see the log above; check that AXIA_INFERENCE_MODEL names a "
        "checkpoint that vLLM supports, that it fits into memory (AXIA_INFERENCE_MAX_MODEL_LEN and "
        "AXIA_INFERENCE_KV_CACHE_GIB), that the machine supports its number format (AXIA_INFERENCE_DTYPE), and, for a "
        "model from the hub, that the hub is reachable",
        reason="MODEL_UNLOADABLE",
    )


def request_failure(error: Exception, asked: AnswerFormat | None = None, *, rendering: bool = False) -> ServiceError:
    """Maps what vLLM raises on a request, by class, without passing on its text.

    Args:
        error: What it raised.
        rendering: Whether it came from the model's template or processor, whose RuntimeErrors come again.
        asked: What the answer was to be held to. A conversation that is prepared has passed vLLM's checks already, so
            that what it refuses then is the format.
    """
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    if isinstance(error, ServiceError):
        return error
    if type(error).__name__ in {"QueueOverflowError", "MaxQueuedTokensError"}:
        return queue_full()
    if isinstance(error, EngineDeadError):
        return Unavailable("the engine of this model has crashed; try again", reason="ENGINE_DEAD", retry_after_s=5.0)
    refused = isinstance(error, (VLLMValidationError, ValueError)) and not isinstance(error, EngineGenerateError)
    if refused or (rendering and isinstance(error, RuntimeError)):  # as of a prompt without a place for the image
        if asked is not None:
            logger.info("vLLM refused an answer format", exc_info=error)
            return InvalidArgument(
                "answer_format",
                "the engine can't restrict answers to this format; a JSON Schema may have keywords that it doesn't "
                "support. This server's log says which, if AXIA_INFERENCE_LOG_CONTENT is set",
                reason=UNSUPPORTED,
            )
        logger.info("vLLM refused a conversation", exc_info=error)
        if getattr(error, "parameter", None) in {"input_tokens", "input_text"}:
            return InvalidArgument(
                "messages",
                "the conversation is longer than the model's context; shorten it",
                reason=CONTEXT_TOO_LONG,
            )
        return InvalidArgument(
            "messages",
            "the model refuses this conversation: it may be longer than the model's context, or have an order of "
            "messages that the chat template refuses",
            reason="CONVERSATION_REFUSED",
        )
    logger.error("vLLM failed on a request", exc_info=error)
    return Unavailable("the engine failed on this request; try again", reason="ENGINE_FAILED", retry_after_s=1.0)
