import base64
import json
from typing import Any

import openai
import pytest

from axia.v1 import gateway_pb2, inference_pb2
from gateway.protocols.sampling import completion_seed
from services.serving.errors import InvalidArgument, NotFound, ResourceExhausted
from tests.support.http_api import Api, FakeGateway
from tests.support.pictures import photograph

PICTURE = photograph(3, (64, 48))
URL = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"
STARTED = inference_pb2.GenerateResponse(started={"prompt_tokens": 11})
ANSWERS = [
    STARTED,
    inference_pb2.GenerateResponse(
        completion={"index": 1, "text": "Second.", "tokens": 3, "finish_reason": inference_pb2.FINISH_REASON_LENGTH}
    ),
    inference_pb2.GenerateResponse(
        completion={"index": 0, "text": "First.", "tokens": 2, "finish_reason": inference_pb2.FINISH_REASON_STOP}
    ),
    inference_pb2.GenerateResponse(summary={"prompt_tokens": 11, "model": {"name": "m"}}),
]


def question(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "What is it?"}], **more}


async def chat(http: Api, **more: Any) -> Any:
    return await http.post("/v1/chat/completions", json=question(**more))


async def test_a_conversation_reaches_the_model_as_one_generation(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["Generate"] = ANSWERS
    picture = [{"type": "text", "text": "What"}, {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [*picture, {"type": "text", "text": "is it?"}]},
        {"role": "assistant", "content": "A child."},
        {"role": "user", "content": "Sure?"},
    ]
    response = await chat(http, messages=messages, n=2, seed=5, temperature=0.5, top_p=0.9, max_completion_tokens=7)
    asked = gateway.requests[0]
    assert [(each.role, each.text) for each in asked.messages] == [
        (inference_pb2.ROLE_SYSTEM, "Be brief."),
        (inference_pb2.ROLE_USER, "What\nis it?"),
        (inference_pb2.ROLE_ASSISTANT, "A child."),
        (inference_pb2.ROLE_USER, "Sure?"),
    ]
    assert (asked.image.data, asked.model, asked.top_p, asked.max_tokens) == (PICTURE, "m", 0.9, 7)
    assert asked.stop_rule == inference_pb2.STOP_RULE_NONE
    assert [sample.temperature for sample in asked.samples] == [0.5, 0.5]
    assert len({sample.seed for sample in asked.samples}) == 2
    answer = response.json()
    assert (answer["object"], answer["model"]) == ("chat.completion", "m")
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in answer["choices"]] == [
        (0, "First.", "stop"),
        (1, "Second.", "length"),
    ]
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


async def test_reasoning_is_given_beside_the_answer(http: Api, gateway: FakeGateway) -> None:
    thought = {
        "index": 0,
        "text": "A dog.",
        "reasoning": "It barks.",
        "finish_reason": inference_pb2.FINISH_REASON_STOP,
    }
    only = {"index": 1, "reasoning": "It", "finish_reason": inference_pb2.FINISH_REASON_REASONING}
    gateway.answers["Generate"] = [
        STARTED,
        *(inference_pb2.GenerateResponse(completion=completion) for completion in (thought, only)),  # type: ignore[arg-type]
        ANSWERS[-1],
    ]
    choices = (await chat(http, n=2)).json()["choices"]
    assert [(each["message"]["content"], each["message"]["reasoning_content"]) for each in choices] == [
        ("A dog.", "It barks."),
        ("", "It"),
    ]
    assert [each["finish_reason"] for each in choices] == ["stop", "length"]
    events = [data for _, data in await http.events("POST", "/v1/chat/completions", json=question(n=2, stream=True))]
    assert events[0]["choices"][0]["delta"]["reasoning_content"] == "It barks."
    gateway.answers["Generate"] = ANSWERS
    assert "reasoning_content" not in (await chat(http)).json()["choices"][0]["message"]


async def test_a_seed_gives_each_completion_the_designs_seed(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["Generate"] = ANSWERS
    await chat(http, n=2, seed=5)
    assert [sample.seed for sample in gateway.requests[0].samples] == [completion_seed(5, i, "") for i in (0, 1)]
    assert not gateway.requests[0].HasField("image")
    await chat(http)
    await chat(http)
    drawn = [request.samples[0].seed for request in gateway.requests[1:]]
    assert drawn[0] != drawn[1]


async def test_what_is_not_given_is_left_to_the_models_defaults_and_told(http: Api, gateway: FakeGateway) -> None:
    first = {"index": 0, "text": "First.", "temperature": 0.25}
    used = {"prompt_tokens": 11, "model": {"name": "m"}, "top_p": 0.9, "max_tokens": 40}
    gateway.answers["Generate"] = [
        STARTED, inference_pb2.GenerateResponse(completion=first), inference_pb2.GenerateResponse(summary=used),
    ]  # fmt: skip
    answer = (await chat(http)).json()
    asked = gateway.requests[0]
    assert asked.default_temperature
    assert not asked.HasField("top_p")
    assert not asked.HasField("max_tokens")
    sampling = {"temperature": 0.25, "top_p": 0.9, "max_tokens": 40}
    assert answer["sampling"] == sampling
    body = question(temperature=0, stream=True, stream_options={"include_usage": True})
    events = [data for _, data in await http.events("POST", "/v1/chat/completions", json=body)]
    assert events[-2]["sampling"] == events[-3]["sampling"] == sampling
    assert not gateway.requests[1].default_temperature
    gateway.answers["Generate"] = ANSWERS
    assert (await chat(http)).json()["sampling"] == {"temperature": 0.0}


async def test_a_stream_of_an_earlier_server_has_each_completion_whole_and_counts_on_request(
    http: Api, gateway: FakeGateway
) -> None:
    gateway.answers["Generate"] = ANSWERS
    body = question(n=2, stream=True, stream_options={"include_usage": True})
    events = [data for _, data in await http.events("POST", "/v1/chat/completions", json=body)]
    assert events[-1] == "[DONE]"
    assert events[-2]["usage"]["total_tokens"] == 16
    choices = [event["choices"][0] for event in events[:-2]]
    assert [choice["index"] for choice in choices] == [1, 1, 0, 0]
    assert choices[0]["delta"] == {"role": "assistant", "content": "Second."}
    assert [choice["finish_reason"] for choice in choices] == [None, "length", None, "stop"]
    plain = await http.events("POST", "/v1/chat/completions", json=question(stream=True))
    assert all("usage" not in data for _, data in plain[:-1])


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"messages": []}, "messages", "invalid value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "one of"),
        ({"tools": [{"type": "function"}]}, "tools", "tools: is not supported"),
        ({"presence_penalty": 0.1}, "presence_penalty", "is not supported"),
        ({"stop": [3]}, "stop[0]", "must be text"),
        ({"logprobs": True}, "logprobs", "is not supported"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "one of"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is missing"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "is missing",
        ),
        ({"temprature": 1}, "temprature", "did you mean temperature?"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "differs"),
        ({"seed": -2}, "seed", "at least 0"),
    ],
)
async def test_what_is_not_offered_is_refused_by_name(http: Api, fields: dict[str, Any], field: str, says: str) -> None:
    response = await chat(http, **fields)
    assert response.status_code == 400
    assert response.json()["violations"][0]["field"] == field
    assert says in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"


def delta(index: int, text: str = "", reasoning: str = "") -> inference_pb2.GenerateResponse:
    return inference_pb2.GenerateResponse(delta={"index": index, "text": text, "reasoning": reasoning})


async def test_a_stream_sends_text_as_it_comes(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["Generate"] = [
        STARTED, delta(1, reasoning="Hm."), delta(1, "Sec"), delta(0, "First."), delta(1, "ond."), *ANSWERS[1:],
    ]  # fmt: skip
    body = question(n=2, stream=True)
    choices = [
        data["choices"][0]
        for _, data in await http.events("POST", "/v1/chat/completions", json=body)
        if data != "[DONE]"
    ]
    assert gateway.requests[0].text_deltas
    assert [(each["index"], each["delta"], each["finish_reason"]) for each in choices] == [
        (1, {"role": "assistant", "content": "", "reasoning_content": "Hm."}, None),
        (1, {"content": "Sec"}, None),
        (0, {"role": "assistant", "content": "First."}, None),
        (1, {"content": "ond."}, None),
        (1, {}, "length"),
        (0, {}, "stop"),
    ]
    await chat(http)
    assert not gateway.requests[1].text_deltas


async def test_a_token_count_over_the_limit_is_lowered_and_said(http: Api, gateway: FakeGateway) -> None:
    used = {"prompt_tokens": 11, "model": {"name": "m"}, "max_tokens": 40}
    gateway.answers["Generate"] = [*ANSWERS[:-1], inference_pb2.GenerateResponse(summary=used)]
    answer = (await chat(http, max_tokens=8192)).json()
    assert gateway.requests[0].lower_max_tokens
    assert answer["notices"] == ["max_tokens 8,192 is over the limit of this model; 40 was used"]
    body = question(max_completion_tokens=8192, stream=True)
    events = [data for _, data in await http.events("POST", "/v1/chat/completions", json=body)]
    assert events[-2]["notices"] == ["max_completion_tokens 8,192 is over the limit of this model; 40 was used"]
    assert "notices" not in (await chat(http, max_tokens=40)).json()


@pytest.mark.parametrize("fields", [{"tools": []}, {"frequency_penalty": 0.0}, {"stop": None}, {"user": "me"}])
async def test_what_asks_for_nothing_is_taken(http: Api, gateway: FakeGateway, fields: dict[str, Any]) -> None:
    gateway.answers["Generate"] = ANSWERS
    assert (await chat(http, **fields)).status_code == 200


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([{"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg"}}], "never fetched"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}], "not base64"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}], "empty"),
        ([{"type": "text"}], "must have text"),
        ([{"type": "image_url"}], "must have image_url"),
    ],
)
async def test_a_picture_must_be_in_the_request(http: Api, content: Any, says: str) -> None:
    response = await chat(http, messages=[{"role": "user", "content": content}])
    assert response.status_code == 400
    assert says in response.json()["detail"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("samples[1].temperature", "temperature"),
        ("samples", "n"),
        ("messages[1].text", "messages[1].content"),
        ("image.data", "messages"),
        ("max_tokens", "max_completion_tokens"),
    ],
)
async def test_errors_of_the_model_name_the_fields_as_the_caller_does(
    http: Api, gateway: FakeGateway, given: str, named: str
) -> None:
    gateway.answers["Generate"] = InvalidArgument(given, "is wrong")
    response = (await chat(http, max_completion_tokens=9)).json()
    assert (response["violations"][0]["field"], response["error"]["param"]) == (named, named)


async def test_errors_have_the_statuses_that_openais_clients_know(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["Generate"] = NotFound("model", "there is no model", reason="MODEL_UNKNOWN")
    assert (await chat(http)).status_code == 404
    gateway.answers["Generate"] = ResourceExhausted("full", reason="QUEUE_FULL", retry_after_s=1)
    full = await chat(http, stream=True)
    assert (full.status_code, full.json()["error"]["type"]) == (429, "rate_limit_error")
    gateway.answers["Generate"] = [STARTED, ANSWERS[1]]
    cut = await chat(http)
    assert (cut.status_code, cut.json()["reason"]) == (500, "ANSWER_INCOMPLETE")
    events = await http.events("POST", "/v1/chat/completions", json=question(stream=True))
    assert events[-1][1]["error"]["code"] == "answer_incomplete"


async def test_models_are_listed_in_openais_form_with_more(http: Api, gateway: FakeGateway) -> None:
    model = {
        "name": "org/llava",
        "engine": "vllm",
        "max_samples": 16,
        "accepts_images": True,
        "max_images": 4,
        "structured_answers": True,
        "max_context_tokens": 4096,
    }
    gateway.answers["ListModels"] = gateway_pb2.ListModelsResponse(
        models=[{"model": model, "available": True, "address": "a:1"}, {"address": "b:2"}],
        prompts=[{"id": "detect/baseline", "text": "Identify"}],
    )
    listed = (await http.get("/v1/models")).json()
    assert (listed["object"], listed["silent"], len(listed["data"])) == ("list", ["b:2"], 1)
    assert listed["data"][0]["id"] == "org/llava"
    card = listed["data"][0]
    assert (card["max_samples"], card["max_images"], card["structured_answers"]) == (16, 4, True)
    assert card["max_model_len"] == card["max_context_tokens"] == 4096  # vLLM's name, which clients look for
    assert (await http.get("/v1/models/org/llava")).json() == listed["data"][0]
    assert (await http.get("/v1/models/other")).json()["reason"] == "MODEL_UNKNOWN"
    assert (await http.get("/v1/prompts")).json()["prompts"][0]["id"] == "detect/baseline"
    assert json.dumps(listed)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/responses", "Responses API"),
        ("/v1/completions", "/v1/chat/completions"),
        ("/v1/messages", "Anthropic"),
        ("/api/chat", "Ollama"),
        ("/chat/completions", "end the client's base URL with /v1"),
    ],
)
async def test_an_address_of_another_interface_says_what_to_set_instead(http: Api, path: str, says: str) -> None:
    response = await http.post(path, json={"model": "m", "input": "What?", "stream": True})
    assert (response.status_code, response.json()["reason"]) == (404, "OTHER_INTERFACE")
    assert says in response.json()["detail"]
    assert says in response.json()["error"]["message"]
    assert path not in (await http.get("/openapi.json")).json()["paths"]


async def test_openais_client_is_told_that_responses_are_not_offered(http: Api) -> None:
    """As Home Assistant's own OpenAI integration asks."""
    async with openai.AsyncOpenAI(base_url=f"{http.base_url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="set the client to use chat completions") as refused:
            await client.responses.create(model="m", input="What?", stream=True)
    assert refused.value.code == "other_interface"
