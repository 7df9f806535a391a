"""The engine for OpenAI-compatible endpoints, over real connections to an endpoint that does what a test says."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from axia.testing import free_port
from services.inference.engines.engine import AnswerFormat, Conversation, Delta, Message, Picture, Role, Sampling
from services.inference.engines.openai.engine import OpenAIEngine
from services.inference.generation import Completion, Ending, Finished, FinishReason, Started, generate
from services.inference.request import SampleRequest, ShownImage
from services.inference.sampling import Sampler, Summary
from services.inference.settings import InferenceSettings
from services.serving.errors import (
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from tests.support.fake_endpoint import (
    ANSWER,
    ASKED,
    KEY,
    Reply,
    chunk,
    deltas,
    engine,
    fake_endpoint,
    plain,
    streamed,
    usage,
)
from tests.support.pictures import photograph

SPLIT = (b'{"choices":[{"index":0,\r\ndata: "del', b'ta":{"content":"A"}}]}\r', b"\n\r\n")
"""One event in several lines and writes."""
TIMEOUT_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_completion_arrives_in_pieces_with_the_endpoints_own_token_counts() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        got = await deltas(made)
    assert "".join(delta.text for delta in got) == "The child by the stove."
    assert got[0] == Delta("The child", 1, None, got[0].queued_s)
    assert got[0].queued_s is not None
    assert sum(delta.tokens for delta in got) == 6
    assert got[-1] == Delta("", 0, "stop", None, 70)


async def test_a_request_says_what_the_sampling_says() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_extra='{"top_k": 5}') as made:
        await deltas(made)
    (asked,) = endpoint.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    fields = asked.fields
    assert fields.pop("messages") == [{"role": "user", "content": "What needs attention?"}]
    assert fields == {
        "model": "m",
        "seed": 7,
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 20,
        "top_k": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_an_endpoint_without_streams_seeds_and_max_tokens_is_asked_its_way() -> None:
    whole = {
        "choices": [{"message": {"content": "A fire."}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
    settings: dict[str, Any] = {
        "openai_stream": False,
        "openai_seed_bits": 0,
        "openai_max_tokens_field": "max_completion_tokens",
    }
    async with fake_endpoint() as endpoint, engine(endpoint, **settings) as made:
        endpoint.replies = [plain(whole)]
        got = await deltas(made)
    fields = endpoint.asked[0].fields
    assert fields["stream"] is False
    assert fields["max_completion_tokens"] == 20
    assert not {"seed", "stream_options", "max_tokens"} & fields.keys()
    assert [delta[:3] for delta in got] == [("A fire.", 4, None), ("", 0, "length")]


async def test_a_picture_goes_as_bytes_into_the_first_user_turn() -> None:
    pixels = Image.effect_noise((24, 16), 90).convert("RGB")
    turns = [
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Look."),
        Message(Role.ASSISTANT, "Yes."),
        Message(Role.USER, "Why?"),
    ]
    async with (
        fake_endpoint() as endpoint,
        engine(endpoint, openai_image_format="png", openai_image_detail="low") as made,
    ):
        await deltas(made, conversation=Conversation(turns, [Picture(pixels, "ab" * 32)]))
    system, first, answer, second = endpoint.asked[0].fields["messages"]
    assert [turn["content"] for turn in (system, answer, second)] == ["Be brief.", "Yes.", "Why?"]
    assert [turn["role"] for turn in (system, first, answer, second)] == ["system", "user", "assistant", "user"]
    image, text = first["content"]
    assert text == {"type": "text", "text": "Look."}
    assert image["image_url"]["detail"] == "low"
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == pixels.tobytes()


async def test_completions_stop_at_their_first_sentence_by_closing_the_connection() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_usage="continuous") as made:
        never = asyncio.Event()
        counted = {"usage": {"prompt_tokens": 70, "completion_tokens": 5}}
        endpoint.replies = [streamed(chunk("The stove. "), chunk("It is", **counted), then=never)]
        prepared = await made.prepare(ASKED)
        samplings = [Sampling(seed, 1.0, 1.0, 50) for seed in (1, 2, 3)]
        events = [event async for event in generate(made, prepared, samplings, Ending(first_sentence_only=True))]
        await until(lambda: endpoint.left == 3)
    assert endpoint.asked[0].fields["stream_options"]["continuous_usage_stats"] is True
    assert sorted(asked.fields["seed"] for asked in endpoint.asked) == [1, 2, 3]
    assert isinstance(events[0], Started)
    completions = [event for event in events if isinstance(event, Completion)]
    assert {(done.first_sentence, done.finish_reason) for done in completions} == {
        ("The stove.", FinishReason.SENTENCE)
    }
    assert isinstance(events[-1], Finished)
    assert made.load() == (0, 0)


async def test_the_prompts_tokens_are_told_at_the_end_where_the_endpoint_counts_them() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        prepared = await made.prepare(ASKED)
        samplings = [Sampling(1, 1.0, 1.0, 50)]
        events = [event async for event in generate(made, prepared, samplings, Ending())]
    assert events[-1] == Finished(
        70, *[getattr(events[-1], name) for name in ("queue_s", "first_token_s", "generation_s")]
    )


async def test_a_service_whose_endpoint_tells_no_context_samples_about_a_picture() -> None:
    async with fake_endpoint() as endpoint:
        endpoint.listing = plain(b"", 404)
        settings = InferenceSettings(engine="openai", model="m", openai_base_url=endpoint.url)
        sampler = Sampler(OpenAIEngine(settings), settings)
        try:
            await sampler.start()
            request = SampleRequest(
                "m", [ShownImage(photograph(), "image.data")], ASKED.messages, [Sampling(1, 0.0, 1.0, 50)], Ending(True)
            )
            events = [event async for event in sampler.sample(request)]
            with pytest.raises(InvalidArgument, match="<image>"):
                await anext(sampler.sample(replace(request, messages=[Message(Role.USER, "<image>")])))
        finally:
            await sampler.close()
    started, completion, summary = events
    assert isinstance(started, Started)
    assert isinstance(completion, Completion)
    assert completion.first_sentence == "The child by the stove."
    assert isinstance(summary, Summary)
    assert (summary.prompt_tokens, summary.model.max_context_tokens) == (70, 0)
    assert summary.image is not None


async def test_a_caller_who_leaves_closes_the_connection() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(chunk("The"), then=asyncio.Event())]
        task = asyncio.create_task(deltas(made))
        await until(lambda: made.load().running == 1 and endpoint.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: endpoint.left == 1)
        assert made.load() == (0, 0)


async def test_completions_over_the_concurrency_wait_and_those_over_the_queue_are_refused() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_concurrency=2, max_queue=5) as made:
        go = asyncio.Event()
        endpoint.replies = [streamed(chunk("A."), chunk(finish="stop"), then=go)]
        tasks = [asyncio.create_task(deltas(made)) for _ in range(5)]
        await until(lambda: made.load() == (2, 3) and endpoint.open == 2)
        with pytest.raises(ResourceExhausted) as refused:
            made.admit(1)
        assert refused.value.reason == "QUEUE_FULL"
        with pytest.raises(ResourceExhausted):
            await deltas(made)
        go.set()
        assert [len(got) for got in await asyncio.gather(*tasks)] == [2] * 5
    assert endpoint.most_open == 2
    assert made.load() == (0, 0)


async def test_a_busy_endpoint_is_asked_again_after_the_pause_that_it_wants() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retry_max_s=5) as made:
        endpoint.replies = [plain({"error": {"message": "slow down"}}, 429, Retry_After="1"), ANSWER]
        got = await deltas(made)
    assert "".join(delta.text for delta in got) == "The child by the stove."
    first, second = endpoint.asked
    assert second.at - first.at >= 0.99
    assert first.body == second.body


async def test_a_failing_endpoint_is_asked_as_often_as_the_settings_say() -> None:
    broken: list[Callable[..., Any]] = [plain(b"oops", 500), plain(b"", 503), streamed(), plain(b"", 502)]
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=4) as made:
        endpoint.replies = [*broken, ANSWER]
        assert len(await deltas(made)) > 1
        assert len(endpoint.asked) == 5
        endpoint.replies = [plain(b"oops", 500)]
        with pytest.raises(Unavailable) as caught:
            await deltas(made)
        assert len(endpoint.asked) == 10
    assert caught.value.reason == "ENDPOINT_FAILED"


async def test_a_pause_longer_than_the_settings_allow_is_told_to_the_caller_at_once() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [plain({}, 429, Retry_After="3600")]
        with pytest.raises(ResourceExhausted) as caught:
            await deltas(made)
    assert len(endpoint.asked) == 1
    assert caught.value.retry_after_s == 3600
    assert caught.value.reason == "ENDPOINT_BUSY"


async def test_a_completion_is_never_asked_for_again_once_a_token_came() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(chunk("The"))]
        with pytest.raises(Unavailable) as caught:
            await deltas(made)
    assert caught.value.reason == "ENDPOINT_FAILED"
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (plain({"error": {"message": "no"}}, 401), FailedPrecondition, "ENDPOINT_KEY_REFUSED"),
        (plain({"error": {"message": "no"}}, 403), FailedPrecondition, "ENDPOINT_KEY_REFUSED"),
        (plain({"error": {"message": "no"}}, 404), FailedPrecondition, "ENDPOINT_MODEL_UNKNOWN"),
        (plain(b"", 307, Location="http://127.0.0.1:1/"), FailedPrecondition, "ENDPOINT_MODEL_UNKNOWN"),
        (plain({"error": {"message": "words"}}, 400), InvalidArgument, "CONVERSATION_REFUSED"),
        (plain({"detail": [{"input": "x"}]}, 422), InvalidArgument, "CONVERSATION_REFUSED"),
        (plain({"error": {"code": "insufficient_quota"}}, 429), ResourceExhausted, "ENDPOINT_QUOTA"),
        (plain(b"", 418), Unavailable, "ENDPOINT_FAILED"),
        (plain(b"<html>", 200), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (plain({"choices": []}), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (plain([1, 2]), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (plain(b"null"), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (plain({"choices": [{"message": {"content": 5}}]}), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed("[DONE]"), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed("{"), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed(b"data: \xff\n\n"), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed(b"data: " + b"x" * 2**21), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed(*[b": comment\n" * 10_000] * 20), Unavailable, "ENDPOINT_ANSWER_MALFORMED"),
        (streamed({"error": {"message": "too long", "code": 400}}), InvalidArgument, "CONVERSATION_REFUSED"),
        (streamed({"error": "gone"}), Unavailable, "ENDPOINT_FAILED"),
        (streamed(chunk("The"), {"error": {"code": [], "message": {}}}), Unavailable, "ENDPOINT_FAILED"),
    ],
)
async def test_what_goes_wrong_has_a_name(reply: Any, error: type[ServiceError], reason: str) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=1) as made:
        endpoint.replies = [reply]
        with pytest.raises(error) as caught:
            await deltas(made)
    assert caught.value.reason == reason
    assert made.load() == (0, 0)


@pytest.mark.parametrize(
    ("reply", "text", "tokens", "finish"),
    [
        (streamed(chunk(None, "stop"), "[DONE]"), "", 0, "stop"),
        (streamed(chunk("A"), chunk(" b"), "[DONE]"), "A b", 2, "stop"),
        (streamed(chunk("A"), chunk(finish="content_filter"), "[DONE]"), "A", 1, "stop"),
        (streamed(chunk("A"), chunk(finish="length")), "A", 1, "length"),  # the count of tokens never comes
        (streamed(chunk("A"), chunk(finish="stop"), b"data: {\n\n"), "A", 1, "stop"),
        (streamed({"choices": []}, b": waiting\n\n", b"data: " + b'{"choices":[{"delta":{"con'), None, 0, ""),
        (
            streamed({"choices": [{"delta": {"refusal": "I can't."}, "finish_reason": "stop"}]}, usage(1, 9), "[DONE]"),
            "I can't.",
            9,
            "stop",
        ),
        (plain({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}), "", 0, "stop"),
        (plain({"choices": [{"message": {"content": "A"}}]}), "A", 1, "stop"),
        (streamed(*[chunk("a ")] * 30, chunk(finish="stop")), "a " * 21, 21, "length"),
        (
            streamed(
                b"event: x\r\ndata: ", b'{"choices":[{"index":0,\r\ndata: "delta":{"content":"A"}}]}\r\n\r\n', "[DONE]"
            ),
            "A",
            1,
            "stop",
        ),
    ],
)
async def test_odd_answers_are_read_as_far_as_they_can_be(
    reply: Any, text: str | None, tokens: int, finish: str
) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=0) as made:
        endpoint.replies = [reply]
        if text is None:
            with pytest.raises(Unavailable):
                await deltas(made)
            return
        got = await deltas(made)
    assert "".join(delta.text for delta in got) == text
    assert sum(delta.tokens for delta in got) == tokens
    assert got[-1].finish == finish


async def test_an_endpoint_that_is_too_slow_is_left() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_timeout_s=0.3) as made:
        endpoint.replies = [streamed(chunk("The"), then=asyncio.Event())]
        with pytest.raises(Unavailable) as caught:
            await deltas(made)
        await until(lambda: endpoint.open == 0)
    assert caught.value.reason == "ENDPOINT_TIMEOUT"


async def test_the_state_of_the_model_is_what_the_latest_answer_named() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        assert made.describe().revision == ""
        dated = {**chunk("A.", "stop"), "model": "m-2024-08-06", "system_fingerprint": "fp_1"}
        endpoint.replies = [streamed(dated, "[DONE]")]
        await deltas(made)
        assert made.describe().revision == "m-2024-08-06+fp_1"
    async with fake_endpoint() as endpoint, engine(endpoint, revision="mine") as made:
        endpoint.replies = [streamed(dated, "[DONE]")]
        await deltas(made)
        assert made.describe().revision == "mine"


async def test_a_model_that_is_listed_is_not_asked_at_the_start() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        await made.start()
        assert not endpoint.asked
        assert made.describe().max_context_tokens == 2048
        assert made.describe().accepts_images


@pytest.mark.parametrize("listing", [plain(b"", 404), plain(b"", 403), plain({"data": []}), plain(b"<html>")])
async def test_an_endpoint_that_lists_no_such_model_is_asked_for_a_few_tokens(listing: Any) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing = listing
        await made.start()
        assert len(endpoint.asked) == 1
        assert made.describe().max_context_tokens == 0


@pytest.mark.parametrize(
    ("listing", "reply", "advice"),
    [
        (plain({"error": {"message": f"bad key {KEY}"}}, 401), ANSWER, "OPENAI_API_KEY"),
        (plain(b"", 404), plain({"error": {"message": "no model"}}, 404), "OPENAI_BASE_URL"),
        (plain(b"", 404), plain({"error": {"message": "max_tokens"}}, 400), "MAX_TOKENS_FIELD"),
        (plain(b"<html>"), plain(b"<html>"), "OPENAI_BASE_URL"),
    ],
)
async def test_a_start_that_cannot_succeed_says_what_to_set(listing: Any, reply: Any, advice: str) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing, endpoint.replies = listing, [reply]
        with pytest.raises(ServiceError, match=advice):
            await made.start()


async def test_a_start_waits_for_an_endpoint_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.listing = plain(b"", 503)
        task = asyncio.create_task(made.start())
        await until(lambda: endpoint.listed == 1 and "not serving, next attempt in" in caplog.text)
        assert not task.done()
        endpoint.listing = plain({"data": [{"id": "m"}]})
        async with asyncio.timeout(TIMEOUT_S):
            await task


async def test_an_address_where_nobody_listens_is_unavailable_to_callers() -> None:
    async with (
        fake_endpoint() as endpoint,
        engine(endpoint, openai_base_url=f"http://127.0.0.1:{free_port()}/v1") as made,
    ):
        with pytest.raises(Unavailable) as caught:
            await deltas(made)
    assert caught.value.reason == "ENDPOINT_UNREACHABLE"


async def test_the_key_and_pictures_are_in_no_log_error_or_description(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"message": f"key {KEY} and data:image/png;base64,iVBORw0KGgo= refused"}}
    errors: list[str] = []
    async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=0) as made:
        await made.start()
        await deltas(made)
        for reply in (plain(echo, 400), plain(echo, 401), plain(echo, 500), streamed(echo), streamed()):
            endpoint.replies = [reply]
            with pytest.raises(ServiceError) as caught:
                await deltas(made)
            cause = caught.value.__cause__
            errors += [repr(caught.value), caught.value.message, repr(cause), str(cause)]
        errors += [repr(made._settings), str(made._settings.model_dump()), repr(made.describe())]
    assert "refused" in caplog.text  # the endpoint's words are there
    for text in [caplog.text, *errors]:
        assert KEY not in text
        assert "iVBORw0KGgo" not in text


async def test_what_an_endpoint_repeats_of_a_prompt_is_logged_only_where_that_is_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    echo = {"error": {"message": "this was flagged: my diary", "type": "invalid_request_error"}}
    for log_content in (False, True):
        async with fake_endpoint() as endpoint, engine(endpoint, openai_retries=0, log_content=log_content) as made:
            await made.start()
            for reply in (plain(echo, 400), plain(echo, 403), plain(echo, 500), streamed(echo)):
                caplog.clear()
                endpoint.replies = [reply]
                with pytest.raises(ServiceError):
                    await deltas(made)
                assert ("my diary" in caplog.text) == log_content
                assert log_content or "AXIA_INFERENCE_LOG_CONTENT=1" in caplog.text


def held(answer_format: AnswerFormat) -> Sampling:
    return Sampling(7, 0.0, 1.0, 20, answer_format)


async def text_of(made: OpenAIEngine, sampling: Sampling) -> tuple[str, str | None]:
    prepared = await made.prepare(ASKED)
    got = [delta async for delta in made.stream(prepared, sampling)]
    return "".join(delta.text for delta in got), got[-1].finish


YES_NO = AnswerFormat(choices=("yes", "no"))


async def test_choices_are_asked_for_as_a_json_schema_and_come_back_unwrapped() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(chunk('{"ans'), chunk('wer": "no"}'), chunk(finish="stop"), "[DONE]")]
        assert await text_of(made, held(YES_NO)) == ("no", "stop")
        assert made.describe().structured_answers
    (asked,) = endpoint.asked
    wanted = asked.fields["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["strict"] is True
    assert wanted["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["yes", "no"]


async def test_a_callers_schema_is_asked_for_as_it_is_and_its_json_is_streamed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(chunk('{"a":'), chunk(" 1}"), chunk(finish="stop"), "[DONE]")]
        assert await text_of(made, held(AnswerFormat(json_schema=json.dumps(schema)))) == ('{"a": 1}', "stop")
    assert endpoint.asked[0].fields["response_format"]["json_schema"] == {
        "name": "answer", "strict": True, "schema": schema,
    }  # fmt: skip


ANY_OBJECT = AnswerFormat(json_schema='{"type": "object"}')
SAID_IN_JSON = streamed(chunk('{"a": 1}'), chunk(finish="stop"), "[DONE]")


async def test_any_json_object_is_asked_for_by_the_format_for_it() -> None:
    """Strict endpoints, such as OpenAI's, refuse a schema that names no fields."""
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [SAID_IN_JSON]
        assert await text_of(made, held(ANY_OBJECT)) == ('{"a": 1}', "stop")
    assert endpoint.asked[0].fields["response_format"] == {"type": "json_object"}


async def test_an_endpoint_that_takes_schemas_alone_is_asked_for_any_object_by_one_from_then_on() -> None:
    def reply(fields: dict[str, Any]) -> Reply:
        if fields["response_format"]["type"] == "json_object":  # as LM Studio answers
            return plain({"error": "'response_format.type' must be 'json_schema' or 'text'"}, 400)
        return SAID_IN_JSON

    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.answer = reply
        for _ in range(2):
            assert await text_of(made, held(ANY_OBJECT)) == ('{"a": 1}', "stop")
    sent = [asked.fields["response_format"] for asked in endpoint.asked]
    assert [block["type"] for block in sent] == ["json_object", "json_schema", "json_schema"]
    assert sent[-1]["json_schema"] == {"name": "answer", "strict": False, "schema": {"type": "object"}}


async def test_a_conversation_without_the_word_json_is_refused_in_the_endpoints_words_and_nothing_is_learned() -> None:
    words = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [plain({"error": {"message": words, "param": "messages"}}, 400), SAID_IN_JSON]
        with pytest.raises(InvalidArgument, match="must contain the word 'json'"):
            await text_of(made, held(ANY_OBJECT))
        assert await text_of(made, held(ANY_OBJECT)) == ('{"a": 1}', "stop")
    assert [asked.fields["response_format"]["type"] for asked in endpoint.asked] == ["json_object"] * 2


async def test_an_endpoint_that_ignores_the_format_is_told_from_one_that_was_cut_and_from_a_refusal() -> None:
    refusal = {"choices": [{"index": 0, "delta": {"refusal": "I can't say."}, "finish_reason": "stop"}]}
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [streamed(chunk("I like it."), chunk(finish="stop"), "[DONE]")]
        for asked in (YES_NO, AnswerFormat(json_schema="{}")):
            with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_OPENAI_STRUCTURED") as caught:
                await text_of(made, held(asked))
            assert caught.value.reason == "ANSWER_FORMAT_IGNORED"
        endpoint.replies = [streamed(chunk('{"answer": "ye'), chunk(finish="length"), "[DONE]")]
        assert await text_of(made, held(YES_NO)) == ("", "length")
        endpoint.replies = [streamed(refusal, "[DONE]")]
        assert await text_of(made, held(YES_NO)) == ("I can't say.", "stop")


async def test_an_endpoint_that_refuses_a_request_with_a_format_is_told_so() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        endpoint.replies = [plain({"error": {"message": "unknown field response_format"}}, 400)]
        with pytest.raises(InvalidArgument) as caught:
            await text_of(made, held(YES_NO))
    assert caught.value.reason == "ANSWER_FORMAT_UNSUPPORTED"
    assert caught.value.violations[0].field == "answer_format"


async def test_an_endpoint_that_is_said_to_keep_no_format_is_not_asked_for_one() -> None:
    async with fake_endpoint() as endpoint, engine(endpoint, openai_structured=False) as made:
        sampler = Sampler(made, made._settings)
        sampler._loaded = True
        request = SampleRequest("", [], ASKED.messages, [held(YES_NO)])
        with pytest.raises(InvalidArgument) as caught:
            await sampler.sample_all(request, None, lambda: None)
    assert caught.value.reason == "ANSWER_FORMAT_UNSUPPORTED"
    assert endpoint.asked == []


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_comes_apart_from_the_answer(name: str) -> None:
    def thought(text: object) -> dict[str, object]:
        return {"choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]}

    async with fake_endpoint() as endpoint, engine(endpoint) as made:
        events = (thought("A child."), thought(" A stove."), thought({"odd": 1}), chunk("The stove."), "[DONE]")
        endpoint.replies = [streamed(*events)]
        got = await deltas(made)
    assert "".join(delta.reasoning for delta in got) == "A child. A stove."
    assert "".join(delta.text for delta in got) == "The stove."
    assert sum(delta.tokens for delta in got) == 3
