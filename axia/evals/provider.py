"""The provider ``axia/<model>``: models behind an axia gateway, for inspect_ai."""

import time
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    ModelAPI,
    ModelCall,
    ModelOutput,
    RetryDecision,
)
from inspect_ai.tool import ToolChoice, ToolInfo
from pydantic import JsonValue

from axia._connection.transport import resolve_api_key
from axia.errors import ConnectionFailed, Overloaded, Unauthenticated, Unavailable
from axia.evals.generation import GenerationClient, to_output, to_request

_CONNECTIONS = 32
"""Calls at a time: enough that the model's server can batch."""
_TIMEOUT_S = 600.0


class AxiaAPI(ModelAPI):
    """Asks a model behind a gateway: texts and pictures, several choices, answers held to a schema, reasoning apart.

    Args:
        model_name: Name of the model as ``axia models`` prints it.
        base_url: Host and port of the gateway. Default: the environment variable AXIA_ADDRESS, or 127.0.0.1:50050.
        api_key: Key for the gateway. Default: the environment variable AXIA_API_KEY, or none.
        config: How to sample.
        model_args: None are taken.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as inspect_ai declares it
        **model_args: Any,
    ) -> None:
        if model_args:
            raise ValueError(f"{', '.join(sorted(model_args))}: the provider axia takes no further arguments")
        super().__init__(model_name, base_url, resolve_api_key(api_key), [], config)
        self._client = GenerationClient(base_url, timeout=_TIMEOUT_S, api_key=api_key)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.close()

    def max_connections(self) -> int:
        """Calls at a time where the run does not say."""
        return _CONNECTIONS

    def connection_key(self) -> str:
        """Models have servers of their own, so each has its own limit."""
        return f"{self._client.address}/{self.model_name}"

    def should_retry(self, ex: Exception) -> RetryDecision:
        """Repeats what was refused before the model began."""
        if isinstance(ex, Overloaded):
            return RetryDecision.rate_limit(ex.retry_after)
        if isinstance(ex, Unavailable) and not isinstance(ex, ConnectionFailed):
            return RetryDecision.transient(ex.retry_after)
        return RetryDecision.no()

    def is_auth_failure(self, ex: Exception) -> bool:
        """Whether the gateway wants another key."""
        return isinstance(ex, Unauthenticated)

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - as inspect_ai names it
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput | tuple[ModelOutput | Exception, ModelCall]:
        """Samples the choices of a conversation.

        Raises:
            AxiaError: As the gateway tells it.
        """
        request = to_request(self.model_name, input, config)
        asked = {
            "model": self.model_name,
            "messages": [
                {"role": message.role, "text": message.text, "pictures": len(message.images)}
                for message in request.messages
            ],
            "samples": [{"seed": sample.seed, "temperature": sample.temperature} for sample in request.samples],
            "max_tokens": request.max_tokens,
            "stop_rule": request.stop_rule,
        }
        began = time.monotonic()
        response = await self._client.generate_all(request, config.timeout)
        output = to_output(self.model_name, response)
        output.time = time.monotonic() - began
        call = ModelCall.create(asked, output.metadata, filter=without_pictures, time=output.time)
        return output, call


def without_pictures(key: JsonValue | None, value: JsonValue) -> JsonValue:
    """Keeps base64 out of logs."""
    if isinstance(value, str) and value.startswith("data:") and ";base64," in value[:64]:
        return f"{value.partition(',')[0]},…"
    return value
