"""Conversations of inspect_ai as requests of the inference service, and its completions as inspect_ai's output."""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    Content,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
    StopReason,
)

from axia._connection.connected import AsyncConnected
from axia.errors import InvalidRequest
from axia.evals.seeds import MAX_SEED, completion_seed
from axia.v1 import inference_pb2, inference_pb2_grpc

FIRST_SENTENCE = "axia_first_sentence"
"""Key of `GenerateConfig.extra_body` that ends a completion with its first sentence."""

_ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}
_STOP_REASONS: dict[int, StopReason] = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "stop",
    inference_pb2.FINISH_REASON_LENGTH: "max_tokens",
    inference_pb2.FINISH_REASON_REASONING: "max_tokens",
}


class GenerationClient(AsyncConnected):
    """Samples completions of whole conversations through a gateway."""

    async def generate_all(
        self,
        request: inference_pb2.GenerateRequest,
        timeout: float | None,  # noqa: ASYNC109 - the limit travels to the server
    ) -> inference_pb2.GenerateAllResponse:
        """All completions of a conversation.

        Args:
            request: The conversation and its samples.
            timeout: Seconds for this call. None: the client's.

        Raises:
            AxiaError: As `axia.client.Client.detect`.
        """
        call = self._new_call(timeout)
        stub: Any = inference_pb2_grpc.InferenceServiceStub(self._open())
        with call.errors():
            response: inference_pb2.GenerateAllResponse = await stub.GenerateAll(
                inference_pb2.GenerateAllRequest(generation=request), **call.options
            )
            return response


def to_request(model: str, messages: Sequence[ChatMessage], config: GenerateConfig) -> inference_pb2.GenerateRequest:
    """The request for a conversation.

    Without a seed one is drawn for each choice, so that epochs without one differ.

    Raises:
        InvalidRequest: If the conversation holds what the inference service does not take.
    """
    request = inference_pb2.GenerateRequest(model=model)
    digests = [_add_message(request, message) for message in messages]
    picture = next((digest for digest in digests if digest), "")
    choices = config.num_choices or 1
    for seed in _seeds(config.seed, choices, picture):
        temperature = 1.0 if config.temperature is None else config.temperature
        request.samples.add(seed=seed, temperature=temperature)
    request.default_temperature = config.temperature is None
    if config.top_p is not None:
        request.top_p = config.top_p
    if config.max_tokens is not None:
        request.max_tokens = config.max_tokens
    request.stop.extend(config.stop_seqs or ())
    if (config.extra_body or {}).get(FIRST_SENTENCE):
        request.stop_rule = inference_pb2.STOP_RULE_FIRST_SENTENCE
    if config.response_schema is not None:
        schema = config.response_schema.json_schema.model_dump(exclude_none=True)
        request.answer_format.json_schema = json.dumps(schema)
    return request


def _seeds(seed: int | None, choices: int, picture: str) -> list[int]:
    if seed is None:
        return [secrets.randbelow(MAX_SEED + 1) for _ in range(choices)]
    if choices == 1:
        return [seed]
    return [completion_seed(seed, index, picture) for index in range(choices)]


def _add_message(request: inference_pb2.GenerateRequest, message: ChatMessage) -> str:
    """Adds a message; returns the SHA-256 of its first picture, or nothing."""
    if message.role not in _ROLES:
        raise InvalidRequest.of("messages", f"a message has the role {message.role}: axia's models use no tools")
    added = request.messages.add(role=_ROLES[message.role])
    if isinstance(message.content, str):
        added.text = message.content
        return ""
    text, digest = "", ""
    for part in message.content:
        if isinstance(part, ContentText):
            text += ("\n" if text else "") + part.text
        elif isinstance(part, ContentImage):
            data = picture_bytes(part.image)
            digest = digest or hashlib.sha256(data).hexdigest()
            shown = added.images.add(after_chars=len(text))
            shown.image.data = data  # in place: a message handed to a constructor is copied
        elif not isinstance(part, ContentReasoning):  # what it thought in an earlier turn is not said again
            raise InvalidRequest.of(
                "messages", f"a message contains {part.type}: axia's models take only texts and images"
            )
    added.text = text
    return digest


def picture_bytes(uri: str) -> bytes:
    """The bytes of a picture that is given as a data URI.

    Raises:
        InvalidRequest: If it is an address or no base64.
    """
    head, _, data = uri.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise InvalidRequest.of(
            "image", "the image is not a data URI: convert it with inspect_ai.util.materialize_media"
        )
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise InvalidRequest.of("image", "the image's data URI is not valid base64") from None


def to_output(model: str, response: inference_pb2.GenerateAllResponse) -> ModelOutput:
    """The completions as choices, with what produced them as metadata."""
    summary = response.summary
    produced = {
        "model": summary.model.name,
        "revision": summary.model.revision,
        "engine": summary.model.engine,
        "engine_version": summary.model.engine_version,
        "engine_settings": summary.model.engine_settings,
        "sentence_rule": summary.sentence_rule,
        "image_sha256": summary.image.sha256,
        "top_p": summary.top_p,
        "max_tokens": summary.max_tokens,
        "timings_ms": {"total": summary.timings.total_ms, "queue": summary.timings.queue_ms},
        "completions": [
            {
                "seed": completion.seed,
                "temperature": completion.temperature,
                "first_sentence": completion.first_sentence,
            }
            for completion in response.completions
        ],
    }
    tokens = sum(completion.tokens for completion in response.completions)
    return ModelOutput(
        model=model,
        choices=[_choice(model, completion) for completion in response.completions],
        usage=ModelUsage(
            input_tokens=summary.prompt_tokens, output_tokens=tokens, total_tokens=summary.prompt_tokens + tokens
        ),
        metadata=produced,
    )


def _choice(model: str, completion: inference_pb2.Completion) -> ChatCompletionChoice:
    content: str | list[Content] = completion.text
    if completion.reasoning:
        content = [ContentReasoning(reasoning=completion.reasoning), ContentText(text=completion.text)]
    return ChatCompletionChoice(
        message=ChatMessageAssistant(content=content, model=model, source="generate"),
        stop_reason=_STOP_REASONS.get(completion.finish_reason, "unknown"),
    )
