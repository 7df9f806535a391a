"""A Python client that openapi-python-client makes from the served document calls every kind of address."""

import asyncio
import base64
import importlib
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2
from tests.support.http_api import Api, FakeGateway, http_api
from tests.support.pictures import photograph

PICTURE = photograph(5, (64, 48))
NAME = "axia_http_generated"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Imports a part of the generated package by its dotted name."""
    folder = tmp_path_factory.mktemp("generated")

    async def document() -> str:
        async with FakeGateway.serving() as gateway, http_api(gateway) as http:
            return (await http.get("/openapi.json")).text

    (folder / "openapi.json").write_text(asyncio.run(document()))
    (folder / "generator.yaml").write_text("post_hooks: []\n")
    program = str(Path(sys.executable).parent / "openapi-python-client")
    files = ["--path", "openapi.json", "--config", "generator.yaml", "--output-path", NAME]
    result = subprocess.run(
        [program, "generate", *files, "--meta", "none", "--fail-on-warning"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    sys.path.insert(0, str(folder))
    yield lambda part: importlib.import_module(f"{NAME}.{part}" if part else NAME)
    sys.path.remove(str(folder))
    for name in [module for module in sys.modules if module.partition(".")[0] == NAME]:
        del sys.modules[name]


@pytest.fixture
async def client(made: Any, http: Api) -> AsyncIterator[Any]:
    async with made("").Client(base_url=str(http.base_url), raise_on_unexpected_status=True) as opened:
        yield opened


async def test_it_detects_with_a_picture_in_json_and_in_a_form(made: Any, client: Any, gateway: FakeGateway) -> None:
    gateway.answers["DetectValues"] = gateway_pb2.DetectValuesResponse(completions_done=3, provenance={"seed": 2**60})
    models, detect = made("models"), made("api.detection.post_detect")
    picture = models.ImageInput(data=base64.b64encode(PICTURE).decode())
    asked = models.DetectValuesRequest(image=picture, n=3, seed=2**53 - 1)
    answer = await detect.asyncio(client=client, body=asked)
    assert (answer.completions_done, answer.provenance.seed) == (3, str(2**60))
    file = made("types").File(io.BytesIO(PICTURE), "home.jpg", "image/jpeg")
    form = models.PostDetectFilesBody(image=file, request=json.dumps({"n": 3, "seed": 2**53 - 1}))
    assert (await detect.asyncio(client=client, body=form)).completions_done == 3
    assert gateway.requests[0] == gateway.requests[1]
    refused = await detect.asyncio(client=client, body=models.DetectValuesRequest(image=picture, n="many"))
    assert isinstance(refused, models.Problem)
    assert refused.violations[0].field == "n"


async def test_it_finds_and_takes_in_pictures(made: Any, client: Any, gateway: FakeGateway) -> None:
    models = made("models")
    hit = {"id": "ab", "score": 0.5, "metadata": {"platform": "robot", "capture_time": {"seconds": 1_700_000_000}}}
    gateway.answers["SearchByText"] = retrieval_pb2.SearchByTextResponse(hits=[hit])
    found = await made("api.pictures.post_search_text").asyncio(
        client=client, body=models.SearchByTextRequest(query="a hug", k=5)
    )
    assert (found.hits[0].id, found.hits[0].metadata.capture_time.year) == ("ab", 2023)
    assert gateway.requests[-1].query == "a hug"
    gateway.answers["GetStats"] = retrieval_pb2.GetStatsResponse(images=7)
    assert (await made("api.pictures.get_stats").asyncio(client=client)).images == "7"
    file = made("types").File(io.BytesIO(PICTURE), "home.jpg", "image/jpeg")
    gateway.answers["IndexImages"] = retrieval_pb2.IndexImagesResponse(indexed={"id": "cd"})
    form = models.PostImagesFilesBody(image=[file, file], metadata=json.dumps({"platform": "robot"}))
    taken = await made("api.pictures.post_images").asyncio_detailed(client=client, body=form)
    assert [image.indexed.id for image in taken.parsed] == ["cd", "cd"]
    assert [request.image.data for request in gateway.requests[-2:]] == [PICTURE, PICTURE]
    gateway.answers["GetImages"] = retrieval_pb2.GetImagesResponse(
        id="cd", image={"data": PICTURE}, info={"format": "JPEG"}
    )
    sent = await made("api.pictures.get_images_by_id").asyncio_detailed("cd", client=client)
    assert sent.content == PICTURE


async def test_it_scores(made: Any, client: Any, gateway: FakeGateway) -> None:
    models = made("models")
    gateway.answers["SummarizeCompletions"] = scoring_pb2.SummarizeCompletionsResponse(agreement=0.5)
    summary = await made("api.scoring.post_score_summary").asyncio(
        client=client, body=models.SummarizeCompletionsRequest(sentences=["A stove.", "A knife."])
    )
    assert summary.agreement == 0.5
    assert list(gateway.requests[-1].sentences) == ["A stove.", "A knife."]


async def test_it_lists_models_and_chats(made: Any, client: Any, gateway: FakeGateway) -> None:
    models = made("models")
    gateway.answers["ListModels"] = gateway_pb2.ListModelsResponse(models=[{"model": {"name": "m"}, "available": True}])
    assert [model.id for model in (await made("api.models.get_models").asyncio(client=client)).data] == ["m"]
    gateway.answers["Generate"] = [
        inference_pb2.GenerateResponse(completion={"text": "A stove."}),
        inference_pb2.GenerateResponse(summary={"model": {"name": "m"}}),
    ]
    url = models.ImageUrl(url=f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}")
    kinds = models.ContentPartType
    content = [models.ContentPart(kinds.TEXT, text="What?"), models.ContentPart(kinds.IMAGE_URL, image_url=url)]
    asked = models.ChatRequest(
        model="m", messages=[models.ChatMessage(role=models.ChatMessageRole.USER, content=content)]
    )
    answer = await made("api.chat.post_chat_completions").asyncio(client=client, body=asked)
    assert answer.to_dict()["choices"][0]["message"]["content"] == "A stove."
    assert gateway.requests[-1].image.data == PICTURE
