"""What a trace holds of one call to a model, by OpenTelemetry's conventions for generative AI.

How it was asked, how many tokens there were and why completions ended; nothing of what was said.
"""

from collections.abc import Sequence

from axia.v1 import inference_pb2
from services.serving.tracing import Span, Value

_FINISH_REASONS = inference_pb2.FinishReason.DESCRIPTOR.values_by_number


class ModelSpan:
    """Fills the span of a call.

    Args:
        span: Of the call; it stays open.
        model: Name of the model.
        request: What it is asked.
    """

    def __init__(self, span: Span, model: str, request: inference_pb2.GenerateRequest) -> None:
        self._span = span
        self._recording = span.recording
        self._output_tokens = 0
        self._finish_reasons: list[str] = []
        if self._recording:
            span.set(_asked(model, request))

    def waited(self, seconds: float) -> None:
        """Notes how long the call waited in the gateway until it was its turn."""
        if self._recording:
            self._span.set({"axia.queue_s": round(seconds, 6)})

    def tried(self, address: str) -> None:
        """Notes the replica that is asked, the last of several."""
        if self._recording:
            host, _, port = address.rpartition(":")
            self._span.set({"server.address": host, "server.port": int(port) if port.isdecimal() else 0})

    def read(self, response: inference_pb2.GenerateResponse) -> None:
        """Counts an event of the answer; with the summary, the span is complete."""
        if not self._recording:
            return
        if response.HasField("completion"):
            self._count([response.completion])
        elif response.HasField("summary"):
            self._finish(response.summary)

    def read_all(self, response: inference_pb2.GenerateAllResponse) -> None:
        """Counts an answer in one message."""
        if self._recording:
            self._count(response.completions)
            self._finish(response.summary)

    def _count(self, completions: Sequence[inference_pb2.Completion]) -> None:
        self._output_tokens += sum(completion.tokens for completion in completions)
        self._finish_reasons += [_reason(completion.finish_reason) for completion in completions]
        self._span.set(
            {
                "gen_ai.usage.output_tokens": self._output_tokens,
                "gen_ai.response.finish_reasons": self._finish_reasons,
            }
        )

    def _finish(self, summary: inference_pb2.GenerateSummary) -> None:
        if summary.prompt_tokens:
            self._span.set({"gen_ai.usage.input_tokens": summary.prompt_tokens})
        if summary.model.name:
            self._span.set({"gen_ai.response.model": summary.model.name})


def _asked(model: str, request: inference_pb2.GenerateRequest) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "axia",
        "gen_ai.request.model": model,
        "gen_ai.request.choice.count": len(request.samples),
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.top_p": request.top_p,
    }
    temperatures = {sample.temperature for sample in request.samples}
    if len(temperatures) == 1:  # one for each completion has no name in the conventions
        attributes["gen_ai.request.temperature"] = temperatures.pop()
    return attributes


def _reason(number: int) -> str:
    known = _FINISH_REASONS.get(number)  # a newer server may know more
    return "unknown" if known is None else known.name.removeprefix("FINISH_REASON_").lower()
