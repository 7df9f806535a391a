"""Runs any vision-language model that vLLM serves, in this process's engine client and a child process for the model.

Everything that axia uses of vLLM's Python interface is in this file and in those named vllm_*. vLLM changes quickly; a
test compares the calls made there with the signatures of each release that the locks name.

Why it is done this way:

- One `generate()` a completion. vLLM's own n > 1 gives neighbouring seeds, ends all children together and can't stop
  one of them at its sentence's end. The picture's processing is shared all the same: the prompt is rendered once, and
  the engine's caches hold its encoding.
- vLLM's processes leave the server's process group (`services.inference.engines.vllm.process`), so that a signal to the
  group lets the server drain.
- On CPU the model runs inside vLLM's engine process. In a worker process of its own, which is vLLM's default there, the
  two spin on shared memory as long as anything is generated, and on few cores everybody else waits seconds for a turn.
"""

import asyncio
import hashlib
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from services.inference.engines.engine import (
    AnswerFormat,
    Conversation,
    Delta,
    EngineLoad,
    Message,
    ModelDescription,
    Picture,
    Prepared,
    Role,
    Sampling,
)
from services.inference.engines.vllm.checkpoint_revision import local_revision
from services.inference.engines.vllm.environment import installed_version, own_files, prepare_environment
from services.inference.engines.vllm.failures import request_failure
from services.inference.engines.vllm.loading import load_model
from services.inference.engines.vllm.process import in_lasting_thread
from services.inference.engines.vllm.prompts import Prompts
from services.inference.engines.vllm.reasoning import ParsedReasoning
from services.inference.engines.vllm.statistics import EngineStatistics, pass_on_metrics
from services.inference.engines.vllm.templates import template_text
from services.inference.engines.vllm.tokens import read_special_tokens
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, ServiceError, Unavailable
from services.serving.plain_lines import plain_lines_as_records

if TYPE_CHECKING:
    from vllm.reasoning.abs_reasoning_parsers import ReasoningParser
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.engine.async_llm import AsyncLLM

logger = logging.getLogger(__name__)

_WARM_UP_SIDE, _WARM_UP_S = 64, 60.0
_HEALTH_INTERVAL_S = 0.25


class VllmEngine:
    """One model in one vLLM engine."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._llm: AsyncLLM | None = None
        self._ids = itertools.count()
        self._statistics = EngineStatistics()
        self._progressed = 0.0
        """When the last token came, or there was nothing to do."""
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
        template_text(self._settings.chat_template)  # one that can't be read is told before the model is loaded
        self._until_closed.enter_context(plain_lines_as_records())
        self._until_closed.enter_context(own_files())
        logger.info("loading %s", self._settings.model)
        load = partial(load_model, self._settings, self._loggers())
        self._llm, self._picture_use = await in_lasting_thread(load)
        self._prompts = Prompts(self._engine, self._settings)
        await self._prompts.look()
        # Read once: every request asks for both, and they need files and a walk through the vocabulary.
        self._description = await asyncio.to_thread(self._describe)
        self._special_tokens = read_special_tokens(self._engine.get_tokenizer())
        self._reasoning_parser = self._find_reasoning_parser()
        await self._warm_up()

    def _loggers(self) -> list[Callable[..., object]]:
        """What vLLM reports to."""
        found = [self._statistics.logger_factory()]
        if self._settings.engine_metrics:
            from vllm.v1.metrics.loggers import PrometheusStatLogger

            found.append(PrometheusStatLogger)
            pass_on_metrics()
        return found

    async def _warm_up(self) -> None:
        """Has the model answer once, and once with a picture: what is compiled or allocated for it is then there."""
        picture = None
        if self._description.accepts_images:
            pixels = Image.new("RGB", (_WARM_UP_SIDE, _WARM_UP_SIDE), "grey")
            picture = Picture(pixels, hashlib.sha256(pixels.tobytes()).hexdigest())
        try:
            async with asyncio.timeout(_WARM_UP_S):
                for pictures in ((), (picture,)) if picture else ((),):
                    prepared = await self.prepare(Conversation([Message(Role.USER, "Hello")], pictures))
                    async for _ in self.stream(prepared, Sampling(seed=0, temperature=0.0, top_p=1.0, max_tokens=1)):
                        pass
        except TimeoutError:
            logger.warning("the first answer takes longer than %g s; the server accepts requests anyway", _WARM_UP_S)

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
            max_images=self._prompts.max_images,
            structured_answers=not getattr(config, "is_diffusion", False),
            prompt_template=self._prompts.template,
            useful_pixels=self._picture_use.pixels,
            trust_remote_code=self._settings.trust_remote_code,
            engine_settings={
                "dtype": str(config.dtype).removeprefix("torch."),
                "quantization": config.quantization,
                "tensor_parallel_size": self._settings.tensor_parallel_size,
                "engine_args": self._settings.engine_args,
            },
        )

    def _hub_revision(self) -> str:
        """The commit that was loaded, where transformers knows it; else the revision that was asked for."""
        commit = getattr(self._engine.model_config.hf_config, "_commit_hash", None)
        return str(commit or self._settings.revision)

    def special_tokens(self, role: Role) -> Sequence[str]:
        """The tokenizer's special tokens, and added ones such as the image placeholder."""
        return self._special_tokens.of(role)

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
                "AXIA_INFERENCE_REASONING_PARSER to the parser of the model's family, or unset it",
                reason="REASONING_PARSER_UNFIT",
            ) from error
        return found

    def admit(self, completions: int) -> None:
        """Asks vLLM's own admission control, before any picture is processed."""
        try:
            self._engine.check_admission(completions)
        except Exception as error:  # raised again as ours, by its class; its text goes to the log alone
            raise request_failure(error) from error

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Renders the conversation with the model's chat template, or with the plain one that is set."""
        return await self._prompts.prepare(conversation)

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
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
                self._progressed = time.monotonic()
                if first and output.metrics is not None:
                    queued_s = max(0.0, output.metrics.scheduled_ts - output.metrics.queued_ts)
                finish = completion.finish_reason
                _check_finish(finish)
                text, reasoning = completion.text, ""
                if parsed is not None:
                    reasoning, text = parsed.add(text, completion.token_ids, last=finish is not None)
                yield Delta(
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
            raise request_failure(error, sampling.answer_format) from error
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
        return self._statistics.load(unfinished)

    async def watch(self) -> None:
        """Looks a few times a second whether vLLM's process lives and has something to show."""
        while True:
            self._check_progress()
            if self._engine.errored:
                raise Unavailable(
                    "vLLM's engine process has crashed; its last log lines say why (often memory: lower kv_cache_gib, "
                    "gpu_memory_utilization, max_running or max_model_len). This server now exits so that its process "
                    "manager starts it again",
                    reason="ENGINE_DEAD",
                )
            await asyncio.sleep(_HEALTH_INTERVAL_S)

    def _check_progress(self) -> None:
        """Raises Unavailable where completions have run for long without a token."""
        now = time.monotonic()
        if not self._engine.get_num_unfinished_requests():
            self._progressed = now
        silent_s, limit_s = now - self._progressed, self._settings.hang_seconds
        if limit_s and silent_s > limit_s:
            raise Unavailable(
                f"vLLM has generated no token for {silent_s:.0f} s although completions are running: it hangs. This "
                "server now exits so that its process manager starts it again. If prompts take longer than this, set "
                "AXIA_INFERENCE_HANG_SECONDS higher",
                reason="ENGINE_HUNG",
            )

    async def close(self) -> None:
        """Ends vLLM's processes."""
        try:
            if self._llm is not None:
                # It would log that it failed: a process that doesn't end in time is killed.
                if self._llm.output_handler is not None:
                    self._llm.output_handler.cancel()
                await asyncio.to_thread(self._llm.shutdown)
        finally:
            await asyncio.to_thread(self._until_closed.close)


def _check_finish(finish: str | None) -> None:
    """Raises Unavailable for an end that is none of the model's own."""
    if finish in ("abort", "error"):
        raise Unavailable(
            "vLLM stopped this completion before its end; see the log of the inference server",
            reason="ENGINE_FAILED",
        )


def _structured(asked: AnswerFormat | None) -> "StructuredOutputsParams | None":
    """An answer format as vLLM takes it; vLLM writes into what it is given, so each completion has its own."""
    if asked is None:
        return None
    from vllm.sampling_params import StructuredOutputsParams

    if asked.json_schema:
        return StructuredOutputsParams(json=asked.json_schema)
    return StructuredOutputsParams(choice=list(asked.choices))
