import base64
import io
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.inference.engine import Sampling
from services.inference.openai_wire import EventReader, MalformedAnswer, Tally, picture_url, read_answer, request_body
from services.inference.settings import InferenceSettings

STREAM = (
    ': hello\r\nid: 1\r\ndata: {"a":\r\ndata: "é"}\r\n\r\ndata:two\n\n\n\nevent: x\n\ndata\n\ndata: [DONE]\n\n'.encode()
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_however_the_network_cuts_the_stream(cuts: list[int]) -> None:
    reader, events = EventReader(), []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(places):
        events += list(reader.feed(STREAM[start:end]))
    assert events == ['{"a":\n"é"}', "two", "[DONE]"]


def test_an_event_without_an_end_is_bounded() -> None:
    for line in (b"x" * 2**16, b"data: " + b"x" * 2**16 + b"\n"):
        reader = EventReader()
        fed = (event for _ in range(64) for event in reader.feed(line))
        with pytest.raises(MalformedAnswer, match="too long"):
            list(fed)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "message", "content", "usage", "index", "error"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_answer_is_read_or_called_malformed(data: bytes) -> None:
    try:
        answer = read_answer(data)
    except MalformedAnswer:
        return
    tally = Tally(10)
    tally.add(answer)
    assert tally.last().finish in {"stop", "length"}


def test_a_malformed_answer_is_told_by_its_place_not_by_its_content() -> None:
    with pytest.raises(MalformedAnswer) as caught:
        read_answer('{"choices": [{"delta": {"content": ["private"]}}]}')
    assert "choices.0.delta.content" in str(caught.value)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_a_picture_is_encoded_anew(image_format: str) -> None:
    pixels = Image.new("RGB", (31, 17), (200, 30, 40))
    head, _, data = picture_url(pixels, image_format).partition(",")  # type: ignore[arg-type]
    assert head == f"data:image/{image_format};base64"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (sent.format, sent.size, sent.mode) == (image_format.upper(), (31, 17), "RGB")
    assert all(abs(a - b) < 4 for a, b in zip(sent.getpixel((5, 5)), (200, 30, 40), strict=True))  # type: ignore[arg-type]


def test_a_seed_is_cut_to_the_bits_that_the_endpoint_takes() -> None:
    def seed(bits: int) -> int | None:
        settings = InferenceSettings(
            engine="openai", model="m", openai_base_url="http://127.0.0.1/v1", openai_seed_bits=bits
        )
        fields = json.loads(request_body(b"[]", Sampling(2**53 - 1, 1.0, 1.0, 1), settings))
        return fields.get("seed")

    assert (seed(53), seed(31), seed(0)) == (2**53 - 1, 2**31 - 1, None)


def test_tokens_are_counted_by_chunks_until_the_endpoint_counts_them() -> None:
    tally = Tally(100)
    said = [
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": {"content": "b"}}], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
    ]
    got = [tally.add(read_answer(json.dumps(each))) for each in said]
    assert [piece and (piece.text, piece.tokens, piece.prompt_tokens) for piece in got] == [
        ("a", 1, None),
        ("b", 4, 9),
        ("", 0, 9),
    ]
