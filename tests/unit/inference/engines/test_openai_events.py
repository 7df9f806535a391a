import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.engines.openai.events import BodyReader, EventReader
from services.inference.engines.openai.wire import MalformedAnswer

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


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b'event: error\ndata: {"message": "gone"}\n\n', {"message": "gone"}),
        (b'event: error\r\ndata: {"error": {"message": "gone"}}\r\n\r\n', {"error": {"message": "gone"}}),
        (b"event: error\ndata: gone\n\n", "gone"),
        (b'error: {"code": 500, "message": "gone"}\n\n', {"code": 500, "message": "gone"}),
    ],
)
def test_an_event_that_is_named_an_error_comes_as_one(stream: bytes, error: object) -> None:
    assert [json.loads(event) for event in EventReader().feed(stream)] == [{"error": error}]
    reader = EventReader()
    assert list(reader.feed(b"event: error\n\ndata: {}\n\n")) == ["{}"]


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        (b'data: {"a": 1}\n\ndata: [DONE]\n\n', "text/event-stream", ['{"a": 1}', "[DONE]"]),
        (b'data: {"a": 1}\n\n', "application/json", ['{"a": 1}']),
        (b'\n\n: waiting\n\ndata: {"a": 1}\n\n', "text/plain", ['{"a": 1}']),
        (b'{"a": 1}', "text/event-stream", ['{"a": 1}']),
        (b'\n\n  {"a": 1}', "application/json", ['{"a": 1}']),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", ['{"a": 1}']),
        (b'\xef\xbb\xbfdata: {"a": 1}\n\n', "text/event-stream", ['{"a": 1}']),
        (b'data: {"a": 1}', "text/event-stream", ['{"a": 1}']),
        (b'data: {"a": 1}\ndata: [DO', "text/event-stream", ['{"a": 1}\n[DO']),
        (b"<html>", "text/event-stream", ["<html>"]),
        (b"", "application/json", [""]),
        (b"", "text/event-stream", []),
    ],
)
def test_a_body_is_told_from_a_stream_by_how_it_begins(body: bytes, content_type: str, data: list[str]) -> None:
    for size in (len(body) or 1, 1):
        reader, read = BodyReader(content_type), []
        for start in range(0, len(body), size):
            read += list(reader.feed(body[start : start + size]))
        assert [data.strip() for data in [*read, *reader.rest()]] == data
