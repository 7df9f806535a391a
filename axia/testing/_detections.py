"""Detection and watching of the fake's GatewayService."""

import hashlib
import queue
import threading
from collections.abc import Iterator, Sequence

import grpc

from axia._connection.call import REQUEST_ID_KEY
from axia.errors import AxiaError
from axia.prompts import load_prompts
from axia.testing._answers import Script, fraction, inspect, summarize
from axia.testing._calls import Calls, abort, abort_with, code_of
from axia.testing._retrieval import Retrieval
from axia.testing._scoring import FakeScoring
from axia.v1 import gateway_pb2, gateway_pb2_grpc, inference_pb2, scoring_pb2

MODEL = inference_pb2.Model(
    name="fake-vlm", revision="", engine="fake", engine_version="1", max_context_tokens=4096, max_samples=64,
    max_tokens=1024, accepts_images=True, max_images=4, structured_answers=True,
)  # fmt: skip
_DEFAULT_PROMPT = "Identify what is the element that needs attention in this image"
JUDGE_PROMPT = "judge/names-element"
_SEEDS = 2**53


class Detections(gateway_pb2_grpc.GatewayServiceServicer):
    """Answers detections and frames from a script."""

    def __init__(self, calls: Calls, script: Script, retrieval: Retrieval, scoring: FakeScoring) -> None:
        self._calls = calls
        self._script = script
        self._retrieval = retrieval
        self._scoring = scoring

    def ListModels(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.ListModelsResponse:
        """One model."""
        self._calls.begin("ListModels", request, context)
        status = gateway_pb2.ModelStatus(model=MODEL, available=True, address=self._calls.address)
        baseline = prompt_message(_DEFAULT_PROMPT, "detect/baseline")
        return gateway_pb2.ListModelsResponse(models=[status], prompts=[baseline])

    def DetectValues(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.DetectValuesResponse:
        """The next of the script."""
        self._calls.begin("DetectValues", request, context)
        return self._detect(request, context)

    def StreamDetectValues(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.StreamDetectValuesRequest, context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.StreamDetectValuesResponse]:
        """The same, completion by completion."""
        self._calls.begin("StreamDetectValues", request, context)
        summary = self._detect(request.detection, context)
        for completion in summary.completions:
            yield gateway_pb2.StreamDetectValuesResponse(completion=completion)
        yield gateway_pb2.StreamDetectValuesResponse(summary=summary)

    def WatchValues(  # noqa: N802 - named by the contract
        self, requests: Iterator[gateway_pb2.WatchValuesRequest], context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.WatchValuesResponse]:
        """Answers frames, the newest first."""
        config = next(requests).config
        self._calls.begin("WatchValues", gateway_pb2.WatchValuesRequest(config=config), context)
        frames: queue.Queue[gateway_pb2.WatchFrame | None] = queue.Queue()

        def read() -> None:
            try:
                for request in requests:
                    frames.put(request.frame)
            except grpc.RpcError:
                pass  # the caller is gone
            frames.put(None)

        threading.Thread(target=read, daemon=True).start()
        more = True
        while more:
            frame = frames.get()
            if frame is None:
                return
            while not frames.empty():
                newer = frames.get()
                if newer is None:
                    more = False
                    break
                superseded = gateway_pb2.FrameSuperseded(by_frame_id=newer.frame_id)
                yield gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, superseded=superseded)
                frame = newer
            self._calls.wait(context)
            yield self._answer_frame(config, frame, context)

    def _read(self, sentence: str, request: gateway_pb2.DetectValuesRequest) -> gateway_pb2.CompletionReading:
        """What a completion says; by a judge model where the script has what that says."""
        truth = request.ground_truth
        said = ""
        if request.HasField("ground_truth") and truth.judge == scoring_pb2.JUDGE_MODEL:
            question = judge_question(sentence, [truth.element, *truth.accept])
            said = self._script.answers.find(question, "", default="")[0]
        return self._scoring.reading(sentence, request, said)

    def _reply(self, prompt: str, sha256: str, turn: int) -> str:
        said = self._script.answers.find(prompt, sha256, default="Yes.")
        return said[turn % len(said)]

    def _answer_frame(
        self, config: gateway_pb2.DetectValuesRequest, frame: gateway_pb2.WatchFrame, context: grpc.ServicerContext
    ) -> gateway_pb2.WatchValuesResponse:
        if inspect(frame.image.data) is None:
            error = gateway_pb2.ItemError(code=3, reason="IMAGE_UNREADABLE", message="image.data: is not an image")
            return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, error=error)
        request = gateway_pb2.DetectValuesRequest()
        request.CopyFrom(config)
        request.image.CopyFrom(frame.image)
        try:
            detection = self._detect(request, context, in_watch=True)
        except AxiaError as failure:
            code = code_of(failure).value[0]
            error = gateway_pb2.ItemError(code=code, reason=failure.reason or "FAKE_FAILURE", message=str(failure))
            return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, error=error)
        return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, detection=detection)

    def _detect(
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext, *, in_watch: bool = False
    ) -> gateway_pb2.DetectValuesResponse:
        info = inspect(request.image.data)
        if info is None:
            code = grpc.StatusCode.INVALID_ARGUMENT
            abort(context, code, "image.data: is not an image", "IMAGE_UNREADABLE", field="image.data")
        if request.model not in {"", MODEL.name}:
            abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.model}", "UNKNOWN_MODEL")
        prompt_id = "" if request.HasField("prompt_text") else request.prompt_id or "detect/baseline"
        text = request.prompt_text or (_DEFAULT_PROMPT if prompt_id == "detect/baseline" else prompt_id)
        try:
            said = self._script.next(f"{text} {prompt_id}", info.sha256)
        except AxiaError as error:
            if in_watch:
                raise
            abort_with(context, error)
        n = request.n if request.HasField("n") else len(request.temperatures) or 3
        temperature = request.temperature if request.HasField("temperature") else 1.0
        temperatures = list(request.temperatures) or [temperature] * n
        seed = request.seed if request.HasField("seed") else 7
        sentences = [said[index % len(said)] for index in range(n)]
        literal = request.sentence_rule == inference_pb2.SENTENCE_RULE_LITERAL
        response = gateway_pb2.DetectValuesResponse(
            image=info,
            model=MODEL.name,
            completions=[
                inference_pb2.Completion(
                    index=index,
                    first_sentence=sentence,
                    text=sentence,
                    finish_reason=inference_pb2.FINISH_REASON_SENTENCE,
                    tokens=len(sentence.split()),
                    seed=int(fraction(seed, index, info.sha256) * _SEEDS),
                    temperature=temperatures[index],
                )
                for index, sentence in enumerate(sentences)
            ],
            completions_requested=n,
            completions_done=n,
            provenance=gateway_pb2.Provenance(
                model=MODEL,
                prompt=prompt_message(text, prompt_id),
                seed=seed,
                temperatures=temperatures,
                top_p=request.top_p if request.HasField("top_p") else 1.0,
                max_tokens=request.max_tokens if request.HasField("max_tokens") else 100,
                full_text=request.full_text,
                abstain_threshold=request.abstain_threshold if request.HasField("abstain_threshold") else 0.5,
                image_sha256=info.sha256,
                axia_version="0",
                request_id=request_id(context),
                sentence_rule="literal/1" if literal else "answer/1",
            ),
            timings=inference_pb2.Timings(total_ms=1.0),
            readings=[self._read(sentence, request) for sentence in sentences],
        )
        if system := request.system_prompt_text or request.system_prompt_id:
            response.provenance.system_prompt.CopyFrom(prompt_message(system, request.system_prompt_id, role="system"))
        summarize(response, sentences, response.provenance.abstain_threshold)
        if request.HasField("ground_truth"):
            alignments = [reading.alignment for reading in response.readings]
            if known := [alignment.score for alignment in alignments if alignment.HasField("score")]:
                response.alignment = sum(known) / len(known)
            response.provenance.ground_truth.CopyFrom(request.ground_truth)
        return response


def judge_question(answer: str, phrasings: Sequence[str]) -> str:
    """What a judge model is asked about an answer."""
    text = load_prompts()[JUDGE_PROMPT].text
    return text.replace("{element}", "; ".join(phrasings)).replace("{answer}", answer)


def prompt_message(text: str, prompt_id: str = "", role: str = "user") -> gateway_pb2.Prompt:
    """A prompt as answers name it."""
    return gateway_pb2.Prompt(id=prompt_id, sha256=hashlib.sha256(text.encode()).hexdigest(), text=text, role=role)


def request_id(context: grpc.ServicerContext) -> str:
    """The id that came with a call; empty without one."""
    return next((str(value) for key, value in context.invocation_metadata() if key == REQUEST_ID_KEY), "")
