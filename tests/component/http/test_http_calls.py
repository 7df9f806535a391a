import base64
import json

import pytest

from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2
from gateway.http.transcoding.calls import CALLS
from services.serving.errors import InvalidArgument, ResourceExhausted
from tests.support.http_api import Api, FakeGateway, http_api
from tests.support.pictures import photograph

PICTURE = photograph(1, (64, 48))
BASE64 = base64.b64encode(PICTURE).decode()


async def test_a_picture_in_base64_reaches_the_gateway_with_its_fields(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["DetectValues"] = gateway_pb2.DetectValuesResponse(
        model="m", completions=[inference_pb2.Completion(index=0, seed=2**53 - 1, first_sentence="Ein Kind über")]
    )
    body = {"image": {"data": BASE64}, "n": 2, "temperatures": [0, 0.5], "seed": "9007199254740991", "prompt_text": "é"}
    response = await http.post("/v1/detect", json=body)
    assert response.status_code == 200, response.text
    asked = gateway.requests[0]
    assert (asked.image.data, asked.n, list(asked.temperatures)) == (PICTURE, 2, [0.0, 0.5])
    assert (asked.seed, asked.prompt_text, asked.HasField("temperature")) == (2**53 - 1, "é", False)
    answer = response.json()
    assert answer["completions"][0]["seed"] == "9007199254740991"  # 64-bit integers are text in protobuf's mapping
    assert answer["completions"][0]["finish_reason"] == "FINISH_REASON_UNSPECIFIED"
    assert answer["consensus"] == ""
    assert answer["groups"] == []
    assert "alignment" not in answer


async def test_answers_say_what_is_kept_of_a_request(http: Api, gateway: FakeGateway) -> None:
    assert (await http.post("/v1/detect", json={"image": {"data": BASE64}})).headers["axia-retention"] == "memory"
    assert (await http.post("/v1/detect", json={"n": "x"})).headers["axia-retention"] == "memory"
    assert (await http.get("/v1/stats")).headers["axia-retention"] == "none"
    assert (await http.post("/v1/images", files={"image": PICTURE})).headers["axia-retention"] == "stored"
    assert "axia-retention" not in (await http.get("/healthz")).headers


async def test_a_form_takes_the_file_and_fields_one_by_one_or_as_json(http: Api, gateway: FakeGateway) -> None:
    files = {"image": ("home.png", PICTURE, "image/png")}
    fields = {"n": "2", "temperatures": ["0", "1.5"], "full_text": "true", "prompt_text": "3", "seed": "7"}
    assert (await http.post("/v1/detect", files=files, data=fields)).status_code == 200
    whole = {"n": 2, "temperatures": [0, 1.5], "full_text": True, "prompt_text": "3", "seed": 7}
    assert (await http.post("/v1/detect", files=files, data={"request": json.dumps(whole)})).status_code == 200
    assert gateway.requests[0] == gateway.requests[1]
    assert gateway.requests[0].image.data == PICTURE


async def test_a_form_with_several_files_judges_several_pictures(http: Api, gateway: FakeGateway) -> None:
    files = [("image", ("a.png", PICTURE)), ("image", ("b.png", PICTURE[:-1]))]
    data = {"traits": ["I love the sea.", "I work."], "strategy": "INTEREST_STRATEGY_ISQ"}
    assert (await http.post("/v1/interest", files=files, data=data)).status_code == 200
    asked = gateway.requests[0]
    assert [each.image.data for each in asked.pictures] == [PICTURE, PICTURE[:-1]]
    assert (list(asked.traits), asked.strategy) == (["I love the sea.", "I work."], 2)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"temprature": 1}, "temprature", "did you mean temperature?"),
        ({"n": "two"}, "n", "whole number"),
        ({"n": 2.5}, "n", "whole number"),
        ({"n": 2**40}, "n", "at most 2147483647"),
        ({"seed": 2**63}, "seed", "64 bits"),
        ({"seed": "1e5"}, "seed", "whole number"),
        ({"top_p": "high"}, "top_p", "a number"),
        ({"full_text": "yes"}, "full_text", "true or false"),
        ({"temperatures": 1}, "temperatures", "a list"),
        ({"temperatures": [1, "x"]}, "temperatures[1]", "a number"),
        ({"image": "x"}, "image", "an object"),
        ({"image": {"data": "*"}}, "image.data", "base64"),
        ({"image": {"data": f"data:image/png,{BASE64}"}}, "image.data", "must have ;base64,"),
        ({"image": {"data": "AAAA AAAA"}}, "image.data", "has spaces and no +"),
        ({"prompt_id": "a", "prompt_text": "b"}, "body", "only one of prompt_id, prompt_text"),
        ({"ground_truth": {"judge": "ME"}}, "ground_truth.judge", "JUDGE_LEXICAL"),
    ],
)
async def test_a_wrong_field_is_named_with_what_would_be_right(
    http: Api, gateway: FakeGateway, body: object, field: str, says: str
) -> None:
    response = await http.post("/v1/detect", json=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert [violation["field"] for violation in problem["violations"]] == [field]
    assert says in problem["violations"][0]["description"]
    assert (problem["code"], problem["reason"]) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert gateway.requests == []


BROKEN = "body: is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"


async def test_a_body_that_is_no_json_or_of_another_type_is_refused(http: Api) -> None:
    broken = await http.post("/v1/search/text", content=b"{", headers={"content-type": "application/json"})
    assert (broken.status_code, broken.json()["detail"]) == (400, BROKEN)
    other = await http.post("/v1/search/text", content=b"hello", headers={"content-type": "text/plain"})
    assert (other.status_code, other.json()["reason"]) == (415, "WRONG_MEDIA_TYPE")
    form = await http.post("/v1/detect", content=b"x", headers={"content-type": "multipart/form-data"})
    assert (form.status_code, form.json()["reason"]) == (400, "UNREADABLE_FORM")
    text = await http.post("/v1/detect", files={"other": b"x"})
    assert (text.status_code, text.json()["violations"][0]["field"]) == (400, "other")
    twice = await http.post("/v1/detect", files={"image": PICTURE}, data={"request": "{}", "n": "1"})
    assert twice.json()["reason"] == "FIELDS_TWICE"


@pytest.mark.parametrize(
    "spelling",
    [
        BASE64,
        BASE64.rstrip("="),
        f"{BASE64}\n",
        "\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)),
        "\r\n ".join(BASE64[i : i + 64] for i in range(0, len(BASE64), 64)),
        base64.urlsafe_b64encode(PICTURE).decode(),
        f"data:image/jpeg;charset=utf-8;base64, {BASE64}",
        f"DATA:;base64,{BASE64}",
    ],
)
async def test_base64_is_taken_as_clients_write_it(http: Api, gateway: FakeGateway, spelling: str) -> None:
    response = await http.post("/v1/detect", json={"image": {"data": spelling}})
    assert response.status_code == 200, response.text
    assert gateway.requests[0].image.data == PICTURE


async def test_half_a_character_is_named_wherever_it_is(http: Api, gateway: FakeGateway) -> None:
    json_type = {"content-type": "application/json"}
    alone = await http.post("/v1/search/text", content=rb'{"query": "a \ud83d hug"}', headers=json_type)
    assert (alone.status_code, alone.json()["violations"][0]["field"]) == (400, "query")
    assert "half of a surrogate pair" in alone.json()["detail"]
    form = {"request": r'{"prompt_text": "\ud83d"}'}
    part = await http.post("/v1/detect", files={"image": PICTURE}, data=form)
    assert (part.status_code, part.json()["violations"][0]["field"]) == (400, "prompt_text")
    no_text = await http.post("/v1/search/text", content=b'{"query": "\xff"}', headers=json_type)
    assert no_text.json()["detail"] == "body: is not UTF-8 from byte 11 on; encode the JSON as UTF-8"
    assert gateway.requests == []


async def test_a_forms_empty_text_part_counts_as_left_out(http: Api, gateway: FakeGateway) -> None:
    """Swagger UI sends every part of a form, those without a text too."""
    files = {"image": ("home.jpg", PICTURE), "request": (None, b"")}
    assert (await http.post("/v1/detect", files=files)).status_code == 200
    assert (await http.post("/v1/detect", files=files | {"n": (None, b"2")})).status_code == 200
    assert [request.n for request in gateway.requests] == [0, 2]
    index = {"image": ("home.jpg", PICTURE), "metadata": (None, b"")}
    assert (await http.post("/v1/images", files=index)).status_code == 200
    assert not gateway.requests[-1].metadata.ByteSize()


async def test_a_body_beyond_the_bound_is_refused_while_it_is_read(gateway: FakeGateway) -> None:
    async def endless() -> object:
        for _ in range(16):
            yield b" " * 2**20

    async with http_api(gateway, max_image_mib=0.1) as http:
        announced = await http.post("/v1/detect", content=b" " * 6 * 2**20)
        assert (announced.status_code, announced.json()["reason"]) == (413, "BODY_TOO_LARGE")
        chunked = await http.post("/v1/detect", content=endless(), headers={"content-type": "application/json"})
        assert (chunked.status_code, chunked.json()["reason"]) == (413, "BODY_TOO_LARGE")
    assert gateway.requests == []


async def test_an_error_of_the_gateway_is_a_problem_with_everything_it_said(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["DetectValues"] = ResourceExhausted(
        "the queue is full", reason="QUEUE_FULL", retry_after_s=1.2, metadata={"queue": "8"}
    )
    response = await http.post("/v1/detect", json={}, headers={"X-Request-Id": "abc"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.headers["x-request-id"] == "abc"
    assert response.json() == {
        "type": "urn:axia:error:QUEUE_FULL",
        "title": "Queue full",
        "status": 429,
        "detail": "the queue is full",
        "code": "RESOURCE_EXHAUSTED",
        "reason": "QUEUE_FULL",
        "violations": [],
        "request_id": "abc",
        "retry_after_s": 1.2,
        "metadata": {"queue": "8"},
    }
    gateway.answers["DetectValues"] = InvalidArgument("image.data", "is damaged", reason="IMAGE_DAMAGED")
    refused = (await http.post("/v1/detect", json={})).json()
    assert refused["violations"] == [{"field": "image.data", "description": "is damaged"}]


async def test_a_fault_tells_nothing_of_itself(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["GetStats"] = RuntimeError("/etc/secret")
    response = await http.get("/v1/stats")
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_the_request_id_and_the_timeout_travel_to_the_gateway(http: Api, gateway: FakeGateway) -> None:
    response = await http.get("/v1/values", headers={"X-Request-Timeout": "7.5"})
    assert gateway.request_ids == [response.headers["x-request-id"]]
    assert gateway.time_remaining is not None
    assert gateway.time_remaining < 8.5  # gRPC rounds a timeout up on its way
    for wrong in ("0", "-1", "nan", "soon", "601"):
        refused = await http.get("/v1/values", headers={"X-Request-Timeout": wrong})
        assert refused.json()["violations"][0]["field"] == "X-Request-Timeout"


async def test_a_deadline_that_passes_and_a_gateway_that_is_gone_have_statuses(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["GetStats"] = [30.0]
    late = await http.get("/v1/stats", headers={"X-Request-Timeout": "0.2"})
    assert (late.status_code, late.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    async with http_api(None) as alone:
        gone = await alone.get("/v1/stats", headers={"X-Request-Timeout": "5"})
        assert (gone.status_code, gone.json()["reason"]) == (503, "GATEWAY_UNREACHABLE")
        assert (await alone.get("/readyz")).status_code == 503
        assert (await alone.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200


async def test_more_requests_than_the_bound_are_refused_with_a_pause(gateway: FakeGateway) -> None:
    gateway.answers["AssessPreference"] = [gateway_pb2.AssessPreferenceResponse(plan={"pictures": 1}), 30.0]
    async with http_api(gateway, max_concurrent_calls=1) as http:
        async with http.stream("POST", "/v1/preference", json={}) as held:
            assert held.status_code == 200
            refused = await http.get("/v1/values")
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_CALLS")
        assert refused.headers["retry-after"] == "1"


async def test_an_unknown_address_and_method_are_problems_too(http: Api) -> None:
    for response, status in ((await http.get("/v1/nothing"), 404), (await http.get("/v1/detect"), 405)):
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("call", [call for call in CALLS if not call.method.server_streaming], ids=lambda c: c.path)
async def test_every_call_of_the_table_reaches_its_method(http: Api, gateway: FakeGateway, call: object) -> None:
    path = call.path.replace("{id}", "some")  # type: ignore[attr-defined]
    response = await http.request(call.verb, path, json={} if call.verb == "POST" else None)  # type: ignore[attr-defined]
    assert response.status_code == 200, response.text
    assert gateway.requests[0].DESCRIPTOR.full_name == call.method.input_type.full_name  # type: ignore[attr-defined]


def test_every_method_of_the_public_services_has_an_address() -> None:
    here = {call.method.full_name for call in CALLS}
    here |= {f"axia.v1.RetrievalService.{name}" for name in ("IndexImages", "GetImages", "DeleteImages")}
    here |= {"axia.v1.GatewayService.WatchValues", "axia.v1.GatewayService.ListModels"}
    services = [
        gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"],
        retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"],
        scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    ]
    assert {method.full_name for service in services for method in service.methods} == here


async def test_the_page_needs_no_other_host(http: Api) -> None:
    page = await http.get("/", follow_redirects=True)
    assert page.url.path == "/docs"
    assert "https://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-light-32x32.png"):
        assert f"/docs/assets/{asset}" in page.text
        assert (await http.get(f"/docs/assets/{asset}")).status_code == 200


async def test_the_document_describes_every_field_with_the_contracts_comments(http: Api) -> None:
    schemas = (await http.get("/openapi.json")).json()["components"]["schemas"]
    bare = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if name not in {"ContentPart", "ChatMessage", "ImageUrl", "StreamOptions"} and not described.get("description")
    ]
    assert bare == []
    assert "consensus" in schemas["DetectValuesResponse"]["required"]
    assert "alignment" not in schemas["DetectValuesResponse"]["required"]
    assert "required" not in schemas["DetectValuesRequest"]
