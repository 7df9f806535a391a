"""Every kind of good and bad request, against real processes over gRPC."""

import io
import math
import struct
import zlib

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, inference_pb2_grpc
from axia.v1 import inference_pb2 as inf
from tests.support.pictures import encode, photograph
from tests.support.processes import Suite


def violations(error: grpc.RpcError) -> list[str]:
    """The fields that an error names in its BadRequest details."""
    metadata = dict(error.trailing_metadata())  # type: ignore[attr-defined]
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    fields: list[str] = []
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            fields += [violation.field for violation in bad_request.field_violations]
    return fields


def bomb(side: int) -> bytes:
    """A PNG that claims side × side pixels and holds almost none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animation(file_format: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green")]
    return encode(frames[0], file_format, save_all=True, append_images=frames[1:], duration=100)


def exif_rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photograph(exif=exif)


GOOD_PICTURES = {
    "jpeg": photograph(),
    "png": photograph(file_format="PNG"),
    "webp": photograph(file_format="WEBP"),
    "1x1": encode(Image.new("RGB", (1, 1)), "PNG"),
    "cmyk": encode(Image.new("CMYK", (50, 40), (10, 200, 30, 0)), "JPEG"),
    "16-bit": encode(Image.new("I;16", (50, 40), 30000), "PNG"),
    "palette": encode(Image.open(io.BytesIO(photograph())).convert("P"), "PNG"),
    "transparent": encode(Image.new("RGBA", (50, 40), (1, 2, 3, 0)), "PNG"),
    "exif-rotated": exif_rotated(),
}
BAD_PICTURES = {
    "empty": b"",
    "not an image": b"hello there",
    "gif": encode(Image.new("P", (20, 20)), "GIF"),
    "truncated": photograph()[:2000],
    "truncated png": photograph(file_format="PNG")[:-200],
    "animated png": animation("PNG"),
    "animated webp": animation("WEBP"),
    "bomb": bomb(20_000),
    "long side": bomb(16_385),
}


@pytest.mark.parametrize("name", GOOD_PICTURES)
def test_a_picture_of_any_usual_kind_is_answered(name: str, gateway_stub: gateway_pb2_grpc.GatewayServiceStub) -> None:
    request = gw.DetectValuesRequest(image=image_pb2.Image(data=GOOD_PICTURES[name]), seed=1)
    response = gateway_stub.DetectValues(request, timeout=30)
    assert response.completions_done == 3
    assert response.image.width > 0
    assert not response.partial


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_refused_by_its_field(name: str, gateway_stub: gateway_pb2_grpc.GatewayServiceStub) -> None:
    request = gw.DetectValuesRequest(image=image_pb2.Image(data=BAD_PICTURES[name]))
    with pytest.raises(grpc.RpcError) as caught:
        gateway_stub.DetectValues(request, timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == ["image.data"]


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_the_inference_service_refuses_it_as_well(
    name: str, inference_stub: inference_pb2_grpc.InferenceServiceStub
) -> None:
    request = generate_request(image=image_pb2.Image(data=BAD_PICTURES[name]))
    with pytest.raises(grpc.RpcError) as caught:
        list(inference_stub.Generate(request, timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(caught.value) == ["image.data"]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"n": 0}, "INVALID_ARGUMENT", "n"),
        ({"n": 17}, "INVALID_ARGUMENT", "n"),
        ({"n": -(2**31)}, "INVALID_ARGUMENT", "n"),
        ({"temperatures": [1.0, 1.0], "n": 3}, "INVALID_ARGUMENT", "temperatures"),
        ({"temperature": -1.0}, "INVALID_ARGUMENT", "temperature"),
        ({"temperature": math.nan}, "INVALID_ARGUMENT", "temperature"),
        ({"temperatures": [1.0, math.nan]}, "INVALID_ARGUMENT", "temperatures[1]"),
        ({"max_tokens": -1}, "INVALID_ARGUMENT", "max_tokens"),
        ({"top_p": math.nan}, "INVALID_ARGUMENT", "top_p"),
        ({"seed": -1}, "INVALID_ARGUMENT", "seed"),
        ({"prompt_text": "look at <image> now"}, "INVALID_ARGUMENT", "prompt_text"),
        ({"system_prompt_text": "</s>"}, "INVALID_ARGUMENT", "system_prompt_text"),
        ({"prompt_text": ""}, "INVALID_ARGUMENT", "prompt_text"),
        ({"prompt_text": "x" * 20_000}, "INVALID_ARGUMENT", "prompt_text"),
        ({"model": "gpt-5"}, "NOT_FOUND", "model"),
        ({"prompt_id": "detect/nothing"}, "NOT_FOUND", "prompt_id"),
    ],
)
def test_a_bad_field_is_named_and_the_gateway_lives(
    fields: dict[str, object], code: str, field: str, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    image = image_pb2.Image(data=photograph())
    detection = gw.DetectValuesRequest(image=image, **fields)  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError) as caught:
        gateway_stub.DetectValues(detection, timeout=30)
    assert caught.value.code().name == code
    assert violations(caught.value) == [field]
    with pytest.raises(grpc.RpcError) as caught:
        list(gateway_stub.StreamDetectValues(gw.StreamDetectValuesRequest(detection=detection), timeout=30))
    assert violations(caught.value) == [f"detection.{field}"]
    assert gateway_stub.DetectValues(gw.DetectValuesRequest(image=image), timeout=30).completions_done == 3


def generate_request(**fields: object) -> inf.GenerateRequest:
    filled = {
        "messages": [inf.Message(role=inf.ROLE_USER, text="what needs attention")],
        "samples": [inf.Sample(seed=1, temperature=1)],
        **fields,
    }
    return inf.GenerateRequest(**filled)  # type: ignore[arg-type]


def user(text: str) -> inf.Message:
    return inf.Message(role=inf.ROLE_USER, text=text)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"messages": []}, "INVALID_ARGUMENT", "messages"),
        ({"messages": [user("a")] * 65}, "INVALID_ARGUMENT", "messages"),
        ({"messages": [user("a"), user("b")]}, "INVALID_ARGUMENT", "messages[1].role"),
        ({"messages": [inf.Message(text="a")]}, "INVALID_ARGUMENT", "messages[0].role"),
        (
            {"messages": [user("a"), inf.Message(role=inf.ROLE_ASSISTANT, text="b")]},
            "INVALID_ARGUMENT",
            "messages[1].role",
        ),
        ({"messages": [user("</s>")]}, "INVALID_ARGUMENT", "messages[0].text"),
        ({"samples": []}, "INVALID_ARGUMENT", "samples"),
        ({"samples": [inf.Sample(seed=-1)]}, "INVALID_ARGUMENT", "samples[0].seed"),
        ({"samples": [inf.Sample(temperature=math.nan)]}, "INVALID_ARGUMENT", "samples[0].temperature"),
        ({"top_p": 0.0}, "INVALID_ARGUMENT", "top_p"),
        ({"max_tokens": 0}, "INVALID_ARGUMENT", "max_tokens"),
        ({"model": "other"}, "NOT_FOUND", "model"),
        ({"messages": [user("word " * 3000), inf.Message(role=inf.ROLE_ASSISTANT, text="word " * 3000), user("x")]},
         "INVALID_ARGUMENT", "messages"),
    ],
)  # fmt: skip
def test_a_bad_field_of_a_generation_is_named(
    fields: dict[str, object], code: str, field: str, inference_stub: inference_pb2_grpc.InferenceServiceStub
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(inference_stub.Generate(generate_request(**fields), timeout=30))
    assert caught.value.code().name == code
    assert violations(caught.value) == [field]
    with pytest.raises(grpc.RpcError) as caught:
        inference_stub.GenerateAll(inf.GenerateAllRequest(generation=generate_request(**fields)), timeout=30)
    assert caught.value.code().name == code
    assert violations(caught.value) == [f"generation.{field}"]


@pytest.mark.parametrize("within_ms", [-1, 86_400_001])
def test_a_time_out_of_range_is_refused(within_ms: int, suite: Suite) -> None:
    request = inf.GenerateAllRequest(generation=generate_request(), within_ms=within_ms)
    for server in suite:  # the gateway serves every model by the same method
        with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
            inference_pb2_grpc.InferenceServiceStub(channel).GenerateAll(request, timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violations(caught.value) == ["within_ms"]


def test_all_completions_in_one_message_are_those_of_the_stream(suite: Suite) -> None:
    asked = generate_request(samples=[inf.Sample(seed=seed, temperature=1) for seed in range(8)])
    asked.image.data = photograph()
    for server in suite:
        with grpc.insecure_channel(server.address) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            events = list(stub.Generate(asked, timeout=30))
            answer = stub.GenerateAll(inf.GenerateAllRequest(generation=asked, within_ms=20_000), timeout=30)
        streamed = sorted((event.completion for event in events[1:-1]), key=lambda completion: completion.index)
        assert list(answer.completions) == streamed
        for summary in (answer.summary, events[-1].summary):
            summary.ClearField("timings")
        assert answer.summary == events[-1].summary


def test_a_message_beyond_the_size_limit_is_refused_and_the_server_lives(
    gateway_stub: gateway_pb2_grpc.GatewayServiceStub,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        gateway_stub.DetectValues(gw.DetectValuesRequest(image=image_pb2.Image(data=bytes(30 * 2**20))), timeout=30)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert gateway_stub.ListModels(gw.ListModelsRequest(), timeout=30).models[0].available


def test_a_conversation_in_text_alone_is_answered(inference_stub: inference_pb2_grpc.InferenceServiceStub) -> None:
    events = list(inference_stub.Generate(generate_request(), timeout=30))
    assert [event.WhichOneof("event") for event in events] == ["started", "completion", "summary"]
    assert not events[-1].summary.HasField("image")


def test_provenance_is_enough_to_ask_again(gateway_stub: gateway_pb2_grpc.GatewayServiceStub) -> None:
    image = image_pb2.Image(data=photograph(3))
    first = gateway_stub.DetectValues(gw.DetectValuesRequest(image=image, n=5), timeout=30)
    asked = first.provenance
    repeat = gw.DetectValuesRequest(image=image, temperatures=asked.temperatures, seed=asked.seed)
    repeat.MergeFrom(gw.DetectValuesRequest(model=asked.model.name, prompt_id=asked.prompt.id))
    repeat.MergeFrom(gw.DetectValuesRequest(max_tokens=asked.max_tokens, top_p=asked.top_p))
    again = gateway_stub.DetectValues(repeat, timeout=30)
    assert [c.text for c in again.completions] == [c.text for c in first.completions]
    assert len({c.seed for c in first.completions}) == 5
    assert asked.prompt.sha256
    assert asked.model.engine == "scripted"
    assert asked.image_sha256 == first.image.sha256
