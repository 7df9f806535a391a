"""Chat requests as clients send them: shapes of messages and pictures, roles, fields that ask for nothing."""

import base64
from typing import Any

import pytest

from axia.prompts import load_prompts
from axia.v1 import inference_pb2
from services.serving.errors import InvalidArgument
from tests.support.http_api import Api, FakeGateway
from tests.support.pictures import photograph

PICTURE, OTHER = photograph(3, (64, 48)), photograph(4, (64, 48))
TEXT64 = base64.b64encode(PICTURE).decode()
URL = f"data:image/jpeg;base64,{TEXT64}"
ANSWERS = [
    inference_pb2.GenerateResponse(started={}),
    inference_pb2.GenerateResponse(completion={"text": "A child."}),
    inference_pb2.GenerateResponse(summary={"model": {"name": "m"}}),
]
ASK = {"type": "text", "text": "What needs attention?"}
SYSTEM, USER, ASSISTANT = inference_pb2.ROLE_SYSTEM, inference_pb2.ROLE_USER, inference_pb2.ROLE_ASSISTANT


def image(data: bytes = PICTURE, **more: Any) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url, **more}}


def turns(*said: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in said]


async def post(http: Api, messages: Any, **more: Any) -> Any:
    return await http.post("/v1/chat/completions", json={"model": "m", "messages": messages, **more})


async def asked(http: Api, gateway: FakeGateway, messages: Any, **more: Any) -> inference_pb2.GenerateRequest:
    """What the model is asked; the request must be answered."""
    gateway.answers["Generate"] = ANSWERS
    response = await post(http, messages, **more)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "A child."
    found: inference_pb2.GenerateRequest = gateway.requests[-1]
    return found


def said(request: inference_pb2.GenerateRequest) -> list[tuple[int, str]]:
    return [(message.role, message.text) for message in request.messages]


SPELLINGS = {
    "padded": URL,
    "unpadded": URL.rstrip("="),
    "trailing_newline": f"{URL}\n",
    "wrapped": "data:image/jpeg;base64," + "\n".join(TEXT64[i : i + 76] for i in range(0, len(TEXT64), 76)),
    "wrapped_crlf": "data:image/jpeg;base64," + "\r\n".join(TEXT64[i : i + 64] for i in range(0, len(TEXT64), 64)),
    "space_after_comma": URL.replace(",", ", "),
    "urlsafe": "data:image/jpeg;base64," + base64.urlsafe_b64encode(PICTURE).decode(),
    "wrong_mime": URL.replace("jpeg", "png"),
    "star_mime": URL.replace("jpeg", "*"),
    "no_mime": URL.replace("image/jpeg", ""),
    "octet_stream": URL.replace("image/jpeg", "application/octet-stream"),
    "charset": URL.replace("jpeg;", "jpeg;charset=utf-8;"),
    "raw_base64": TEXT64,
    "upper_case": URL.replace("data:image", "DATA:IMAGE"),
    "percent_encoded": URL.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
}


@pytest.mark.parametrize("url", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("as_object", [True, False])
async def test_a_picture_is_taken_however_its_base64_is_written(
    http: Api, gateway: FakeGateway, url: str, *, as_object: bool
) -> None:
    part = {"type": "image_url", "image_url": {"url": url} if as_object else url}
    assert (await asked(http, gateway, turns(("user", [ASK, part])))).image.data == PICTURE


async def test_a_picture_whose_plus_signs_became_spaces_is_refused_with_why(http: Api) -> None:
    assert "+" in TEXT64
    response = await post(http, turns(("user", [image(), {"type": "image_url", "image_url": URL.replace("+", " ")}])))
    assert response.json()["violations"][0]["field"] == "messages[0].content[1].image_url.url"
    assert "%2B" in response.json()["detail"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (turns(("user", "What?"), ("user", "And why?")), [(USER, "What?\n\nAnd why?")]),
        (
            turns(("system", "You help."), ("developer", "Be short."), ("user", "What?")),
            [(SYSTEM, "You help.\n\nBe short."), (USER, "What?")],
        ),
        (turns(("system", ""), ("user", "What?")), [(USER, "What?")]),
        (turns(("system", None), ("user", "What?")), [(USER, "What?")]),
        (turns(("user", "What?"), ("assistant", ""), ("user", "Why?")), [(USER, "What?\n\nWhy?")]),
        (turns(("user", "What?"), ("assistant", None), ("user", "Why?")), [(USER, "What?\n\nWhy?")]),
        (
            turns(("system", [{"type": "text", "text": "Help."}]), ("user", "What?")),
            [(SYSTEM, "Help."), (USER, "What?")],
        ),
        (turns(("user", ["What is", ASK])), [(USER, "What is\nWhat needs attention?")]),
        (turns(("user", [{"type": "text", "text": ""}, ASK])), [(USER, "What needs attention?")]),
        (turns(("user", [{"type": "text", "text": None}, ASK])), [(USER, "What needs attention?")]),
        (turns(("user", [{"text": "What?"}])), [(USER, "What?")]),
        (turns(("user", [{**ASK, "image_url": {"url": ""}}])), [(USER, "What needs attention?")]),
    ],
)
async def test_messages_are_joined_and_dropped_until_roles_take_turns(
    http: Api, gateway: FakeGateway, messages: Any, expected: Any
) -> None:
    assert said(await asked(http, gateway, messages)) == expected


async def test_an_answer_can_be_sent_back_as_clients_hold_it(http: Api, gateway: FakeGateway) -> None:
    held = {
        "role": "assistant", "content": "A stove.", "refusal": None, "annotations": [], "audio": None,
        "function_call": None, "tool_calls": None, "reasoning_content": "Hm.", "id": 7, "opts": {"visible": False},
    }  # fmt: skip
    refusal = {"role": "assistant", "content": None, "refusal": "I can't say."}
    listed = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    why = {"role": "user", "content": "Why?", "name": "Ann"}
    thoughts = [{"type": "thinking", "thinking": "Hm."}, {"type": "reasoning", "text": "Hm."}]
    thought = {"role": "assistant", "content": [*thoughts, {"type": "text", "text": "Heat."}]}
    messages = [*turns(("user", [ASK, image()])), held, why, refusal, why, listed, why, thought, why]
    found = await asked(http, gateway, messages)
    assert [text for role, text in said(found) if role == ASSISTANT] == ["A stove.", "I can't say.", "No.", "Heat."]


@pytest.mark.parametrize(
    ("messages", "field", "says"),
    [
        (turns(("user", "What?"), ("system", "Be short."), ("user", "Why?")), "messages[1]", "come before"),
        (turns(("tool", "3")), "messages[0].role", "one of"),
        ([{"role": "user", "content": "What?", "images": [TEXT64]}], "messages[0].images", "Ollama"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "messages[0].tool_calls", "not supported"),
        (turns(("user", [{"type": "input_image", "image_url": URL}])), "messages[0].content[0]", "Responses"),
        (turns(("user", [ASK, {"type": "image", "source": {}}])), "messages[0].content[1]", "Anthropic"),
        (turns(("user", [ASK, {"type": "video_url"}])), "messages[0].content[1].type", "one of text or image_url"),
        (turns(("system", [image()]), ("user", "What?")), "messages[0].content[0]", "must be in a user message"),
        (turns(("user", [{"type": "image_url", "image_url": "data:image/png,x"}])),
         "messages[0].content[0].image_url.url", ";base64,"),
        (turns(("user", [{"type": "image_url", "image_url": "home.jpg"}])),
         "messages[0].content[0].image_url.url", "never fetched"),
        (turns(("user", [{"type": "image_url", "image_url": f"data:image/png;base64,{URL}"}])),
         "messages[0].content[0].image_url.url", "twice"),
        (turns(("user", [{"type": "image_url", "image_url": f"data:image/png;base64,b'{TEXT64}'"}])),
         "messages[0].content[0].image_url.url", "decode()"),
        (turns(("user", ASK)), "messages[0].content", "a text or a list"),
        (turns(("user", [{"type": "text", "content": "What?"}])), "messages[0].content[0]", "must have text"),
    ],
)  # fmt: skip
async def test_what_is_not_taken_is_refused_by_its_place_and_shape(
    http: Api, messages: Any, field: str, says: str
) -> None:
    response = await post(http, messages)
    assert response.status_code == 400
    assert [violation["field"] for violation in response.json()["violations"]] == [field]
    assert response.json()["error"]["param"] == field
    assert says in response.json()["detail"]


@pytest.mark.parametrize("part", [{"image_url": {"url": URL}}, {"type": "image_url", "image_url": URL, "text": ""}])
async def test_a_part_says_what_it_is_by_the_field_that_holds_something(
    http: Api, gateway: FakeGateway, part: dict[str, Any]
) -> None:
    assert (await asked(http, gateway, turns(("user", [ASK, part])))).image.data == PICTURE


async def test_numbers_may_be_written_with_a_point(http: Api, gateway: FakeGateway) -> None:
    found = await asked(http, gateway, turns(("user", [ASK, image()])), n=1.0, max_tokens=30.0, seed=5.0)
    assert (len(found.samples), found.max_tokens) == (1, 30)
    assert (
        found.samples[0].seed == (await asked(http, gateway, turns(("user", [ASK, image()])), seed=5)).samples[0].seed
    )


async def test_no_bound_on_tokens_is_the_models_own_and_is_told(http: Api, gateway: FakeGateway) -> None:
    told = [*ANSWERS[:-1], inference_pb2.GenerateResponse(summary={"model": {"name": "m"}, "max_tokens": 1024})]
    gateway.answers["Generate"] = told
    response = await post(http, turns(("user", "What?")), max_tokens=-1)
    assert response.json()["notices"] == ["max_tokens sets no limit; 1,024 was used"]
    assert (gateway.requests[-1].max_tokens, gateway.requests[-1].lower_max_tokens) == (2**31 - 1, True)


async def test_a_picture_without_text_gets_the_default_prompt(http: Api, gateway: FakeGateway) -> None:
    found = await asked(http, gateway, turns(("user", [image(detail="high")])))
    assert said(found) == [(USER, load_prompts()["detect/baseline"].text)]
    assert found.image.data == PICTURE


async def test_a_picture_may_be_in_any_turn_of_the_user(http: Api, gateway: FakeGateway) -> None:
    found = await asked(http, gateway, turns(("user", "Hello"), ("assistant", "Hi."), ("user", [ASK, image()])))
    assert not found.HasField("image")
    assert [(image.image.data, image.after_chars) for image in found.messages[2].images] == [
        (PICTURE, len(ASK["text"]))
    ]


async def test_several_pictures_keep_their_order_and_places(http: Api, gateway: FakeGateway) -> None:
    labelled = [{"type": "text", "text": "Image 1:"}, image(), {"type": "text", "text": "Image 2:"}, image(OTHER), ASK]
    messages = turns(("system", "You watch."), ("user", labelled), ("assistant", "A stove."), ("user", [image()]))
    found = await asked(http, gateway, messages, seed=5)
    assert found.messages[1].text == "Image 1:\nImage 2:\nWhat needs attention?"
    assert [(image.image.data, image.after_chars) for image in found.messages[1].images] == [
        (PICTURE, len("Image 1:")),
        (OTHER, len("Image 1:\nImage 2:")),
    ]
    assert [image.image.data for image in found.messages[3].images] == [PICTURE]
    alone = await asked(http, gateway, turns(("user", [image(), ASK])), seed=5)
    assert alone.samples[0].seed != found.samples[0].seed


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("messages[0].images[1].image.data", "messages[1].content[0].image_url.url"),
        ("messages[1].text", "messages[2].content"),
        ("messages[2].role", "messages[4].role"),
        ("answer_format.json_schema", "response_format.json_schema.schema"),
        ("answer_format", "response_format"),
        ("stop[0]", "stop[0]"),
    ],
)
async def test_errors_about_joined_messages_and_pictures_name_the_callers(
    http: Api, gateway: FakeGateway, given: str, named: str
) -> None:
    gateway.answers["Generate"] = InvalidArgument(given, "is wrong")
    messages = turns(
        ("user", [ASK, image()]), ("user", [image(OTHER)]), ("assistant", "A stove."), ("system", ""), ("user", "Why?")
    )
    held = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    response = await post(http, messages, response_format=held, stop="x")
    assert response.json()["error"]["param"] == named


IGNORED: dict[str, Any] = {
    "min_p": 0.0, "reasoning_effort": None, "modalities": ["text"], "prediction": None, "web_search_options": None,
    "keep_alive": "5m", "skip_special_tokens": True, "ignore_eos": False, "cache_prompt": True, "functions": [],
    "function_call": "none", "frequency_penalty": 0.0, "user": "robot-1", "store": False, "metadata": {"a": "b"},
    "service_tier": "auto", "stop": [], "logit_bias": None, "n": 1, "echo": False, "top_k": None, "temperature": None,
    "max_tokens": None, "stream": None, "stream_options": None, "seed": -1, "tools": None, "response_format": None,
    "provider": {"require_parameters": True}, "best_of": None, "unknown": None, "unknown_too": {}, "safe_prompt": False,
    "plugins": [], "ttl": 300, "num_ctx": 2048, "reasoning_format": "auto",
    "litellm_metadata": {"a": "b"}, "max_retries": 2, "thinking": {},
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), IGNORED.items(), ids=IGNORED)
async def test_fields_that_ask_for_nothing_or_change_no_answer_are_ignored(
    http: Api, gateway: FakeGateway, name: str, value: Any
) -> None:
    messages = turns(("user", [ASK, image()]))
    with_field, without = await asked(http, gateway, messages, **{name: value}), await asked(http, gateway, messages)
    for request in (with_field, without):
        request.ClearField("samples")  # their seeds are drawn
    assert with_field == without


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 20), ("repetition_penalty", 1.05), ("chat_template_kwargs", {"enable_thinking": False}),
        ("verbosity", "low"), ("options", {"num_ctx": 4096}), ("think", False), ("presence_penalty", 0.1), ("seed", -2),
        ("reasoning_effort", "low"), ("guided_json", {}), ("enable_thinking", False),
        ("thinking", {"type": "disabled"}),
        ("vl_high_resolution_images", True), ("max_tokens", 0), ("max_tokens", 1.5),
    ],
)  # fmt: skip
async def test_fields_that_would_change_an_answer_are_refused_by_name(http: Api, name: str, value: Any) -> None:
    response = await post(http, turns(("user", "What?")), **{name: value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)


async def test_stops_and_formats_reach_the_model(http: Api, gateway: FakeGateway) -> None:
    what = turns(("user", "What?"))
    assert list((await asked(http, gateway, what, stop="END")).stop) == ["END"]
    assert list((await asked(http, gateway, what, stop=["a", "", "b"])).stop) == ["a", "b"]
    anything = await asked(http, gateway, what, response_format={"type": "json_object"})
    assert anything.answer_format.json_schema == '{"type": "object"}'
    schema = {"type": "object", "properties": {"título": {"enum": ["a", None]}}, "additionalProperties": False}
    held = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    found = await asked(http, gateway, what, response_format=held)
    assert found.answer_format.json_schema.startswith(
        '{"type": "object", "properties": {"título": {"enum": ["a", null]'
    )
    assert not (await asked(http, gateway, what, response_format={"type": "text"})).HasField("answer_format")
    for kind in ("json_object", "json_schema"):  # as llama.cpp and others have it
        beside = await asked(http, gateway, what, response_format={"type": kind, "schema": schema})
        assert beside.answer_format.json_schema == found.answer_format.json_schema


async def test_half_a_character_in_a_message_is_named(http: Api) -> None:
    body = rb'{"model": "m", "messages": [{"role": "user", "content": "a \ud83d"}]}'
    headers = {"content-type": "application/json"}
    response = await http.post("/v1/chat/completions", content=body, headers=headers)
    assert response.json()["error"]["param"] == "messages[0].content"
    assert response.json()["reason"] == "LONE_SURROGATE"


SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "confidence": {"type": "number"}},
    "required": ["title", "confidence"],
    "additionalProperties": False,
}


def as_frigate_sends() -> dict[str, Any]:
    """A review of several frames with captions, held to a schema; blakeblackshear/frigate, frigate/genai/openai.py."""
    content: list[Any] = [ASK]
    for index, data in enumerate((PICTURE, OTHER, PICTURE)):
        content += [{"type": "text", "text": f"Frame {index}"}, image(data, detail="low")]
    held = {"type": "json_schema", "json_schema": {"name": "review", "strict": True, "schema": SCHEMA}}
    return {"messages": turns(("user", content)), "model": "m", "response_format": held}


def as_frigate_of_2024_sends() -> dict[str, Any]:
    """The same project's first form: pictures, then the prompt as a bare text in the list."""
    return {"messages": turns(("user", [image(detail="low"), image(OTHER, detail="low"), "What moved?"])), "model": "m"}


def as_llm_vision_sends() -> dict[str, Any]:
    """Pictures to remember and labelled pictures in two messages; valentinfrlch/ha-llmvision, providers.py."""
    remembered = [{"type": "text", "text": "This is the postman"}, image(OTHER)]
    asked_about = [{"type": "text", "text": "Image 1:"}, image(), {"type": "text", "text": "Who is it?"}]
    messages = turns(("system", "You look at cameras."), ("user", remembered), ("user", asked_about))
    held = {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA, "strict": True}}
    return {
        "model": "m", "messages": messages, "max_completion_tokens": 3000, "temperature": 0.2, "top_p": 0.9,
        "stream": False, "response_format": held,
    }  # fmt: skip


def as_home_assistant_sends() -> dict[str, Any]:
    """A task with an attachment, as home-assistant/core's components for chat completions (open_router) send it."""
    attached = [{"type": "text", "text": "Describe it."}, {"type": "image_url", "image_url": {"url": URL}}]
    held = {"type": "json_schema", "json_schema": {"name": "task", "strict": True, "schema": SCHEMA}}
    return {
        "model": "m", "user": "01JB", "messages": turns(("system", "You help at home."), ("user", attached)),
        "response_format": held, "provider": {"require_parameters": True}, "stream": True,
    }  # fmt: skip


def as_llm_vision_of_2024_sends() -> dict[str, Any]:
    """The same integration before it held answers to a schema, as many installations still have it."""
    content = [{"type": "text", "text": "Image 1:"}, image(detail="low"), {"type": "text", "text": "camera.door:"}]
    messages = turns(("user", [*content, image(OTHER, detail="low"), {"type": "text", "text": "Who is it?"}]))
    return {"model": "m", "messages": messages, "max_tokens": 100, "temperature": 0.5}


def as_home_assistant_goes_on() -> dict[str, Any]:
    """The same conversation a turn later: the answer as it was held, and a question in text alone."""
    first = as_home_assistant_sends()
    answered = {"role": "assistant", "content": "A stove."}
    more = [answered, {"role": "user", "content": "Is it on?"}]
    body = first | {"messages": first["messages"] + more}
    del body["response_format"]
    return body


def as_an_sdk_sends_what_is_not_set() -> dict[str, Any]:
    """Every field that has no value as null, and those of OpenAI's newer interface beside them."""
    system = {"role": "developer", "content": [{"type": "text", "text": "You watch."}], "name": None}
    said = {"role": "assistant", "content": "Hello.", "tool_calls": None, "refusal": None, "audio": None}
    messages = [system, *turns(("user", "Hello")), said, *turns(("user", [ASK, image(detail="low")]))]
    null: dict[str, Any] = dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "stop", "seed", "temperature", "top_p", "stream_options", "tools")
    )
    return {"model": "m", "messages": messages, "n": 1, "user": "robot-1", "stream": False, **null}


@pytest.mark.parametrize(
    ("body", "pictures"),
    [
        (as_frigate_sends(), 3),
        (as_frigate_of_2024_sends(), 2),
        (as_llm_vision_sends(), 2),
        (as_llm_vision_of_2024_sends(), 2),
        (as_home_assistant_sends(), 1),
        (as_home_assistant_goes_on(), 1),
        (as_an_sdk_sends_what_is_not_set(), 1),
    ],
)
async def test_bodies_of_known_clients_are_answered(
    http: Api, gateway: FakeGateway, body: dict[str, Any], pictures: int
) -> None:
    gateway.answers["Generate"] = ANSWERS
    response = await http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    found = gateway.requests[0]
    assert found.HasField("image") + sum(len(message.images) for message in found.messages) == pictures
    assert [message.role for message in found.messages][-1] == USER
    assert found.HasField("answer_format") == ("response_format" in body)


async def test_a_conversation_that_ends_with_the_assistant_is_refused_by_that_message(
    http: Api, gateway: FakeGateway
) -> None:
    """As clients send that want an answer continued; the model's server refuses it."""
    gateway.answers["Generate"] = InvalidArgument("messages[2].role", "the last message must be a user message")
    messages = turns(("user", [ASK, image()]), ("user", "Why?"), ("assistant", "Because"), ("assistant", " of"))
    response = await post(http, [*turns(("system", "Help.")), *messages])
    assert response.json()["error"]["param"] == "messages[3].role"
    assert "must be a user message" in response.json()["error"]["message"]
