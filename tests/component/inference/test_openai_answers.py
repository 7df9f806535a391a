"""Answers of real endpoints, as their users' reports show them, and what the engine makes of each."""

from typing import Any

import pytest

from services.inference.engines.engine import Sampling
from services.inference.engines.openai.engine import OpenAIEngine
from services.inference.generation import Completion, Ending, FinishReason, generate
from services.serving.errors import InvalidArgument, ServiceError, Unavailable
from tests.support.fake_endpoint import (
    ANSWER,
    ASKED,
    Reply,
    chunk,
    deltas,
    engine,
    fake_endpoint,
    plain,
    streamed,
    usage,
)

SAID = [chunk("The pot "), chunk("boils over."), chunk(finish="stop")]
DONE = "[DONE]"


def parts(*content: dict[str, object]) -> dict[str, object]:
    """A chunk whose content is a list of parts."""
    return {"choices": [{"index": 0, "delta": {"content": list(content)}}]}


MISTRAL = [
    parts({"type": "thinking", "thinking": [{"type": "text", "text": "A pot."}]}),
    parts({"type": "text", "text": "The pot boils over."}),
    chunk(finish="stop"),
]
TEXT_PARTS = {"content": [{"type": "text", "text": "The pot boils over."}]}
WHOLE = {"choices": [{"index": 0, "message": TEXT_PARTS, "finish_reason": "stop"}]}
NO_INDEX = {"choices": [{"index": None, "delta": {"content": "The pot boils over."}, "finish_reason": "stop"}]}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
GOOGLE = [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]
ALL_THOUGHT = {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 100}}


async def completion(made: OpenAIEngine, *, first_sentence_only: bool = False) -> Completion:
    prepared = await made.prepare(ASKED)
    samplings = [Sampling(7, 0.5, 1.0, 100)]
    ending = Ending(first_sentence_only=first_sentence_only)
    events = [event async for event in generate(made, prepared, samplings, ending)]
    (done,) = (event for event in events if isinstance(event, Completion))
    return done


@pytest.mark.parametrize(
    "reply",
    [
        streamed({"choices": None, "prompt_filter_results": []}, *SAID, DONE),
        streamed(SAID[0], None, *SAID[1:], DONE),
        streamed(SAID[0], b"data:\n\n", *SAID[1:], DONE),
        streamed(
            {"choices": [{"index": None, "delta": {"content": "The pot boils over."}, "finish_reason": "stop"}]}, DONE
        ),
        streamed(*MISTRAL, DONE),
        plain(WHOLE),
        plain(b"\n\n   \n" + b'{"choices": [{"message": {"content": "The pot boils over."}}]}'),
        streamed(b": OPENROUTER PROCESSING\n\n", *SAID, {"choices": [], "usage": None}, DONE),
        streamed(*SAID[:2], b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'),
        streamed(*SAID, {"usage": {"prompt_tokens": -1, "completion_tokens": -1}}, DONE),
        streamed(*SAID, {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": "4"}}, DONE),
        streamed({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "logprobs": None}]}, *SAID),
        streamed(chunk("<thought>\nA pot.\n</thought>The pot "), *SAID[1:], DONE),
        streamed({"choices": [{"index": 0, "delta": {}, "message": TEXT_PARTS, "finish_reason": "stop"}]}, DONE),
        streamed(*SAID, {"choices": [{"index": 0, "delta": {}, "message": TEXT_PARTS, "finish_reason": "stop"}]}, DONE),
        streamed({"choices": [{"index": 0, "text": "The pot boils over.", "finish_reason": "stop"}]}, DONE),
        plain(WHOLE, 201),
    ],
    ids=[
        *("azure-filter", "null", "empty-data", "index-null", "mistral", "whole-in-parts", "keep-alive", "openrouter"),
        *("no-last-line", "minus-one", "null-count", "gemini-role", "gemini-thought"),
        *("message-for-delta", "message-after-deltas", "text-of-a-completion", "created"),
    ],
)
async def test_an_odd_answer_is_read_and_asked_for_once(reply: Reply) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [reply]
        done = await completion(made)
    assert done.text.strip() == "The pot boils over."
    assert done.first_sentence == "The pot boils over."
    assert done.tokens > 0
    assert len(endpoint.asked) == 1


async def test_thoughts_in_parts_are_reasoning() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(*MISTRAL, DONE)]
        assert (await completion(made)).reasoning == "A pot."


VISION = {"error": {"message": "Vision add-on is not loaded, but images were provided"}}


@pytest.mark.parametrize(
    ("reply", "words", "calls"),
    [
        (plain(VISION), "Vision add-on is not loaded", 1),
        (streamed(VISION, DONE), "Vision add-on is not loaded", 1),
        (streamed(b"event: error\ndata: " + b'{"error": {"message": "no such picture"}}\n\n'), "no such picture", 1),
        (streamed(b'error: {"code": 500, "message": "slot is lost", "type": "server_error"}\n\n'), "slot is lost", 3),
        (streamed({"error": {"message": "Provider disconnected", "code": 502}, "choices": []}), "disconnected", 3),
        (streamed({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}), "finish_reason error", 3),
        (streamed({"choices": [{"index": 0, "delta": {}, "error": {"code": 503, "message": "lost"}}]}), "lost", 3),
        (
            plain({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
            "Overloaded",
            3,
        ),
        (
            plain([{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}], 503),
            "overl",
            3,
        ),
        (plain(b"<html><title>502 Bad Gateway</title></html>", 502), "502 Bad Gateway", 3),
        (plain({"error": "model runner has unexpectedly stopped"}, 500), "unexpectedly stopped", 3),
        (streamed({"choices": [{"index": 0, "delta": {}, "finish_reason": {"type": "abort"}}]}), "reason abort", 3),
        (plain({"detail": "Not Found"}), "Not Found", 1),
        (plain({"message": "no Route matched with those values"}), "no Route matched", 1),
        (plain({"code": 1302, "msg": "rate limit reached, please try again", "success": False}), "rate limit", 3),
        (plain({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}), "login fail", 1),
        (plain({"errors": [{"message": "No such model", "code": 7000}], "result": None}), "No such model", 1),
    ],
)
async def test_an_error_is_told_in_the_endpoints_words_and_repeated_only_where_that_helps(
    reply: Reply, words: str, calls: int
) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=2) as made:
        endpoint.replies = [reply]
        with pytest.raises(Unavailable, match=words) as caught:
            await deltas(made)
    assert caught.value.reason == "ENDPOINT_FAILED"
    assert len(endpoint.asked) == calls


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (plain(b"<html><head><title>Sign in</title></head></html>"), "Sign in"),
        (plain(b"Ollama is running"), "Ollama is running"),
        (plain(b"\x1f\x8b\x08", Content_Encoding="gzip"), "compressed with gzip"),
    ],
)
async def test_what_comes_in_place_of_an_answer_is_told(reply: Reply, words: str) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [reply]
        with pytest.raises(Unavailable, match=words) as caught:
            await deltas(made)
    assert caught.value.reason == "ENDPOINT_ANSWER_MALFORMED"
    assert len(endpoint.asked) == 1


async def test_an_error_after_the_first_token_is_told_and_the_completion_not_sampled_again() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(SAID[0], {"error": {"code": 502, "message": "Provider disconnected"}})]
        with pytest.raises(Unavailable, match="Provider disconnected"):
            await deltas(made)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        streamed(
            *({"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "Hm. "}}]} for _ in range(9)),
            chunk(finish="length"),
            usage(9, 100),
        ),
        streamed(
            chunk("", "length"),
            {
                "choices": [],
                "usage": {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 100}},
            },
        ),
        streamed(chunk("<think>Let me look at the pot"), chunk(finish="length")),
    ],
    ids=["shown", "hidden", "tags"],
)
async def test_a_completion_whose_tokens_all_went_into_reasoning_says_so(reply: Reply) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [reply]
        done = await completion(made, first_sentence_only=True)
    assert (done.text, done.finish_reason) == ("", FinishReason.REASONING)


def refusing(*names: str) -> Any:
    """A reply to a request by its fields: a refusal of the first of them that is there, or else an answer."""

    def reply(fields: dict[str, Any]) -> Reply:
        for name in names:
            if name in fields and fields[name] != 1:
                words = f"Unsupported value: '{name}' is not supported. Only the default (1) value is supported."
                return plain({"error": {"message": words, "param": name, "code": "unsupported_value"}}, 400)
        return ANSWER

    return reply


async def test_fields_that_a_model_refuses_are_left_out_at_once_and_from_then_on_and_told_as_used() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.answer = refusing("max_tokens", "temperature", "seed")
        first = await completion(made)
        assert len(endpoint.asked) == 4
        second = await completion(made)
        assert len(endpoint.asked) == 5
    for done in (first, second):
        assert done.text == "The child by the stove."
        assert (done.sampling.temperature, done.sampling.top_p, done.sampling.seed) == (1.0, 1.0, 0)
        assert done.sampling.max_tokens == 100
    assert endpoint.asked[-1].fields["max_completion_tokens"] == 100
    assert made.describe().engine_settings["left_out"] == ["seed", "temperature"]


async def test_fields_that_the_setting_names_are_never_sent() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_leave_out=("temperature", "top_p")) as made:
        endpoint.answer = refusing("temperature")
        assert (await completion(made)).sampling.temperature == 1.0
    (asked,) = endpoint.asked
    assert not {"temperature", "top_p"} & asked.fields.keys()


async def test_a_refused_value_is_told_by_its_field_in_the_endpoints_words() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        words = "temperature: Input should be less than or equal to 1"
        endpoint.replies = [plain({"error": {"message": words, "type": "invalid_request_error"}}, 400)]
        with pytest.raises(InvalidArgument, match="less than or equal to 1") as caught:
            await completion(made)
    assert caught.value.violations[0].field == "temperature"
    assert len(endpoint.asked) == 1


async def test_a_refusal_that_goes_on_ends() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        words = "temperature, top_p, seed, stream_options and max_tokens are not supported"
        endpoint.replies = [plain({"error": {"message": words}}, 400)]
        with pytest.raises(InvalidArgument, match="not supported"):
            await completion(made)
    assert len(endpoint.asked) <= 6


async def test_a_model_that_refuses_one_field_after_the_other_is_asked_once_for_each() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        lengths = ("max_tokens", "max_completion_tokens")
        endpoint.answer = refusing("temperature", "top_p", "seed", "stream_options", *lengths)
        with pytest.raises(InvalidArgument, match="max_completion_tokens"):
            await deltas(made)
    assert len(endpoint.asked) == 5


LISTS_OTHERS = plain({"data": [{"id": "other"}, {"id": "another"}]})


@pytest.mark.parametrize(
    "reply",
    [ANSWER, streamed(*MISTRAL, DONE), streamed({"choices": None}, *SAID, DONE)],
)
async def test_a_model_that_is_not_listed_and_answers_is_served(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing, endpoint.replies = LISTS_OTHERS, [reply]
        await made.start()
    assert "not among the 2 models that it lists" in caplog.text


async def test_a_model_that_is_not_listed_and_refuses_a_temperature_is_served() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing, endpoint.answer = LISTS_OTHERS, refusing("temperature")
        await made.start()
        assert made.describe().engine_settings["left_out"] == ["temperature"]


@pytest.mark.parametrize("status", [404, 400])
async def test_a_model_that_is_not_loaded_yet_is_waited_for(
    status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inference.engines.openai.engine._MAX_START_PAUSE_S", 0.05)
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing = LISTS_OTHERS
        refusal = plain({"error": {"message": 'model "m" not found, try pulling it first'}}, status)
        endpoint.replies = [refusal, refusal, ANSWER]
        await made.start()
    assert "It lists other, another. Set AXIA_INFERENCE_MODEL to one of those" in caplog.text
    assert "try pulling it first" in caplog.text


async def test_a_refused_key_ends_the_start_although_other_models_are_listed() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing, endpoint.replies = LISTS_OTHERS, [plain({"error": {"message": "no"}}, 401)]
        with pytest.raises(ServiceError, match="AXIA_INFERENCE_OPENAI_API_KEY"):
            await made.start()


async def test_the_pause_that_an_endpoint_asks_for_in_milliseconds_is_kept() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retry_max_s=5) as made:
        endpoint.replies = [plain({"error": {"message": "slow down"}}, 429, retry_after_ms="700"), ANSWER]
        await deltas(made)
    first, second = endpoint.asked
    assert second.at - first.at >= 0.69
