"""Runs any vision-language model that vLLM serves, in this process's engine client and a child process for the model.

Everything that axia uses of vLLM's Python interface is in this file. vLLM changes quickly; a test compares the calls
made here with the signatures of each release that the locks name.

Why it is done this way:

- One `generate()` a completion. vLLM's own n > 1 gives neighbouring seeds, ends all children together and can't stop
  one of them at its sentence's end. The picture's processing is shared all the same: the prompt is rendered once, and
  the engine's caches hold its encoding.
- vLLM's processes leave the server's process group (`services.inference.process`), so that a signal to the group lets
  the server drain.
- On CPU the model runs inside vLLM's engine process. In a worker process of its own, which is vLLM's default there, the
  two spin on shared memory as long as anything is generated, and on few cores everybody else waits seconds for a turn.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.inference.answer_format import UNSUPPORTED
from services.inference.engine import (
    AnswerFormat,
    Conversation,
    EngineLoad,
    Message,
    ModelDescription,
    Piece,
    Prepared,
    Role,
    Sampling,
)
from services.inference.process import in_lasting_thread
from services.inference.settings import InferenceSettings
from services.inference.templates import chat_messages, local_revision, plain_prompt, template_text
from services.inference.vllm_environment import installed_version, own_sockets, prepare_environment
from services.inference.vllm_reasoning import ParsedReasoning
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, ServiceError, Unavailable

if TYPE_CHECKING:
    from vllm.reasoning.abs_reasoning_parsers import ReasoningParser
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.engine.async_llm import AsyncLLM

logger = logging.getLogger(__name__)

_CPU_KV_BLOCK = 32
"""Tokens of a key-value block on CPU. vLLM's 128 there would let short prompts share no prefix."""
_HEALTH_INTERVAL_S = 0.25


class VllmEngine:
    """One model in one vLLM engine."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._llm: AsyncLLM | None = None
        self._ids = itertools.count()
        self._counts = _Counts()
        self._until_closed = ExitStack()

    async def start(self) -> None:
        """Loads the model, which takes tens of seconds, and has it answer once."""
        prepare_environment(self._settings)
        local = Path(self._settings.model).expanduser()  # noqa: ASYNC240 - nothing is served yet
        if local.exists() and not (local / "config.json").is_file():
            raise FailedPrecondition(
                f"{local} holds no config.json; AXIA_INFERENCE_MODEL must be a folder in the Hugging Face layout "
                "or a hub id",
                reason="MODEL_UNREADABLE",
            )
        self._chat_template = template_text(self._settings.chat_template)
        self._until_closed.enter_context(own_sockets())
        logger.info("loading %s", self._settings.model)
        self._llm = await in_lasting_thread(self._load)
        # Read once: every request asks for both, and they need files and a walk through the vocabulary.
        self._description = self._describe()
        self._special_tokens = self._read_special_tokens()
        self._reasoning_parser = self._find_reasoning_parser()
        await self._warm_up()

    def _load(self) -> "AsyncLLM":
        try:
            from vllm.config.structured_outputs import StructuredOutputsConfig
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise FailedPrecondition(
                "vLLM is not installed; run make setup, or set AXIA_INFERENCE_ENGINE=scripted", reason="VLLM_MISSING"
            ) from error
        settings = self._settings
        on_cpu = current_platform.is_cpu()
        args = AsyncEngineArgs(
            model=settings.model,
            revision=settings.revision or None,
            trust_remote_code=False,
            dtype=settings.dtype,
            tensor_parallel_size=settings.tensor_parallel_size,
            quantization=settings.quantization or None,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_running,
            max_num_queued_reqs=settings.max_queue,
            enforce_eager=settings.enforce_eager,
            enable_prefix_caching=True,
            # One backend, which refuses a schema that it can't keep, and none of the white space in which small models
            # get lost. With a reasoning parser the answer is held to a format, and the reasoning is not.
            structured_outputs_config=StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True),
            reasoning_parser=settings.reasoning_parser,
            limit_mm_per_prompt={"image": 1},
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **(_cpu_arguments(settings) if on_cpu else {}),
        )
        try:
            return AsyncLLM.from_engine_args(args, stat_loggers=[self._counts.logger_factory()])
        except Exception as error:  # of many types, from configuration to memory; what to do is the same
            logger.exception("vLLM could not load %s", settings.model)
            raise FailedPrecondition(
                f"vLLM could not load {settings.model!r}, see the log above; check that AXIA_INFERENCE_MODEL names a "
                "checkpoint that vLLM supports, that it fits the memory, and that the hub is reachable if it is on one",
                reason="MODEL_UNLOADABLE",
            ) from error

    async def _warm_up(self) -> None:
        prepared = await self.prepare(Conversation([Message(Role.USER, "Hello")]))
        async for _ in self.stream(prepared, Sampling(seed=0, temperature=0.0, top_p=1.0, max_tokens=1)):
            pass

    @property
    def _engine(self) -> "AsyncLLM":
        if self._llm is None:
            raise RuntimeError("the engine is used before it was started")
        return self._llm

    def describe(self) -> ModelDescription:
        """The model as vLLM loaded it."""
        return self._description

    def _describe(self) -> ModelDescription:
        config = self._engine.model_config
        local = Path(self._settings.model).expanduser()
        name = self._settings.model_name or (local.name if local.exists() else self._settings.model)
        return ModelDescription(
            name=name,
            revision=local_revision(local) if local.exists() else self._hub_revision(),
            engine="vllm",
            engine_version=installed_version(),
            max_context_tokens=config.max_model_len,
            accepts_images=config.is_multimodal_model,
            structured_answers=not getattr(config, "is_diffusion", False),
        )

    def _hub_revision(self) -> str:
        """The commit that was loaded, where transformers knows it; else the revision that was asked for."""
        commit = getattr(self._engine.model_config.hf_config, "_commit_hash", None)
        return str(commit or self._settings.revision)

    def special_tokens(self) -> Sequence[str]:
        """The tokenizer's special tokens, and added ones such as the image placeholder."""
        return self._special_tokens

    def _read_special_tokens(self) -> Sequence[str]:
        tokenizer = self._engine.get_tokenizer()
        added: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
        return sorted({*tokenizer.all_special_tokens, *added} - {""})

    def _find_reasoning_parser(self) -> "type[ReasoningParser] | None":
        """The parser that the settings name, tried once with the model's tokenizer.

        Raises:
            FailedPrecondition: If there is no such parser, or it is for other models.
        """
        name = self._settings.reasoning_parser
        if not name:
            return None
        from vllm.reasoning.abs_reasoning_parsers import ReasoningParserManager

        try:
            found: type[ReasoningParser] = ReasoningParserManager.get_reasoning_parser(name)
            found(self._engine.get_tokenizer())
        except Exception as error:  # of many types: an unknown name, a tokenizer without the parser's tokens
            logger.exception("the reasoning parser can't be used")
            raise FailedPrecondition(
                f"vLLM's reasoning parser {name!r} can't be used with this model, see the log above; set "
                "AXIA_INFERENCE_REASONING_PARSER to the one of the model's family, or to nothing",
                reason="REASONING_PARSER_UNFIT",
            ) from error
        return found

    def admit(self, completions: int) -> None:
        """Asks vLLM's own admission control, before any picture is processed."""
        try:
            self._engine.check_admission(completions)
        except Exception as error:  # raised again as ours, by its class; its text goes to the log alone
            raise _as_service_error(error) from error

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Renders the conversation with the model's chat template, or with the plain one that is set."""
        renderer = self._engine.renderer
        try:
            if self._settings.completion_template:
                prompt: dict[str, Any] = {"prompt": plain_prompt(conversation, self._settings)}
                if conversation.picture:
                    prompt["multi_modal_data"] = {"image": conversation.picture.pixels}
                    prompt["multi_modal_uuids"] = {"image": conversation.picture.sha256}
                (rendered,) = await renderer.render_cmpl_async([prompt])
            else:
                from vllm.renderers.params import ChatParams

                params = ChatParams(
                    chat_template=self._chat_template,
                    # Without it the prompt ends before the words that begin the model's turn, and it answers worse.
                    chat_template_kwargs={"add_generation_prompt": True},
                )
                _, (rendered,) = await renderer.render_chat_async([chat_messages(conversation)], params)
        except Exception as error:  # raised again as ours, by its class; its text goes to the log alone
            raise _as_service_error(error) from error
        return Prepared(len(rendered["prompt_token_ids"]), rendered)

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Samples one completion token by token."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        room = self._engine.model_config.max_model_len - prepared.prompt_tokens
        params = SamplingParams(
            n=1,
            seed=sampling.seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=min(sampling.max_tokens, room),
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=_structured(sampling.answer_format),
            skip_special_tokens=self._reasoning_parser is None,  # parsers look for theirs
        )
        parsed = self._parsed_reasoning(prepared)
        outputs = self._engine.generate(prepared.handle, params, f"axia-{next(self._ids)}")
        queued_s: float | None = None
        first = True
        try:
            async for output in outputs:
                (completion,) = output.outputs
                if first and output.metrics is not None:
                    queued_s = max(0.0, output.metrics.scheduled_ts - output.metrics.queued_ts)
                finish = completion.finish_reason
                text, reasoning = completion.text, ""
                if parsed is not None:
                    reasoning, text = parsed.add(text, completion.token_ids, last=finish is not None)
                yield Piece(
                    text,
                    len(completion.token_ids),
                    ("length" if finish == "length" else "stop") if finish else None,
                    queued_s if first else None,
                    reasoning=reasoning,
                )
                first = False
        except ServiceError:
            raise
        except Exception as error:  # raised again as ours, by its class; its text goes to the log alone
            raise _as_service_error(error, sampling.answer_format) from error
        finally:
            await outputs.aclose()

    def _parsed_reasoning(self, prepared: Prepared) -> ParsedReasoning | None:
        """What keeps the reasoning of one completion apart; None where no parser is set."""
        if self._reasoning_parser is None:
            return None
        tokenizer = self._engine.get_tokenizer()
        prompt: Any = prepared.handle
        return ParsedReasoning(
            self._reasoning_parser(tokenizer), prompt["prompt_token_ids"], tokenizer.all_special_tokens
        )

    def load(self) -> EngineLoad:
        """What vLLM's scheduler last reported; nothing once no request is open at all."""
        unfinished = self._llm.get_num_unfinished_requests() if self._llm is not None else 0
        return self._counts.load(unfinished)

    async def watch(self) -> None:
        """Looks a few times a second whether vLLM's process lives."""
        while True:
            if self._engine.errored:
                raise Unavailable(
                    "vLLM's engine process has died; its last log lines say why (often memory: lower kv_cache_gib, "
                    "gpu_memory_utilization, max_running or max_model_len). This server now exits so that its process "
                    "manager starts it again",
                    reason="ENGINE_DEAD",
                )
            await asyncio.sleep(_HEALTH_INTERVAL_S)

    async def close(self) -> None:
        """Ends vLLM's processes."""
        try:
            if self._llm is not None:
                await asyncio.to_thread(self._llm.shutdown)
        finally:
            await asyncio.to_thread(self._until_closed.close)


def _cpu_arguments(settings: InferenceSettings) -> dict[str, Any]:
    """What suits a CPU better than vLLM's defaults; sets the number of threads for the engine process."""
    arguments: dict[str, Any] = {"block_size": _CPU_KV_BLOCK}
    # Those who bind threads to cores need vLLM's worker process, which does that, and so does a model in several parts.
    if "VLLM_CPU_OMP_THREADS_BIND" in os.environ or settings.tensor_parallel_size > 1:
        return arguments
    from vllm.utils.torch_utils import available_cpu_count
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    threads = settings.cpu_threads or max(1, available_cpu_count() - 1)
    if settings.cpu_threads or "OMP_NUM_THREADS" not in os.environ:
        # The only way to tell the engine process, which inherits it and reads it when torch is first imported there; no
        # argument of vLLM's says how many threads that one may have. Torch was imported here before, so here it has no
        # effect.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    # By its class: vLLM turns the name "uni" into "mp" on CPU, for its worker process counts and binds the threads.
    arguments["distributed_executor_backend"] = UniProcExecutor
    return arguments


class _Counts:
    """Running and waiting completions by the scheduler's own count.

    The scheduler reports with each step and not after an abort that left it idle, so no open request means none.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting = 0

    def logger_factory(self) -> Callable[..., object]:
        from vllm.v1.metrics.loggers import StatLoggerBase

        counts = self

        class CountLogger(StatLoggerBase):  # type: ignore[misc]  # vLLM is not type-checked
            def __init__(self, vllm_config: object, engine_index: int = 0) -> None:
                pass

            def record(
                self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
            ) -> None:
                if scheduler_stats is not None:
                    counts._running = scheduler_stats.num_running_reqs
                    counts._waiting = scheduler_stats.num_waiting_reqs

            def log_engine_initialized(self) -> None:
                pass

        return CountLogger

    def load(self, unfinished: int) -> EngineLoad:
        return EngineLoad(self._running, self._waiting) if unfinished else EngineLoad(0, 0)


def _structured(asked: AnswerFormat | None) -> "StructuredOutputsParams | None":
    """An answer format as vLLM takes it; vLLM writes into what it is given, so each completion has its own."""
    if asked is None:
        return None
    from vllm.sampling_params import StructuredOutputsParams

    if asked.json_schema:
        return StructuredOutputsParams(json=asked.json_schema)
    return StructuredOutputsParams(choice=list(asked.choices))


def _as_service_error(error: Exception, asked: AnswerFormat | None = None) -> ServiceError:
    """Maps what vLLM raises, by class, without passing on its text.

    Args:
        error: What it raised.
        asked: What the answer was to be held to. A conversation that is prepared has passed vLLM's checks already, so
            that what it refuses then is the format.
    """
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    if isinstance(error, ServiceError):
        return error
    if type(error).__name__ in {"QueueOverflowError", "MaxQueuedTokensError"}:
        return ResourceExhausted(
            "the queue of this model is full; try again shortly", reason="QUEUE_FULL", retry_after_s=1.0
        )
    if isinstance(error, EngineDeadError):
        return Unavailable("the engine of this model has died; try again", reason="ENGINE_DEAD", retry_after_s=5.0)
    if isinstance(error, (VLLMValidationError, ValueError)) and not isinstance(error, EngineGenerateError):
        if asked is not None:
            logger.info("vLLM refused an answer format", exc_info=error)
            return InvalidArgument(
                "answer_format",
                "the engine can't hold a model to this format; a JSON Schema may have keywords that it doesn't know, "
                "and this server's log says which",
                reason=UNSUPPORTED,
            )
        logger.info("vLLM refused a conversation", exc_info=error)
        return InvalidArgument(
            "messages",
            "the model can't take this conversation: it may be longer than the model's context, in an order that its "
            "chat template refuses, or with a system message that it does not know",
            reason="CONVERSATION_REFUSED",
        )
    logger.error("vLLM failed on a request", exc_info=error)
    return Unavailable("the engine failed on this request; try again", reason="ENGINE_FAILED", retry_after_s=1.0)
