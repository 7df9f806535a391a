"""What chat clients send beside what is offered: fields that ask for nothing, and shapes of other interfaces."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from services.serving.errors import InvalidArgument

_CHANGE_NO_ANSWER = frozenset(
    {
        *(
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
        ),
        *("cache_prompt", "cache_salt", "id_slot", "include_reasoning", "keep_alive", "priority", "request_id"),
        *("session_id", "usage"),
        *("provider", "route"),  # OpenRouter's
        *("cache", "caching", "custom_llm_provider", "drop_params", "fallbacks", "litellm_call_id"),  # LiteLLM's
        *("litellm_metadata", "max_retries", "num_retries", "timeout"),  # LiteLLM's
        *("draft_model", "num_ctx", "return_progress", "timings_per_token", "ttl"),  # those of local servers
        *("separate_reasoning", "stream_reasoning"),  # SGLang's: what is done here anyway
    }
)
"""Fields of OpenAI's clients and of others that change no answer."""

_NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        # OpenAI's
        "audio": (),
        "frequency_penalty": (0,),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "presence_penalty": (0,),
        "reasoning_effort": (),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
        "web_search_options": (),
        # vLLM's, and those of other servers
        "add_generation_prompt": (True,),
        "add_special_tokens": (False,),
        "allowed_token_ids": ([],),
        "bad_words": ([],),
        "best_of": (1,),
        "chat_template": ("",),
        "chat_template_kwargs": ({},),
        "continue_final_message": (False,),
        "documents": ([],),
        "echo": (False,),
        "enable_thinking": (),
        "guided_choice": ([],),
        "guided_grammar": ("",),
        "guided_json": (),
        "guided_regex": ("",),
        "ignore_eos": (False,),
        "include_stop_str_in_output": (False,),
        "length_penalty": (1,),
        "min_p": (0,),
        "min_tokens": (0,),
        "mirostat": (0,),
        "mm_processor_kwargs": ({},),
        "options": ({},),
        "prompt_logprobs": (0,),
        "raw": (False,),
        "reasoning": ({},),
        "reasoning_format": ("auto", "deepseek", "parsed"),
        "repeat_penalty": (1,),
        "repetition_penalty": (1,),
        "skip_special_tokens": (True,),
        "spaces_between_special_tokens": (True,),
        "stop_token_ids": ([],),
        "structured_outputs": ({},),
        "tfs_z": (1,),
        "think": (),
        "thinking": ({},),
        "top_a": (0,),
        "top_k": (0, -1),
        "typical_p": (1,),
        "use_beam_search": (False,),
    }
)
"""Fields that would change an answer and that are not offered, with the values that ask for nothing."""

_NOT_IN_MESSAGES = ("audio", "continue_final_message", "function_call", "partial", "prefix", "tool_calls")
"""Fields of messages that are not offered, unless they are empty or false."""

_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Types of parts that hold what a model thought, as clients send answers back."""

UNLIMITED = 2**31 - 1
"""Tokens that stand for no bound of the caller's."""

_OTHER_SHAPES = MappingProxyType(
    {
        "image": "belongs to Anthropic's API",
        "input_image": "belongs to OpenAI's Responses API",
        "input_text": "belongs to OpenAI's Responses API",
        "output_text": "belongs to OpenAI's Responses API",
    }
)
_OUR_SHAPES = (
    'write {"type": "text", "text": "…"} and {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,…"}}'
)


def normalized_fields(fields: dict[str, Any], offered: Collection[str]) -> dict[str, Any]:
    """The fields of a request that ask for something, in one shape each.

    Args:
        fields: As they came.
        offered: Names of those that are offered.

    Raises:
        InvalidArgument: Naming a field that is not offered.
    """
    kept = {name: value for name, value in _given(fields).items() if name not in _CHANGE_NO_ANSWER}
    for name, neutral in _NEUTRAL.items():
        if name in kept and kept.pop(name) not in neutral:
            raise InvalidArgument(name, "is not supported; leave it out", reason="NOT_OFFERED")
    kept = {name: value for name, value in kept.items() if name in offered or not _asks_nothing(value)}
    if kept.get("seed") == -1:
        del kept["seed"]  # local servers draw one then
    for name in ("max_tokens", "max_completion_tokens"):
        if kept.get(name) == -1:
            kept[name] = UNLIMITED
    messages = kept.get("messages")
    if isinstance(messages, list):
        kept["messages"] = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    return kept


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _asks_nothing(value: Any) -> bool:
    return value is False or (isinstance(value, str | list | dict) and not value)


def _message(message: Any, path: str) -> Any:
    if not isinstance(message, dict):
        return message  # refused by its model
    kept = _given(message)
    for name in _NOT_IN_MESSAGES:
        if kept.pop(name, None):
            raise InvalidArgument(f"{path}.{name}", "is not supported; leave it out", reason="NOT_OFFERED")
    if kept.get("images"):
        description = f"belongs to Ollama's API; put images into content: {_OUR_SHAPES}"
        raise InvalidArgument(f"{path}.images", description, reason="OTHER_INTERFACE")
    if kept.get("role") != "user" and not kept.get("content"):
        kept["content"] = kept.get("refusal", "")
    content = kept.get("content")
    if isinstance(content, list):
        if kept.get("role") == "assistant":
            content = [part for part in content if not (isinstance(part, dict) and part.get("type") in _THOUGHTS)]
        kept["content"] = [_part(part, f"{path}.content[{index}]") for index, part in enumerate(content)]
    return kept


def _part(part: Any, path: str) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part  # refused by its model
    kept = _given(part)
    kind = kept.setdefault("type", "image_url" if "image_url" in kept else "text" if "text" in kept else None)
    if kind is None:
        del kept["type"]
    if kind == "text":  # clients whose parts have all fields send the others empty
        if part.get("text", "") is None:
            kept["text"] = ""
        if kept.get("image_url") in ("", {}, {"url": ""}):
            del kept["image_url"]
    if kind == "image_url" and kept.get("text") == "":
        del kept["text"]
    if kind == "refusal":
        return {"type": "text", "text": kept.get("refusal", "")}
    if isinstance(kind, str) and kind in _OTHER_SHAPES:
        description = f"of type {kind} {_OTHER_SHAPES[kind]}; {_OUR_SHAPES}"
        raise InvalidArgument(path, description, reason="OTHER_INTERFACE")
    return kept
