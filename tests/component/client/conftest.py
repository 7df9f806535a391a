"""Gateways for the client's tests, and a picture to send to them.

`fake` is the product's own. `gateway` sends what that never would: answers cut short, streams without an end, and
reasons and details of errors as a test gives them.
"""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from PIL import Image, UnidentifiedImageError

from axia.testing import FakeGateway
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2, inference_pb2, scoring_pb2

DETAILS_KEY = "grpc-status-details-bin"
MODEL = inference_pb2.Model(
    name="scripted-vlm",
    revision="sha256:0123456789ab",
    engine="scripted",
    engine_version="1",
    max_context_tokens=4096,
    max_samples=16,
    max_tokens=512,
    accepts_images=True,
)
PROMPTS = [
    gateway_pb2.Prompt(
        id="detect/baseline", sha256="a" * 64, text="What needs attention?", role="user", source="a study"
    ),
    gateway_pb2.Prompt(id="system/terse", sha256="b" * 64, text="Be [bold]terse[/bold]. " * 9, role="system"),
]


def status_metadata(code: grpc.StatusCode, message: str, *details: object) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata with a google.rpc.Status, as servers of the suite send it."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    return ((DETAILS_KEY, status.SerializeToString()),)


class ScriptedGateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Says the prompt back, with the completion's number, for whatever picture it can read.

    The model name steers it: "echo" says the same each time, "slow" never ends, "silent" ends a stream without a
    summary, "late" leaves the last completion undone.

    With a ground truth, a completion that has the element or a phrasing in it is aligned. The judge "model" can't tell
    about the first one, and for the judge "lexical" the scoring service is missing.
    """

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[gateway_pb2.DetectValuesRequest] = []
        self.request_ids: list[str] = []
        self.seconds_left: list[float | None] = []
        self.failure: tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]] | None = None
        self.started = threading.Event()
        self.cancelled = threading.Event()

    def DetectValues(  # noqa: N802
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.DetectValuesResponse:
        self._begin(request, context)
        if request.model == "slow":
            self.cancelled.wait(10)
        return self._summary(request, context)

    def StreamDetectValues(  # noqa: N802
        self, request: gateway_pb2.StreamDetectValuesRequest, context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.StreamDetectValuesResponse]:
        detection = request.detection
        self._begin(detection, context)
        summary = self._summary(detection, context)
        for completion in reversed(summary.completions):
            yield gateway_pb2.StreamDetectValuesResponse(completion=completion)
            if detection.model == "slow":
                self.cancelled.wait(10)
        if detection.model != "silent":
            yield gateway_pb2.StreamDetectValuesResponse(summary=summary)

    def ListModels(  # noqa: N802
        self, request: gateway_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.ListModelsResponse:
        self._fail(context)
        models = [
            gateway_pb2.ModelStatus(model=MODEL, available=True, address="127.0.0.1:50051"),
            gateway_pb2.ModelStatus(available=False, address="127.0.0.1:50061"),
        ]
        return gateway_pb2.ListModelsResponse(models=models, prompts=PROMPTS)

    def _begin(self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext) -> None:
        if request.model == "slow":
            context.add_callback(self.cancelled.set)
        self.requests.append(request)
        self.request_ids.append(dict(context.invocation_metadata())["x-request-id"])
        self.seconds_left.append(context.time_remaining())
        self.started.set()
        self._fail(context)

    def _fail(self, context: grpc.ServicerContext) -> None:
        if self.failure:
            code, message, metadata = self.failure
            context.set_trailing_metadata(metadata)
            context.abort(code, message)

    def _summary(
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.DetectValuesResponse:
        prompt = request.prompt_text or request.prompt_id or "detect/baseline"
        n = request.n if request.HasField("n") else len(request.temperatures) or 3
        temperature = request.temperature if request.HasField("temperature") else 1.0
        temperatures = list(request.temperatures) or [temperature] * n
        done = n - 1 if request.model == "late" else n
        completions = [
            inference_pb2.Completion(
                index=index,
                first_sentence=prompt if request.model == "echo" else f"{prompt} {index}",
                text=f"{prompt} {index}" + (" And more." if request.full_text else ""),
                finish_reason=index % 4,
                tokens=10 + index,
                seed=request.seed + index,
                temperature=temperatures[index],
            )
            for index in range(done)
        ]
        abstain = request.model != "echo"
        system = request.system_prompt_text or request.system_prompt_id
        sha256 = hashlib.sha256(request.image.data).hexdigest()
        readings = self._readings(request, completions)
        scores = [reading.alignment.score for reading in readings if reading.alignment.HasField("score")]
        return gateway_pb2.DetectValuesResponse(
            readings=readings,
            alignment=sum(scores) / len(scores) if scores else None,
            missing=["alignment"] if request.HasField("ground_truth") and not readings else [],
            image=self._inspect(request.image, context),
            model=MODEL.name,
            completions=completions,
            groups=[gateway_pb2.CompletionGroup(representative=prompt, members=range(done), share=1.0)],
            consensus="" if abstain else prompt,
            agreement=1 / done if abstain else 1.0,
            entropy=0.5,
            abstain=abstain,
            completions_requested=n,
            completions_done=done,
            partial=done < n,
            provenance=gateway_pb2.Provenance(
                model=MODEL,
                prompt=gateway_pb2.Prompt(text=prompt, role="user"),
                system_prompt=gateway_pb2.Prompt(text=system, role="system") if system else None,
                seed=request.seed,
                temperatures=temperatures,
                top_p=request.top_p if request.HasField("top_p") else 1.0,
                max_tokens=request.max_tokens if request.HasField("max_tokens") else 100,
                full_text=request.full_text,
                abstain_threshold=request.abstain_threshold if request.HasField("abstain_threshold") else 0.5,
                image_sha256=sha256,
                axia_version="0.0.0",
            ),
            timings=inference_pb2.Timings(total_ms=15, decode_ms=1, queue_ms=2, first_token_ms=4, generation_ms=8),
        )

    @staticmethod
    def _readings(
        request: gateway_pb2.DetectValuesRequest, completions: list[inference_pb2.Completion]
    ) -> list[gateway_pb2.CompletionReading]:
        truth = request.ground_truth
        if not request.HasField("ground_truth") or truth.judge == scoring_pb2.JUDGE_LEXICAL:
            return []
        scores = [
            int(any(phrasing in completion.first_sentence for phrasing in (truth.element, *truth.accept)))
            for completion in completions
        ]
        alignments = [scoring_pb2.AlignmentScore(score=score) for score in scores]
        if truth.judge == scoring_pb2.JUDGE_MODEL:
            alignments[0].ClearField("score")
        return [gateway_pb2.CompletionReading(alignment=alignment) for alignment in alignments]

    def _inspect(self, image: image_pb2.Image, context: grpc.ServicerContext) -> image_pb2.ImageInfo:
        try:
            with Image.open(io.BytesIO(image.data)) as picture:
                width, height = picture.size
                sha256 = hashlib.sha256(image.data).hexdigest()
                return image_pb2.ImageInfo(sha256=sha256, format=picture.format or "", width=width, height=height)
        except UnidentifiedImageError:
            violation = error_details_pb2.BadRequest.FieldViolation(field="image.data", description="is not an image")
            message = "image.data: is not an image"
            metadata = status_metadata(
                grpc.StatusCode.INVALID_ARGUMENT,
                message,
                error_details_pb2.ErrorInfo(reason="INVALID_IMAGE", domain="axia"),
                error_details_pb2.BadRequest(field_violations=[violation]),
            )
            context.set_trailing_metadata(metadata)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)


@contextmanager
def _serve(servicer: ScriptedGateway) -> Iterator[None]:
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 48 * 2**20)])
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGateway]:
    """A gateway that runs for one test; clients that are given no address find it."""
    servicer = ScriptedGateway()
    with _serve(servicer):
        monkeypatch.setenv("AXIA_ADDRESS", servicer.address)
        yield servicer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """A gateway that runs for one test and is found in the same way."""
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway() as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def fail(gateway: ScriptedGateway) -> Callable[..., None]:
    """Makes every call fail with a status: code, message, reason, and further details."""

    def fail(code: str, message: str = "", reason: str = "", *details: object) -> None:
        info = error_details_pb2.ErrorInfo(
            reason=reason, domain="axia", metadata={"request_id": "as-the-server-has-it"}
        )
        attached = (info, *details) if reason else details
        status = grpc.StatusCode[code]
        gateway.failure = (status, message, status_metadata(status, message, *attached) if attached else ())

    return fail


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A JPEG of 16 by 12 pixels."""
    path = tmp_path / "kitchen.jpg"
    Image.new("RGB", (16, 12), "red").save(path)
    return path
