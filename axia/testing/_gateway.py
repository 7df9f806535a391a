"""GatewayService of the fake."""

import hashlib
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import grpc

from axia._call import REQUEST_ID_KEY
from axia.errors import AxiaError
from axia.prompts import load_prompts
from axia.testing import fake as _fake
from axia.testing._answers import Script, fraction, inspect, summarize
from axia.v1 import gateway_pb2, gateway_pb2_grpc, inference_pb2, scoring_pb2

if TYPE_CHECKING:
    from axia.testing._retrieval import Retrieval
    from axia.testing._scoring import FakeScoring
    from axia.testing.fake import FakeGateway

MODEL = inference_pb2.Model(
    name="fake-vlm", revision="", engine="fake", engine_version="1", max_context_tokens=4096, max_samples=64,
    max_tokens=1024, accepts_images=True, max_images=4, structured_answers=True,
)  # fmt: skip
_QUESTIONS = (
    "Do you like the content of this image?",
    "Why do you like or dislike this picture?",
    "Describe this image in English briefly.",
)  # arXiv 2411.11479
_DEFAULT_PROMPT = "Identify what is the element that needs attention in this image"
_JUDGE_PROMPT = "judge/names-element"
_SEEDS = 2**53


class Gateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Answers from a script."""

    def __init__(self, fake: "FakeGateway", script: Script, retrieval: "Retrieval", scoring: "FakeScoring") -> None:
        self._fake = fake
        self._script = script
        self._retrieval = retrieval
        self._scoring = scoring

    def ListModels(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.ListModelsResponse:
        """One model."""
        self._fake.begin("ListModels", request, context)
        status = gateway_pb2.ModelStatus(model=MODEL, available=True, address=self._fake.address)
        baseline = _prompt(_DEFAULT_PROMPT, "detect/baseline")
        return gateway_pb2.ListModelsResponse(models=[status], prompts=[baseline])

    def DetectValues(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.DetectValuesResponse:
        """The next of the script."""
        self._fake.begin("DetectValues", request, context)
        return self._detect(request, context)

    def StreamDetectValues(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.StreamDetectValuesRequest, context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.StreamDetectValuesResponse]:
        """The same, completion by completion."""
        self._fake.begin("StreamDetectValues", request, context)
        summary = self._detect(request.detection, context)
        for completion in summary.completions:
            yield gateway_pb2.StreamDetectValuesResponse(completion=completion)
        yield gateway_pb2.StreamDetectValuesResponse(summary=summary)

    def WatchValues(  # noqa: N802 - named by the contract
        self, requests: Iterator[gateway_pb2.WatchValuesRequest], context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.WatchValuesResponse]:
        """Answers frames, the newest first."""
        config = next(requests).config
        self._fake.begin("WatchValues", gateway_pb2.WatchValuesRequest(config=config), context)
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
            self._fake.wait(context)
            yield self._answer_frame(config, frame, context)

    def AssessPreference(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.AssessPreferenceRequest, context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.AssessPreferenceResponse]:
        """Asks the script about the pictures that the fake's search finds."""
        self._fake.begin("AssessPreference", request, context)
        pictures = [
            (picture.value, picture.keyword, picture.image_id, picture.score, picture.source)
            for picture in request.resume.planned
        ]
        pictures = pictures or self._retrieval.pictures_of(request)
        if not pictures:
            code = grpc.StatusCode.FAILED_PRECONDITION
            _fake.abort(context, code, "nothing is indexed: index pictures first", "NOTHING_INDEXED")
        seed = request.seed if request.HasField("seed") else 7
        given = {description.image_id: description.text for description in request.descriptions}
        asked = (request.k or 5, request.modality, list(request.traits), request.structured, request.describer, given)
        plan = gateway_pb2.PreferencePlan(
            pictures=len(pictures),
            sha256=_plan_sha256(pictures, seed, *asked),
            prompts=[_prompt(text) for text in _QUESTIONS],
            model=MODEL,
            seed=seed,
            search=self._retrieval.provenance(),
            request_id=_request_id(context),
            axia_version="0",
            sampling=_answer_sampling(request),
            structured=request.structured,
            describer=_describer(request),
            describer_sampling=_answer_sampling(request) if _describer(request) else None,
            given_descriptions=sum(image_id in given for _, _, image_id, _, _ in pictures),
            planned=[
                gateway_pb2.PlannedPicture(value=value, keyword=keyword, image_id=image_id, score=score, source=source)
                for value, keyword, image_id, score, source in pictures
            ],
        )
        if request.HasField("resume") and request.resume.plan_sha256 != plan.sha256:
            _fake.abort(
                context, grpc.StatusCode.FAILED_PRECONDITION, "the plan has changed: start again", "PLAN_CHANGED"
            )
        yield gateway_pb2.AssessPreferenceResponse(plan=plan)
        judgements = list(request.resume.judgements)
        for position, (value, keyword, image_id, score, source) in enumerate(pictures):
            if position < len(judgements):
                continue
            self._fake.wait(context)
            replies = [self._reply(text, image_id, position) for text in _QUESTIONS]
            replies[2] = given.get(image_id, replies[2])
            description = replies[2] if request.modality == gateway_pb2.MODALITY_DESCRIPTION else ""
            judgement = gateway_pb2.PreferenceJudgement(
                position=position, value=value, keyword=keyword, image_id=image_id, score=score, replies=replies,
                verdict=verdict(replies[0]), description=description, source=source,
            )  # fmt: skip
            judgements.append(judgement)
            yield gateway_pb2.AssessPreferenceResponse(judgement=judgement)
        answers = [
            scoring_pb2.PreferenceAnswer(value=one.value, answer=one.replies[0], keyword=one.keyword)
            for one in judgements
        ]
        level = request.confidence_level if request.HasField("confidence_level") else None
        scores = self._scoring.preference(scoring_pb2.ScorePreferenceRequest(answers=answers, confidence_level=level))
        yield gateway_pb2.AssessPreferenceResponse(summary=gateway_pb2.PreferenceSummary(scores=scores))

    def JudgeInterest(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.JudgeInterestRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.JudgeInterestResponse:
        """Asks the script about each picture."""
        self._fake.begin("JudgeInterest", request, context)
        isq = request.strategy == gateway_pb2.INTEREST_STRATEGY_ISQ
        prompt = "Rate this picture on six items" if isq else "Is the content of this picture interesting to you?"
        judgements = [self._judge(request, picture, prompt, isq=isq) for picture in request.pictures]
        decided = [judgement.decision for judgement in judgements if judgement.decision]
        stays = decided.count(gateway_pb2.INTEREST_DECISION_STAY)
        return gateway_pb2.JudgeInterestResponse(
            judgements=judgements,
            model=MODEL,
            prompt=_prompt(prompt),
            seed=request.seed,
            stay_share=stays / len(decided) if decided else None,
            undecided=len(judgements) - len(decided),
            request_id=_request_id(context),
            axia_version="0",
            sampling=_answer_sampling(request),
            structured=request.structured,
        )

    def JudgeAlignment(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.JudgeAlignmentRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.JudgeAlignmentResponse:
        """Asks the script about each answer, and counts its votes."""
        self._fake.begin("JudgeAlignment", request, context)
        if request.model not in {"", MODEL.name}:
            _fake.abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.model}", "UNKNOWN_MODEL")
        prompt = load_prompts()[_JUDGE_PROMPT]
        judgements = []
        for item in request.items:
            text = _judge_question(item.answer, [item.element, *item.accept])
            said = [self._reply(text, "", turn) for turn in range(request.samples or 1)]
            judgement = gateway_pb2.JudgedAnswer(answers=said)
            verdicts = list(map(verdict, said))
            yes = verdicts.count(scoring_pb2.PREFERENCE_VERDICT_YES)
            no = verdicts.count(scoring_pb2.PREFERENCE_VERDICT_NO)
            if yes != no:
                judgement.score = int(yes > no)
            judgements.append(judgement)
        asked = _prompt(prompt.text, prompt.id)
        return gateway_pb2.JudgeAlignmentResponse(judgements=judgements, model=MODEL, prompt=asked)

    def _judge(
        self, request: gateway_pb2.JudgeInterestRequest, picture: gateway_pb2.InterestPicture, prompt: str, *, isq: bool
    ) -> gateway_pb2.InterestJudgement:
        if picture.HasField("image"):
            info = inspect(picture.image.data)
            known, sha256 = info is not None, info.sha256 if info else ""
        else:
            known, sha256 = self._retrieval.has(picture.image_id), picture.image_id
        if not known:
            error = gateway_pb2.ItemError(code=3, reason="IMAGE_UNREADABLE", message="is no picture")
            return gateway_pb2.InterestJudgement(image_sha256=sha256, error=error)
        text = self._reply(prompt, sha256, 0)
        judgement = gateway_pb2.InterestJudgement(image_sha256=sha256, text=text)
        if isq:
            judgement.isq.CopyFrom(
                self._scoring.isq(text, request.threshold if request.HasField("threshold") else 60.0)
            )
            if judgement.isq.error:
                message = f"the model's answer: {judgement.isq.error}"
                judgement.error.CopyFrom(gateway_pb2.ItemError(code=9, reason="OUT_OF_RANGE", message=message))
            elif judgement.isq.HasField("match"):
                stay, swipe = gateway_pb2.INTEREST_DECISION_STAY, gateway_pb2.INTEREST_DECISION_SWIPE
                judgement.decision = stay if judgement.isq.match else swipe
            return judgement
        judgement.verdict = verdict(text)
        if judgement.verdict == scoring_pb2.PREFERENCE_VERDICT_YES:
            judgement.decision = gateway_pb2.INTEREST_DECISION_STAY
        elif judgement.verdict == scoring_pb2.PREFERENCE_VERDICT_NO:
            judgement.decision = gateway_pb2.INTEREST_DECISION_SWIPE
        return judgement

    def _read(self, sentence: str, request: gateway_pb2.DetectValuesRequest) -> gateway_pb2.CompletionReading:
        """What a completion says; by a judge model where the script has what that says."""
        truth = request.ground_truth
        said = ""
        if request.HasField("ground_truth") and truth.judge == scoring_pb2.JUDGE_MODEL:
            question = _judge_question(sentence, [truth.element, *truth.accept])
            said = self._script.answers.find(question, "", default="")[0]
        return self._scoring.reading(sentence, request, said)

    def _reply(self, prompt: str, sha256: str, turn: int) -> str:
        said = self._script.answers.find(prompt, sha256, default="Yes.")
        return said[turn % len(said)]

    def _answer_frame(
        self, config: gateway_pb2.DetectValuesRequest, frame: gateway_pb2.WatchFrame, context: grpc.ServicerContext
    ) -> gateway_pb2.WatchValuesResponse:
        if inspect(frame.image.data) is None:
            error = gateway_pb2.ItemError(code=3, reason="IMAGE_UNREADABLE", message="image.data: is no picture")
            return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, error=error)
        request = gateway_pb2.DetectValuesRequest()
        request.CopyFrom(config)
        request.image.CopyFrom(frame.image)
        try:
            detection = self._detect(request, context, in_watch=True)
        except AxiaError as failure:
            code = _fake.code_of(failure).value[0]
            error = gateway_pb2.ItemError(code=code, reason=failure.reason or "FAKE_FAILURE", message=str(failure))
            return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, error=error)
        return gateway_pb2.WatchValuesResponse(frame_id=frame.frame_id, detection=detection)

    def _detect(
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.ServicerContext, *, in_watch: bool = False
    ) -> gateway_pb2.DetectValuesResponse:
        info = inspect(request.image.data)
        if info is None:
            code = grpc.StatusCode.INVALID_ARGUMENT
            _fake.abort(context, code, "image.data: is no picture", "IMAGE_UNREADABLE", field="image.data")
        if request.model not in {"", MODEL.name}:
            _fake.abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.model}", "UNKNOWN_MODEL")
        prompt_id = "" if request.HasField("prompt_text") else request.prompt_id or "detect/baseline"
        text = request.prompt_text or (_DEFAULT_PROMPT if prompt_id == "detect/baseline" else prompt_id)
        try:
            said = self._script.next(f"{text} {prompt_id}", info.sha256)
        except AxiaError as error:
            if in_watch:
                raise
            _fake.abort_with(context, error)
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
                prompt=_prompt(text, prompt_id),
                seed=seed,
                temperatures=temperatures,
                top_p=request.top_p if request.HasField("top_p") else 1.0,
                max_tokens=request.max_tokens if request.HasField("max_tokens") else 100,
                full_text=request.full_text,
                abstain_threshold=request.abstain_threshold if request.HasField("abstain_threshold") else 0.5,
                image_sha256=info.sha256,
                axia_version="0",
                request_id=_request_id(context),
                sentence_rule="literal/1" if literal else "answer/1",
            ),
            timings=inference_pb2.Timings(total_ms=1.0),
            readings=[self._read(sentence, request) for sentence in sentences],
        )
        if system := request.system_prompt_text or request.system_prompt_id:
            response.provenance.system_prompt.CopyFrom(_prompt(system, request.system_prompt_id, role="system"))
        summarize(response, sentences, response.provenance.abstain_threshold)
        if request.HasField("ground_truth"):
            alignments = [reading.alignment for reading in response.readings]
            if known := [alignment.score for alignment in alignments if alignment.HasField("score")]:
                response.alignment = sum(known) / len(known)
            response.provenance.ground_truth.CopyFrom(request.ground_truth)
        return response


def verdict(reply: str) -> scoring_pb2.PreferenceVerdict.ValueType:
    """What a reply to a plain question says."""
    word = reply.strip().casefold()
    if word.startswith("as an ai"):
        return scoring_pb2.PREFERENCE_VERDICT_REFUSAL
    if word.startswith("yes"):
        return scoring_pb2.PREFERENCE_VERDICT_YES
    return scoring_pb2.PREFERENCE_VERDICT_NO if word.startswith("no") else scoring_pb2.PREFERENCE_VERDICT_UNPARSED


def _judge_question(answer: str, phrasings: Sequence[str]) -> str:
    text = load_prompts()[_JUDGE_PROMPT].text
    return text.replace("{element}", "; ".join(phrasings)).replace("{answer}", answer)


def _answer_sampling(
    request: gateway_pb2.AssessPreferenceRequest | gateway_pb2.JudgeInterestRequest,
) -> gateway_pb2.AnswerSampling:
    isq = (
        isinstance(request, gateway_pb2.JudgeInterestRequest) and request.strategy == gateway_pb2.INTEREST_STRATEGY_ISQ
    )
    return gateway_pb2.AnswerSampling(
        temperature=request.temperature,
        top_p=request.top_p if request.HasField("top_p") else 1.0,
        max_tokens=request.max_tokens if request.HasField("max_tokens") else 256 if isq else 100,
    )


def _describer(request: gateway_pb2.AssessPreferenceRequest) -> inference_pb2.Model | None:
    if not request.describer or request.describer == MODEL.name:
        return None
    described = inference_pb2.Model()
    described.CopyFrom(MODEL)
    described.name = request.describer
    return described


def _plan_sha256(*asked: object) -> str:
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def _prompt(text: str, prompt_id: str = "", role: str = "user") -> gateway_pb2.Prompt:
    return gateway_pb2.Prompt(id=prompt_id, sha256=hashlib.sha256(text.encode()).hexdigest(), text=text, role=role)


def _request_id(context: grpc.ServicerContext) -> str:
    return next((str(value) for key, value in context.invocation_metadata() if key == REQUEST_ID_KEY), "")
