"""GatewayService of the fake: preference, interest and alignment beside detection."""

import hashlib
from collections.abc import Iterator

import grpc

from axia.prompts import load_prompts
from axia.testing._answers import inspect, read_verdict
from axia.testing._calls import abort
from axia.testing._detections import JUDGE_PROMPT, MODEL, Detections, judge_question, prompt_message, request_id
from axia.v1 import gateway_pb2, inference_pb2, scoring_pb2

_QUESTIONS = (
    "Do you like the content of this image?",
    "Why do you like or dislike this picture?",
    "Describe this image in English briefly.",
)  # arXiv 2411.11479


class Gateway(Detections):
    """Answers from a script."""

    def AssessPreference(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.AssessPreferenceRequest, context: grpc.ServicerContext
    ) -> Iterator[gateway_pb2.AssessPreferenceResponse]:
        """Asks the script about the pictures that the fake's search finds."""
        self._calls.begin("AssessPreference", request, context)
        pictures = [
            (picture.value, picture.keyword, picture.image_id, picture.score, picture.source)
            for picture in request.resume.planned
        ]
        pictures = pictures or self._retrieval.pictures_of(request)
        if not pictures:
            code = grpc.StatusCode.FAILED_PRECONDITION
            abort(context, code, "no images are indexed: index images first", "NOTHING_INDEXED")
        seed = request.seed if request.HasField("seed") else 7
        given = {description.image_id: description.text for description in request.descriptions}
        asked = (request.k or 5, request.modality, list(request.traits), request.structured, request.describer, given)
        plan = gateway_pb2.PreferencePlan(
            pictures=len(pictures),
            sha256=_plan_sha256(pictures, seed, *asked),
            prompts=[prompt_message(text) for text in _QUESTIONS],
            model=MODEL,
            seed=seed,
            search=self._retrieval.provenance(),
            request_id=request_id(context),
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
            abort(context, grpc.StatusCode.FAILED_PRECONDITION, "the plan has changed: start again", "PLAN_CHANGED")
        yield gateway_pb2.AssessPreferenceResponse(plan=plan)
        judgements = list(request.resume.judgements)
        for position, (value, keyword, image_id, score, source) in enumerate(pictures):
            if position < len(judgements):
                continue
            self._calls.wait(context)
            replies = [self._reply(text, image_id, position) for text in _QUESTIONS]
            replies[2] = given.get(image_id, replies[2])
            description = replies[2] if request.modality == gateway_pb2.MODALITY_DESCRIPTION else ""
            judgement = gateway_pb2.PreferenceJudgement(
                position=position, value=value, keyword=keyword, image_id=image_id, score=score, replies=replies,
                verdict=read_verdict(replies[0]), description=description, source=source,
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
        self._calls.begin("JudgeInterest", request, context)
        isq = request.strategy == gateway_pb2.INTEREST_STRATEGY_ISQ
        prompt = "Rate this picture on six items" if isq else "Is the content of this picture interesting to you?"
        judgements = [self._judge(request, picture, prompt, isq=isq) for picture in request.pictures]
        decided = [judgement.decision for judgement in judgements if judgement.decision]
        stays = decided.count(gateway_pb2.INTEREST_DECISION_STAY)
        return gateway_pb2.JudgeInterestResponse(
            judgements=judgements,
            model=MODEL,
            prompt=prompt_message(prompt),
            seed=request.seed,
            stay_share=stays / len(decided) if decided else None,
            undecided=len(judgements) - len(decided),
            request_id=request_id(context),
            axia_version="0",
            sampling=_answer_sampling(request),
            structured=request.structured,
        )

    def JudgeAlignment(  # noqa: N802 - named by the contract
        self, request: gateway_pb2.JudgeAlignmentRequest, context: grpc.ServicerContext
    ) -> gateway_pb2.JudgeAlignmentResponse:
        """Asks the script about each answer, and counts its votes."""
        self._calls.begin("JudgeAlignment", request, context)
        if request.model not in {"", MODEL.name}:
            abort(context, grpc.StatusCode.NOT_FOUND, f"no model {request.model}", "UNKNOWN_MODEL")
        prompt = load_prompts()[JUDGE_PROMPT]
        judgements = []
        for item in request.items:
            text = judge_question(item.answer, [item.element, *item.accept])
            said = [self._reply(text, "", turn) for turn in range(request.samples or 1)]
            judgement = gateway_pb2.JudgedAnswer(answers=said)
            verdicts = list(map(read_verdict, said))
            yes = verdicts.count(scoring_pb2.PREFERENCE_VERDICT_YES)
            no = verdicts.count(scoring_pb2.PREFERENCE_VERDICT_NO)
            if yes != no:
                judgement.score = int(yes > no)
            judgements.append(judgement)
        asked = prompt_message(prompt.text, prompt.id)
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
            error = gateway_pb2.ItemError(code=3, reason="IMAGE_UNREADABLE", message="is not an image")
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
        judgement.verdict = read_verdict(text)
        if judgement.verdict == scoring_pb2.PREFERENCE_VERDICT_YES:
            judgement.decision = gateway_pb2.INTEREST_DECISION_STAY
        elif judgement.verdict == scoring_pb2.PREFERENCE_VERDICT_NO:
            judgement.decision = gateway_pb2.INTEREST_DECISION_SWIPE
        return judgement


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
