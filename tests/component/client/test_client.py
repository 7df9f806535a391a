"""The sync and the async client against a real server."""

import asyncio
import hashlib
import math
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from axia import AsyncClient, AxiaError, Client, Completion, DeadlineExceeded, Detection, InvalidRequest, ServerError
from axia.testing import FakeGateway

EVERYTHING: dict[str, Any] = {
    "n": 2,
    "temperature": [0.25, 0.75],
    "top_p": 0.5,
    "max_tokens": 7,
    "seed": 2**53 - 1,
    "model": "echo",
    "prompt_text": "Wohin schaust du?",
    "system_prompt_text": "Sei kurz.",
    "full_text": True,
    "abstain_threshold": 0.25,
}


def test_a_rule_of_first_sentences_that_is_none_is_refused(picture: Path) -> None:
    with Client() as client, pytest.raises(InvalidRequest, match='"answer" or "literal"'):
        client.detect(picture, sentence_rule="first")  # type: ignore[arg-type]


def test_a_detection_has_everything_that_the_server_said(gateway: Any, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(str(picture), **EVERYTHING)

    assert detection.image.path == str(picture)
    assert detection.image.sha256 == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert (detection.image.format, detection.image.width, detection.image.height) == ("JPEG", 16, 12)
    assert detection.model == "scripted-vlm"
    assert detection.consensus == "Wohin schaust du?"
    assert [completion.temperature for completion in detection.completions] == [0.25, 0.75]
    assert [completion.seed for completion in detection.completions] == [2**53 - 1, 2**53]
    assert detection.completions[1].text.endswith("And more.")
    assert detection.groups[0].members == (0, 1)
    provenance = detection.provenance
    assert (provenance.top_p, provenance.max_tokens, provenance.abstain_threshold) == (0.5, 7, 0.25)
    assert provenance.system_prompt is not None
    assert provenance.system_prompt.text == "Sei kurz."
    assert provenance.model.max_context_tokens == 4096
    assert provenance.request_id == gateway.request_ids[0]
    assert detection.timings_ms == {"total": 15, "decode": 1, "queue": 2, "first_token": 4, "generation": 8}
    assert Detection.model_validate_json(detection.model_dump_json()) == detection


async def test_the_async_client_gives_the_same(gateway: Any, picture: Path) -> None:
    with Client() as client:
        expected = client.detect(picture, **EVERYTHING)
    async with AsyncClient() as client:
        detection = await client.detect(picture, **EVERYTHING)
        models = await client.models()
    with Client() as client:
        assert client.models() == models

    assert detection.provenance.request_id != expected.provenance.request_id
    same = {"provenance": expected.provenance}
    assert detection.model_copy(update=same) == expected
    assert gateway.requests[0] == gateway.requests[1]


def test_what_is_not_given_is_not_sent_so_that_the_server_decides(fake: FakeGateway, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(picture)
    request = fake.received[0].request
    assert [field.name for field, _ in request.ListFields()] == ["image"]
    assert detection.completions_requested == 3
    assert detection.provenance.system_prompt is None


def test_a_detection_that_abstains_names_nothing(picture: Path) -> None:
    with FakeGateway(detections=[["a stove", "a knife", "a cat"]]) as fake, Client(fake.address) as client:
        detection = client.detect(picture)
    assert detection.abstain
    assert detection.consensus is None


def test_finish_reasons_are_words_and_unknown_ones_do_not_break_the_answer(gateway: Any, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(picture, n=4)
    assert [completion.finish_reason for completion in detection.completions] == [
        "unknown", "stop", "sentence", "length"
    ]  # fmt: skip


def test_a_detection_cut_short_by_the_deadline_says_so(gateway: Any, picture: Path) -> None:
    with Client() as client:
        detection = client.detect(picture, n=3, model="late")
    assert (detection.partial, detection.completions_requested, detection.completions_done) == (True, 3, 2)


def test_models_come_with_prompts_and_a_server_that_never_answered(gateway: Any) -> None:
    with Client() as client:
        listed = client.models()
    assert listed.models[0].model is not None
    assert listed.models[0].model.name == "scripted-vlm"
    assert (listed.models[1].model, listed.models[1].available) == (None, False)
    assert [prompt.id for prompt in listed.prompts] == ["detect/baseline", "system/terse"]


async def test_a_stream_gives_completions_as_they_end_and_the_detection_last(gateway: Any, picture: Path) -> None:
    with Client() as client:
        events = list(client.stream(picture, n=3))
    async with AsyncClient() as client:
        again = [event async for event in client.stream(picture, n=3)]

    for got in (events, again):
        assert [event.index for event in got if isinstance(event, Completion)] == [2, 1, 0]
        assert isinstance(got[-1], Detection)
        assert len(got) == 4
        assert got[0] == got[-1].completions[2]
    assert events[-1].provenance.request_id == gateway.request_ids[0]


def test_leaving_a_stream_cancels_the_call(gateway: Any, picture: Path) -> None:
    with Client() as client:
        for _ in client.stream(picture, model="slow"):
            break
        assert gateway.cancelled.wait(20)


async def test_closing_an_async_stream_cancels_the_call(gateway: Any, picture: Path) -> None:
    async with AsyncClient() as client:
        async with aclosing(client.stream(picture, model="slow")) as events:
            async for _ in events:
                break
        assert await asyncio.to_thread(gateway.cancelled.wait, 5)


async def test_cancelling_the_task_cancels_the_call(gateway: Any, picture: Path) -> None:
    async with AsyncClient() as client:
        task = asyncio.create_task(client.detect(picture, model="slow"))
        assert await asyncio.to_thread(gateway.started.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(gateway.cancelled.wait, 5)


def test_closing_the_client_ends_its_calls_and_refuses_new_ones(gateway: Any, picture: Path) -> None:
    client = Client()
    events = client.stream(picture, model="slow")
    next(events)
    client.close()
    assert gateway.cancelled.wait(20)
    with pytest.raises(AxiaError):
        next(events)
    with pytest.raises(RuntimeError, match="closed: create a new one"):
        client.models()


async def test_a_closed_async_client_refuses_calls() -> None:
    client = AsyncClient()
    await client.close()
    with pytest.raises(RuntimeError, match="closed: create a new one"):
        await client.models()


async def test_a_stream_without_its_summary_is_an_error(gateway: Any, picture: Path) -> None:
    with Client() as client, pytest.raises(ServerError, match="without a summary"):
        list(client.stream(picture, model="silent"))
    async with AsyncClient() as client:
        with pytest.raises(ServerError, match="without a summary"):
            _ = [event async for event in client.stream(picture, model="silent")]


def test_the_time_limit_travels_to_the_server_and_ends_the_call_here(gateway: Any, picture: Path) -> None:
    with Client(timeout=40) as client:
        client.detect(picture)
        client.detect(picture, timeout=20)
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            client.detect(picture, model="slow", timeout=0.2)
        assert time.monotonic() - begin < 2
    assert 30 < gateway.seconds_left[0] < 41
    assert 10 < gateway.seconds_left[1] < 21


@pytest.mark.parametrize("given", [{"timeout": None}, {"timeout": math.inf}])
def test_there_can_be_no_time_limit(gateway: Any, picture: Path, given: dict[str, Any]) -> None:
    with Client(**given) as client:
        client.detect(picture)
    assert gateway.seconds_left[0] is None or gateway.seconds_left[0] > 1e6


def test_each_call_has_its_own_request_id(fake: FakeGateway, picture: Path) -> None:
    with Client() as client:
        client.detect(picture)
        client.detect(picture)
    first, second = (call.metadata["x-request-id"] for call in fake.received)
    assert first != second
    assert len(first) == 32
