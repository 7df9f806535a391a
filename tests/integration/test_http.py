"""The HTTP API under BentoML, in front of a gateway and a scripted model, with other people's clients."""

import asyncio
import base64
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import websockets
from pydantic import BaseModel

from tests.support import processes
from tests.support.http_api import parse_events
from tests.support.pictures import photograph
from tests.support.processes import HttpApi, Suite

PICTURE = photograph(1)


@pytest.fixture(scope="module")
def http(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpApi]:
    odd = {"reflection": "true", "prot": 80}  # what is ignored is reported, see below
    with processes.http_api(tmp_path_factory.mktemp("http") / "http.log", suite.gateway.address, **odd) as face:
        face.wait_for()
        yield face


@pytest.fixture(scope="module")
def chat(http: HttpApi) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{http.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def curl(*arguments: str) -> str:
    result = subprocess.run(["curl", "-sS", "-m", "60", *arguments], capture_output=True, text=True, check=True)
    return result.stdout


def test_curl_sends_a_picture_as_a_form(http: HttpApi, tmp_path: Path) -> None:
    file = tmp_path / "home.jpg"
    file.write_bytes(PICTURE)
    answer = json.loads(curl("-F", f"image=@{file}", "-F", "n=3", "-F", "seed=7", f"{http.url}/v1/detect"))
    assert (answer["completions_done"], answer["partial"]) == (3, False)
    assert answer["provenance"]["seed"] == "7"
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"image": {"data": base64.b64encode(PICTURE).decode()}, "n": 3, "seed": 7}))
    headers = ("-H", "Content-Type: application/json")
    again = json.loads(curl(*headers, "-d", f"@{body}", f"{http.url}/v1/detect"))
    assert [each["text"] for each in again["completions"]] == [each["text"] for each in answer["completions"]]


def test_curl_receives_each_completion_as_an_event(http: HttpApi, tmp_path: Path) -> None:
    file = tmp_path / "home.jpg"
    file.write_bytes(PICTURE)
    events = parse_events(curl("-N", "-F", f"image=@{file}", "-F", "n=2", f"{http.url}/v1/detect/stream"))
    assert [name for name, _ in events if name != ":"] == ["completion", "completion", "summary"]


def test_curl_receives_a_chat_as_it_is_generated(http: HttpApi, tmp_path: Path) -> None:
    body = tmp_path / "chat.json"
    fields = {"model": "scripted", "messages": question("What needs attention here?"), "temperature": 0}
    body.write_text(json.dumps(fields | {"stream": True, "stream_options": {"include_usage": True}}))
    json_body = ("-H", "Content-Type: application/json", "-d", f"@{body}", f"{http.url}/v1/chat/completions")
    chunks = [data for name, data in parse_events(curl("-N", *json_body)) if name != ":"]
    assert chunks.pop() == "[DONE]"
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    said = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert len(said) > 5
    body.write_text(json.dumps(fields))
    answer = json.loads(curl(*json_body))
    assert answer["choices"][0]["message"]["content"] == "".join(said)


def commands(document: str) -> list[str]:
    """The commands of a document that ask the HTTP API, as they are written there."""
    found: list[list[str]] = []
    goes_on = ends_with = ""
    for line in (processes.ROOT / document).read_text().splitlines():
        written = line.removeprefix("    ")
        if goes_on or ends_with:
            found[-1].append(written)
            ends_with = "" if written == ends_with else ends_with
        elif line.startswith(("    curl ", "    python - <<")):
            found.append([written])
            ends_with = written.rpartition("<<")[2] if "<<" in written else ""
        else:
            continue
        goes_on = written if written.endswith("\\") else ""
    return ["\n".join(lines) for lines in found if "8080" in "".join(lines)]


COMMANDS = [*commands("README.md"), *commands("docs/http.md")]


def test_documents_have_commands_that_are_tried_here() -> None:
    assert sum(command.startswith("curl") for command in COMMANDS) == 5
    assert sum(command.startswith("python") for command in COMMANDS) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_documents_work_as_they_are_written(http: HttpApi, command: str) -> None:
    tried = command.replace("http://127.0.0.1:8080", http.url).replace("python ", f"{sys.executable} ", 1)
    tried = re.sub("^curl ", "curl -sS -m 60 -w '\\n%{http_code}' ", tried)
    result = subprocess.run(
        ["bash", "-c", tried], cwd=processes.ROOT, capture_output=True, text=True, check=False, timeout=90
    )
    assert result.returncode == 0, result.stderr
    if not command.startswith("curl"):
        assert "total_tokens" in result.stdout
        return
    body, _, status = result.stdout.rpartition("\n")
    if "README.md" in command:  # no picture
        assert status == "400"
        assert "image.data" in body
    else:
        assert status == "200", body
        assert body.count('"first_sentence"') >= 3


def test_errors_of_the_suite_arrive_as_problems(http: HttpApi) -> None:
    status = "\n%{http_code} %{content_type}"
    unreadable = curl("-F", "image=@/dev/null;filename=x", "-w", status, f"{http.url}/v1/detect")
    body, _, rest = unreadable.rpartition("\n")
    assert rest == "400 application/problem+json"
    assert json.loads(body)["violations"][0]["field"] == "image.data"
    body, _, rest = curl("-w", status, f"{http.url}/v1/nothing").rpartition("\n")
    assert (rest, json.loads(body)["reason"]) == ("404 application/problem+json", "NO_ROUTE")


async def test_a_websocket_goes_through(http: HttpApi) -> None:
    async with websockets.connect(f"{http.url.replace('http', 'ws')}/v1/watch") as socket, asyncio.timeout(60):
        await socket.send('{"frame": {"frame_id": "soon"}}')
        failed = json.loads(await socket.recv())
        await socket.wait_closed()
    assert failed["error"]["violations"][0]["field"] == "frame.frame_id"
    assert socket.close_code == 1008


async def test_a_page_of_another_site_is_refused_and_probes_are_not(http: HttpApi) -> None:
    status = ("-o", "/dev/null", "-w", "%{http_code}")
    assert (
        curl(*status, "-H", "Origin: https://elsewhere.example", "-F", "image=@/dev/null", f"{http.url}/v1/images")
        == "403"
    )
    assert curl(*status, "-H", "Host: rebound.example", f"{http.url}/v1/stats") == "403"
    assert curl(*status, "-H", f"Origin: {http.url}", f"{http.url}/v1/values") != "403"
    for path in ("livez", "readyz"):
        assert curl(*status, f"{http.url}/{path}") == "200"
    origin = websockets.Origin("https://elsewhere.example")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"{http.url.replace('http', 'ws')}/v1/watch", origin=origin)
    assert refused.value.response.status_code == 403


def test_models_prompts_health_and_metrics_are_there(http: HttpApi) -> None:
    with openai.OpenAI(base_url=f"{http.url}/v1", api_key="none") as client:
        models = list(client.models.list())
        assert [model.id for model in models] == ["scripted"]
        assert models[0].available is True  # type: ignore[attr-defined]  # more than OpenAI's
        assert client.models.retrieve("scripted").id == "scripted"
    prompts = json.loads(curl(f"{http.url}/v1/prompts"))["prompts"]
    assert "detect/baseline" in [prompt["id"] for prompt in prompts]
    for path in ("livez", "healthz", "readyz"):
        assert curl("-o", "/dev/null", "-w", "%{http_code}", f"{http.url}/{path}") == "200"
    metrics = curl(f"http://127.0.0.1:{http.metrics_port}/metrics")
    assert 'axia_http_requests_total{method="GET",route="/v1/prompts",status="200"}' in metrics


def test_settings_that_are_ignored_are_reported_once_by_all_its_processes(http: HttpApi) -> None:
    log = http.log.read_text()
    assert log.count("AXIA_HTTP_REFLECTION has no effect") == 1
    assert log.count("AXIA_HTTP_PROT is not a setting and is ignored; did you mean AXIA_HTTP_PORT?") == 1


def test_a_client_made_from_the_document_detects_values(http: HttpApi, tmp_path: Path) -> None:
    config = tmp_path / "generator.yaml"
    config.write_text("post_hooks: []\n")
    made = tmp_path / "axia_http_client"
    command = ["openapi-python-client", "generate", "--url", f"{http.url}/openapi.json", "--meta", "none"]
    program = str(Path(sys.executable).parent / command[0])
    result = subprocess.run(
        [program, *command[1:], "--config", str(config), "--output-path", str(made), "--fail-on-warning"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    sys.path.insert(0, str(tmp_path))
    try:
        package: Any = importlib.import_module("axia_http_client")
        models: Any = importlib.import_module("axia_http_client.models")
        types: Any = importlib.import_module("axia_http_client.types")
        detect: Any = importlib.import_module("axia_http_client.api.detection.post_detect")
    finally:
        sys.path.remove(str(tmp_path))
    picture = models.ImageInput(data=base64.b64encode(PICTURE).decode())
    form = models.PostDetectFilesBody(image=types.File(io.BytesIO(PICTURE), "home.jpg"))
    with package.Client(base_url=http.url) as client:
        answer = detect.sync(client=client, body=models.DetectValuesRequest(image=picture, n=3, seed=7))
        assert isinstance(answer, models.DetectValuesResponse)
        assert (answer.completions_done, answer.provenance.seed) == (3, "7")
        assert isinstance(detect.sync(client=client, body=form), models.DetectValuesResponse)
        refused = detect.sync(client=client, body=models.DetectValuesRequest(image=picture, n=0))
        assert isinstance(refused, models.Problem)
        assert refused.violations[0].field == "n"


def question(text: str = "What needs attention?") -> list[Any]:
    url = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": content}]


def test_openais_client_asks_about_a_picture(chat: openai.OpenAI) -> None:
    def ask() -> Any:
        return chat.chat.completions.create(
            model="scripted", messages=question("What needs attention here?"), n=3, seed=3, max_tokens=60
        )

    answer = ask()
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.message.content and choice.finish_reason in ("stop", "length") for choice in answer.choices)
    assert answer.usage.completion_tokens > 0
    again = [choice.message.content for choice in ask().choices]
    assert again == [choice.message.content for choice in answer.choices]


def test_openais_client_reads_a_stream(chat: openai.OpenAI) -> None:
    stream = chat.chat.completions.create(
        model="scripted",
        messages=question("What needs attention here?"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")


def test_openais_client_reads_a_stream_word_by_word(chat: openai.OpenAI) -> None:
    messages = question("What needs attention here?")
    fixed: Any = {"model": "scripted", "messages": messages, "temperature": 0}
    whole = chat.chat.completions.create(**fixed).choices[0].message.content
    deltas = [chunk.choices[0].delta for chunk in chat.chat.completions.create(**fixed, stream=True)]
    pieces = [delta.content for delta in deltas if delta.content]
    assert whole == "".join(pieces)
    assert len(pieces) == len(whole.split()) > 5
    assert deltas[0].role == "assistant"


def test_openais_client_ends_an_answer_at_a_stop_text(chat: openai.OpenAI) -> None:
    fixed: Any = {"model": "scripted", "messages": question("What needs attention here?"), "temperature": 0}
    stopped = chat.chat.completions.create(**fixed, stop=[" hot stove", "help"]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("The child is reaching for the", "stop")
    chunks = list(chat.chat.completions.create(**fixed, stop=" hot stove", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "The child is reaching for the"


def test_openais_client_shows_several_pictures_in_any_turn(chat: openai.OpenAI) -> None:
    picture = question()[0]["content"][1]
    asked: Any = question("Image 1:")
    asked[0]["content"] += [{"type": "text", "text": "Image 2:"}, picture]
    asked += [{"role": "assistant", "content": "A stove."}, {"role": "user", "content": [picture]}]
    one = chat.chat.completions.create(model="scripted", messages=question("Image 1:"))
    three = chat.chat.completions.create(model="scripted", messages=asked)
    assert three.choices[0].message.content
    assert three.usage.prompt_tokens >= one.usage.prompt_tokens + 2 * 64
    many: Any = [{"role": "user", "content": [picture] * 5}]
    with pytest.raises(openai.BadRequestError, match="at most 4") as refused:
        chat.chat.completions.create(model="scripted", messages=many)
    assert (refused.value.code, refused.value.param) == ("too_many_images", "messages[0].content[4].image_url.url")


class Report(BaseModel):
    title: str
    danger: int


def test_openais_client_gets_json_by_a_schema(tmp_path: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(json.dumps({"answers": [{"say": ['{"title": "A stove", "danger": 2}']}]}))
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=answers) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway,
        processes.http_api(tmp_path / "http.log", gateway.address) as face,
        openai.OpenAI(base_url=f"{face.url}/v1", api_key="none", max_retries=0, timeout=60) as chat,
    ):
        face.wait_for()
        schema = {"type": "object", "properties": {"title": {"type": "string"}, "danger": {"type": "integer"}}}
        held: Any = {"type": "json_schema", "json_schema": {"name": "report", "strict": True, "schema": schema}}
        fixed: Any = {"model": "scripted", "messages": question()}
        answer = chat.chat.completions.create(**fixed, response_format=held, max_tokens=10_000)
        assert json.loads(answer.choices[0].message.content or "") == {"title": "A stove", "danger": 2}
        assert answer.model_extra == answer.model_extra | {
            "notices": ["max_tokens 10,000 is over the limit of this model; 1,024 was used"]
        }
        parsed = chat.chat.completions.parse(**fixed, response_format=Report).choices[0].message.parsed
        assert parsed == Report(title="A stove", danger=2)
        loose = chat.chat.completions.create(**fixed, response_format={"type": "json_object"})
        assert json.loads(loose.choices[0].message.content or "")["danger"] == 2
        broken: Any = {"type": "json_schema", "json_schema": {"name": "report", "schema": {"a": "x" * 20_000}}}
        with pytest.raises(openai.BadRequestError) as refused:
            chat.chat.completions.create(**fixed, response_format=broken)
        assert refused.value.param == "response_format.json_schema.schema"


def test_openais_client_understands_errors(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="other"):
        chat.chat.completions.create(model="other", messages=question())
    picture: Any = {"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg"}}
    with pytest.raises(openai.BadRequestError, match="never fetched") as refused:
        chat.chat.completions.create(model="scripted", messages=[{"role": "user", "content": [picture]}])
    assert refused.value.code == "image_address"
    with pytest.raises(openai.BadRequestError) as wrong:
        chat.chat.completions.create(model="scripted", messages=question(), temperature=9)
    assert wrong.value.param == "temperature"


def refuses_connections(port: int, while_runs: "subprocess.Popen[str]") -> bool:
    """Whether a new connection is refused before a process ends; one that is taken must be answered meanwhile."""
    while while_runs.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5).close()
        except ConnectionResetError:
            pass  # it was waiting to be taken when the socket was shut down
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionRefusedError):
                return while_runs.poll() is None
            assert isinstance(error.reason, ConnectionResetError), error
        time.sleep(0.05)
    return False


def test_a_signal_lets_a_stream_in_flight_end_and_frees_the_port(tmp_path: Path) -> None:
    answers = tmp_path / "answers.yaml"
    sentence = "The smoke rises from the pan while nobody looks at the stove."
    answers.write_text(json.dumps({"token_ms": 400, "answers": [{"when": "attention", "say": [sentence]}]}))
    picture = tmp_path / "home.jpg"
    picture.write_bytes(PICTURE)
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=answers) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway,
        processes.http_api(tmp_path / "http.log", gateway.address) as face,
    ):
        face.wait_for()
        command = ["curl", "-sSN", "-m", "60", "-F", f"image=@{picture}", "-F", "n=1", f"{face.url}/v1/detect/stream"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        # The face's own gauge would count the probe as well; the gateway's counts the detection alone.
        while gateway.metrics().get('axia_rpc_in_flight{method="axia.v1.GatewayService/StreamDetectValues"}') != 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        face.process.send_signal(signal.SIGTERM)
        refused_while_it_runs = refuses_connections(face.port, while_runs=running)
        assert face.stop() == 0
        assert refused_while_it_runs
        assert [name for name, _ in parse_events(running.communicate()[0]) if name != ":"] == ["completion", "summary"]
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"{face.url}/livez", timeout=5)  # noqa: S310 - the loopback interface
        assert [line for line in face.log.read_text().splitlines() if not line.startswith("{")] == []


def test_a_bento_holds_what_the_face_needs(tmp_path: Path) -> None:
    environment = os.environ | {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    bento = [sys.executable, "-m", "bentoml"]
    built = subprocess.run(
        [*bento, "build", "--output", "tag", "."],
        cwd=processes.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    tag = built.stdout.strip().rpartition("__tag__:")[2]
    name, _, version = tag.partition(":")
    sources = tmp_path / "home" / "bentos" / name / version / "src"
    assert (sources / "gateway" / "http" / "transcoding" / "contract_comments.json").exists()
    assert not (sources / "services" / "inference").exists()
    # In the Bento's own folder, with nothing else of the checkout on the path.
    program = "import gateway.http.service as s; print(s.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=sources, env=environment, capture_output=True, text=True, check=False
    )
    assert imported.stdout.strip().startswith(str(sources)), imported.stderr
