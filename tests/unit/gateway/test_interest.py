import json
from dataclasses import replace
from hashlib import sha256

import pytest

from axia.prompts import load_prompts
from gateway.protocols.answers import AnswerRequest
from gateway.protocols.interest import Interest, InterestJudge, InterestPicture, InterestRequest
from gateway.protocols.retry import BackendUnavailable
from gateway.protocols.sampling import ModelDefaults, ModelLimits, completion_seed
from gateway.rpc import convert_interest
from gateway.settings import GatewaySettings
from services.serving.errors import InvalidArgument, Unavailable
from tests.support.gateway_fakes import MODEL, FakeModel, FakeRetrieval, FakeScoring
from tests.support.pictures import photograph

PICTURE = photograph(size=(20, 20))
REQUEST = InterestRequest([InterestPicture(PICTURE), InterestPicture(None, "lock-0")], ("I sing.", "I run."))


async def judge(
    request: InterestRequest,
    model: FakeModel,
    scoring: FakeScoring | None = None,
    retrieval: FakeRetrieval | None = None,
) -> Interest:
    settings = GatewaySettings(ask_attempts=2, ask_pause_s=0)
    interest_judge = InterestJudge(
        model, retrieval or FakeRetrieval(), scoring or FakeScoring(), load_prompts(), settings
    )
    try:
        return await interest_judge.judge(request)
    finally:
        interest_judge.close()


async def test_each_picture_is_asked_about_as_the_persona_with_its_own_seed() -> None:
    model = FakeModel(lambda question: "yes")
    interest = await judge(replace(REQUEST, answers=AnswerRequest(seed=3)), model)
    assert [judgement.stays for judgement in interest.judgements] == [True, True]
    seeds = {question.image: question.samples[0].seed for question in model.asked}
    assert "certain traits: I sing. I run.\n" in interest.prompt.text
    assert seeds == {
        PICTURE: completion_seed(3, 0, sha256(PICTURE).hexdigest()),
        b"lock-0": completion_seed(3, 0, "lock-0"),
    }


async def test_the_models_defaults_hold_where_the_request_does_not_say() -> None:
    model = FakeModel(lambda question: "yes")
    model.defaults = ModelDefaults(n=5, temperature=0.7, top_p=0.9, max_tokens=30, prompt_id="detect/safety")
    interest = await judge(REQUEST, model)
    asked = model.asked[0]
    assert [sample.temperature for sample in asked.samples] == [0.7]
    assert (asked.top_p, asked.max_tokens, interest.prompt.id) == (0.9, 30, "interest/simple")
    sent = convert_interest.from_interest(interest, "id").sampling
    assert (sent.temperature, sent.top_p, sent.max_tokens) == (0.7, 0.9, 30)
    said = AnswerRequest(temperature=0.0, top_p=1.0, max_tokens=5)
    sampling = (await judge(replace(REQUEST, answers=said), model)).sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.0, 1.0, 5)


async def test_a_limit_of_the_model_is_refused_by_the_fields_name() -> None:
    model = FakeModel(lambda question: "yes")
    model.limits = ModelLimits(16, 20)
    with pytest.raises(InvalidArgument, match="from 1 to 20, and is 21") as caught:
        await judge(replace(REQUEST, answers=AnswerRequest(max_tokens=21)), model)
    assert caught.value.violations[0].field == "max_tokens"


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 2), (None, 8)])
async def test_a_call_has_no_more_questions_in_flight_than_the_model_takes(concurrency: int | None, most: int) -> None:
    model = FakeModel(lambda question: "yes")
    model.limits = ModelLimits(16, 20, concurrency)
    await judge(replace(REQUEST, pictures=[InterestPicture(None, f"lock-{place}") for place in range(10)]), model)
    assert model.most_at_once == most


@pytest.mark.parametrize(("said", "stays", "reason"), [
    ("yes", True, ""), ("no", False, ""), ("declined", None, "ANSWER_REFUSAL"), ("", None, "ANSWER_UNPARSED"),
])  # fmt: skip
async def test_a_plain_answer_is_a_decision_or_says_why_not(said: str, stays: bool | None, reason: str) -> None:
    interest = await judge(REQUEST, FakeModel(lambda question: said))
    judgement = interest.judgements[0]
    assert (judgement.stays, judgement.error.reason if judgement.error else "") == (stays, reason)
    assert interest.undecided == (2 if stays is None else 0)
    assert interest.stay_share == (None if stays is None else float(stays))


@pytest.mark.parametrize(("said", "stays", "error"), [
    ("match", True, None),
    ("other", False, None),
    ("", None, ("ANSWER_EMPTY", "the model's answer is empty")),
    ("few", None, ("ISQ_INCOMPLETE", "the model's answer has no curiosity_stimulation")),
    ("strange", None, ("OUT_OF_RANGE", "the model's answer: action_desire must be from 0 to 1, and is 7")),
])  # fmt: skip
async def test_a_questionnaire_is_a_decision_or_says_why_not(
    said: str, stays: bool | None, error: tuple[str, str] | None
) -> None:
    interest = await judge(replace(REQUEST, strategy="isq"), FakeModel(lambda question: said))
    judgement = interest.judgements[0]
    assert judgement.stays is stays
    assert (judgement.error and (judgement.error.reason, judgement.error.message)) == error


@pytest.mark.parametrize(("default", "most", "asked", "used"), [
    (None, 1024, None, 256), (80, 1024, None, 256), (400, 1024, None, 400), (80, 200, None, 200), (80, 1024, 60, 60),
])  # fmt: skip
async def test_a_questionnaire_has_tokens_for_its_six_items(
    default: int | None, most: int, asked: int | None, used: int
) -> None:
    model = FakeModel(lambda question: "match")
    model.defaults, model.limits = ModelDefaults(max_tokens=default), ModelLimits(16, most)
    request = replace(REQUEST, strategy="isq", answers=AnswerRequest(max_tokens=asked))
    assert (await judge(request, model)).sampling.max_tokens == used
    assert {question.max_tokens for question in model.asked} == {used}


async def test_without_scoring_the_answers_are_kept() -> None:
    interest = await judge(REQUEST, FakeModel(lambda question: "yes"), FakeScoring(serving=False))
    assert [judgement.text for judgement in interest.judgements] == ["yes", "yes"]
    assert interest.undecided == 2


async def test_a_picture_that_is_none_or_gone_is_told_with_it() -> None:
    retrieval = FakeRetrieval()
    retrieval.gone.add("lock-0")
    request = replace(REQUEST, pictures=[InterestPicture(b"x"), *REQUEST.pictures])
    interest = await judge(request, FakeModel(lambda question: "yes"), retrieval=retrieval)
    reasons = [judgement.error.reason if judgement.error else "" for judgement in interest.judgements]
    assert reasons == ["IMAGE_UNREADABLE", "", "IMAGE_UNKNOWN"]


async def test_a_model_that_is_gone_ends_the_call() -> None:
    with pytest.raises(BackendUnavailable):
        await judge(REQUEST, FakeModel(lambda question: Unavailable("away", reason="BACKEND_UNREACHABLE")))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"traits": ()}, "traits"),
        ({"traits": ("x",) * 65}, "traits"),
        ({"traits": ("x" * 1025,)}, "traits[0]"),
        ({"pictures": []}, "pictures"),
        ({"pictures": [InterestPicture(None)]}, "pictures[0]"),
        ({"pictures": [InterestPicture(PICTURE)] * 65}, "pictures"),
        ({"threshold": -1.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
async def test_a_bad_field_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await judge(replace(REQUEST, **fields), FakeModel(lambda question: "yes"))  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field


async def test_a_structured_answer_is_held_to_yes_and_no_or_to_the_six_items_with_their_ranges() -> None:
    model = FakeModel(lambda question: "yes")
    interest = await judge(replace(REQUEST, structured=True), model)
    assert [question.answer_format and question.answer_format.choices for question in model.asked] == [
        ("yes", "no")
    ] * 2
    assert convert_interest.from_interest(interest, "id").structured
    await judge(replace(REQUEST, structured=True, strategy="isq"), model)
    asked = model.asked[-1].answer_format
    assert asked is not None
    schema = json.loads(asked.json_schema)
    assert schema["required"] == list(schema["properties"])
    assert [item["maximum"] for item in schema["properties"].values()] == [10, 10, 10, 10, 1, 1]
    plain = await judge(REQUEST, model)
    assert model.asked[-1].answer_format is None
    assert not convert_interest.from_interest(plain, "id").structured


async def test_a_structured_answer_is_refused_where_the_engine_cannot_give_it() -> None:
    model = FakeModel(lambda question: "yes")
    model.model = replace(MODEL, structured_answers=False)
    with pytest.raises(InvalidArgument) as caught:
        await judge(replace(REQUEST, structured=True), model)
    assert (caught.value.violations[0].field, caught.value.reason) == ("structured", "ANSWER_FORMAT_UNSUPPORTED")
    assert model.asked == []


async def test_reasoning_is_kept_beside_the_answer_and_is_none() -> None:
    interest = await judge(REQUEST, FakeModel(lambda question: "<think>no, or</think>yes"))
    judgement = convert_interest.from_interest(interest, "id").judgements[0]
    assert (judgement.text, judgement.reasoning) == ("yes", "no, or")
    assert interest.judgements[0].stays is True


async def test_tokens_that_all_went_into_reasoning_are_an_error_that_says_what_to_raise() -> None:
    interest = await judge(REQUEST, FakeModel(lambda question: "<think>I wonder"))
    judgement = interest.judgements[0]
    assert judgement.error is not None
    assert (judgement.error.reason, judgement.reasoning, judgement.text) == ("ANSWER_ONLY_REASONING", "I wonder", "")
    assert "set max_tokens higher" in judgement.error.message
