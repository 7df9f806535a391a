from dataclasses import replace

import pytest

from axia.prompts import load_prompts
from gateway.protocols.answers import AnswerRequest
from gateway.protocols.ports.model import Question
from gateway.protocols.preference import PreferenceAssessor, PreferenceSummary
from gateway.protocols.preference_plan import Judgement, PlannedPictures, PreferencePlan, PreferenceRequest
from gateway.protocols.retry import BackendUnavailable
from gateway.protocols.sampling import ModelDefaults, ModelLimits, completion_seed
from gateway.rpc import convert_preference
from gateway.settings import GatewaySettings
from services.serving.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from tests.support.gateway_fakes import MODEL, FakeModel, FakeRetrieval, FakeScoring

SETTINGS = GatewaySettings(ask_attempts=3, ask_pause_s=0, protocol_concurrency=3)
REQUEST = PreferenceRequest(k=2, answers=AnswerRequest(seed=5))


def says(question: Question) -> str:
    asked = question.turns[-1].text
    return "yes" if "like the content" in asked else "why" if "Why" in asked else "a room"


async def run(
    request: PreferenceRequest = REQUEST,
    model: FakeModel | None = None,
    retrieval: FakeRetrieval | None = None,
    scoring: FakeScoring | None = None,
) -> tuple[PreferencePlan, list[Judgement], PreferenceSummary]:
    model = model or FakeModel(says)
    assessor = PreferenceAssessor(
        model, retrieval or FakeRetrieval(), scoring or FakeScoring(), load_prompts(), SETTINGS
    )
    events = [event async for event in assessor.assess(request)]
    plan, summary = events[0], events[-1]
    assert isinstance(plan, PreferencePlan)
    assert isinstance(summary, PreferenceSummary)
    return plan, [event for event in events[1:-1] if isinstance(event, Judgement)], summary


async def test_the_three_questions_are_one_conversation_about_the_picture() -> None:
    model = FakeModel(says)
    _, judgements, _ = await run(model=model)
    assert len(judgements) == 8
    questions = [question for question in model.asked if question.image == b"comedy-0"]
    assert [len(question.turns) for question in questions] == [1, 3, 5]
    assert [turn.text for turn in questions[2].turns if turn.role == "assistant"] == ["yes", "why"]
    assert [question.samples[0].seed for question in questions] == [
        completion_seed(5, index, "comedy-0") for index in range(3)
    ]


async def test_a_judgement_says_where_its_picture_comes_from_and_the_plans_hash_does_not_follow_it() -> None:
    plan, judgements, _ = await run()
    assert [judgement.picture.source for judgement in judgements[:2]] == ["comedy/0.jpg", "comedy/1.jpg"]
    written = convert_preference.from_preference_event(judgements[0], "id").judgement
    assert written.source == "comedy/0.jpg"
    renamed = tuple(picture._replace(source="elsewhere.jpg") for picture in plan.pictures)
    assert replace(plan, pictures=renamed).sha256 == plan.sha256


async def test_a_description_is_asked_about_in_a_fresh_conversation_without_the_picture() -> None:
    model = FakeModel(says)
    request = replace(REQUEST, modality="description", values=("hedonism",), keywords=("comedy",), k=1)
    plan, (judgement,), _ = await run(request, model)
    assert [question.image for question in model.asked] == [b"comedy-0", None, None]
    assert model.asked[1].turns[0].text.startswith("Here is a description of an image: a room\n")
    assert judgement.description == "a room"
    assert len(judgement.replies) == len(plan.prompts)


async def test_an_empty_reply_is_counted_and_left_out_of_what_follows() -> None:
    model = FakeModel(lambda question: "")
    _, judgements, summary = await run(model=model)
    assert [judgement.replies for judgement in judgements] == [("", "", "")] * 8
    assert {judgement.verdict for judgement in judgements} == {"unparsed"}
    assert all(turn.text for question in model.asked for turn in question.turns)
    assert (summary.scores, summary.failed) == ("table", 0)


async def test_of_a_reply_without_an_end_the_beginning_is_remembered_and_all_is_kept() -> None:
    endless = ("yes " * 5_000).strip()
    model = FakeModel(lambda question: endless)
    _, judgements, summary = await run(model=model)
    assert {judgement.replies for judgement in judgements} == {(endless,) * 3}
    assert max(len(turn.text) for question in model.asked for turn in question.turns) == SETTINGS.max_text_chars
    assert (summary.scores, summary.failed) == ("table", 0)


async def test_a_persona_comes_before_the_first_question() -> None:
    model = FakeModel(says)
    plan, _, _ = await run(replace(REQUEST, traits=("I am bold.", "I sing.")), model)
    assert plan.prompts[0].text == (
        "You are a person who possesses certain traits: I am bold. I sing.\nDo you like the content of this image?"
    )
    assert model.asked[0].turns[0].text == plan.prompts[0].text


async def test_the_plans_hash_follows_from_what_is_asked() -> None:
    hashes = [(await run(request))[0].sha256 for request in (
        REQUEST, REQUEST, replace(REQUEST, k=1), replace(REQUEST, traits=("x",)),
        replace(REQUEST, modality="description"), replace(REQUEST, answers=AnswerRequest(seed=6)),
        replace(REQUEST, answers=AnswerRequest(seed=5, temperature=1)),
    )]  # fmt: skip
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == len(hashes) - 1


async def test_the_models_defaults_hold_where_the_request_does_not_say() -> None:
    model = FakeModel(says)
    model.defaults = ModelDefaults(n=5, temperature=0.7, top_p=0.9, max_tokens=30, prompt_id="detect/safety")
    plan, judgements, _ = await run(model=model)
    assert {len(question.samples) for question in model.asked} == {1}
    assert {(question.samples[0].temperature, question.top_p, question.max_tokens) for question in model.asked} == {
        (0.7, 0.9, 30)
    }
    assert [prompt.id for prompt in plan.prompts] == ["preference/like", "preference/why", "preference/describe"]
    sent = convert_preference.from_preference_event(replace(plan, search=None), "id").plan.sampling
    assert (sent.temperature, sent.top_p, sent.max_tokens) == (0.7, 0.9, 30)
    assert plan.sha256 != (await run())[0].sha256
    answers = AnswerRequest(seed=5, temperature=0.0, top_p=1.0, max_tokens=100)
    assert (await run(replace(REQUEST, answers=answers), model))[0].sha256 == (await run())[0].sha256
    with pytest.raises(FailedPrecondition, match="the first plan's seed and sampling"):
        await run(replace(REQUEST, resume_sha256=plan.sha256, resumed=tuple(judgements[:2])))


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 2), (None, 3)])
async def test_a_call_has_no_more_questions_in_flight_than_the_model_takes(concurrency: int | None, most: int) -> None:
    model = FakeModel(says)
    model.limits = ModelLimits(16, 1024, concurrency)
    await run(model=model)
    assert model.most_at_once == most


@pytest.mark.parametrize("done", [0, 6, 8])
async def test_it_goes_on_where_it_broke_off_and_scores_all(done: int) -> None:
    plan, judgements, _ = await run()
    model, scoring = FakeModel(says), FakeScoring()
    request = replace(REQUEST, resume_sha256=plan.sha256, resumed=tuple(judgements[:done]))
    _, rest, _ = await run(request, model, scoring=scoring)
    assert [judgement.picture.position for judgement in rest] == list(range(done, 8))
    assert len(scoring.table) == 8


@pytest.mark.parametrize("change", ["order", "picture", "replies", "many"])
async def test_judgements_of_another_plan_are_refused_by_their_index(change: str) -> None:
    plan, judgements, _ = await run()
    first = judgements[0]
    resumed = {
        "order": (judgements[1],),
        "picture": (replace(first, picture=first.picture._replace(image_id="x")),),
        "replies": (replace(first, replies=("yes",)),),
        "many": (*judgements, judgements[0]),
    }[change]
    index = 8 if change == "many" else 0
    with pytest.raises(InvalidArgument, match=rf"resume\.judgements\[{index}\]"):
        await run(replace(REQUEST, resume_sha256=plan.sha256, resumed=resumed))


async def test_a_changed_plan_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="plan has changed"):
        await run(replace(REQUEST, resume_sha256="0" * 64))


async def test_what_goes_wrong_with_one_picture_is_told_with_it() -> None:
    retrieval = FakeRetrieval()
    retrieval.gone.add("comedy-1")
    _, judgements, summary = await run(retrieval=retrieval)
    assert [judgement.picture.image_id for judgement in judgements if judgement.error] == ["comedy-1"]
    assert summary.failed == 1


async def test_a_busy_model_is_asked_again() -> None:
    refused: list[Question] = []

    def says_later(question: Question) -> str | ServiceError:
        if len(refused) < 2:
            refused.append(question)
            return ResourceExhausted("full", reason="QUEUE_FULL")
        return says(question)

    _, judgements, _ = await run(model=FakeModel(says_later))
    assert not [judgement for judgement in judgements if judgement.error]


async def test_a_model_that_is_gone_ends_the_call_after_bounded_attempts() -> None:
    model = FakeModel(lambda question: Unavailable("away", reason="BACKEND_UNREACHABLE"))
    with pytest.raises(BackendUnavailable):
        await run(model=model)
    assert len(model.asked) <= SETTINGS.ask_attempts * SETTINGS.protocol_concurrency


async def test_after_the_model_started_nothing_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    said = "it died. The endpoint says: a secret prompt"
    model = FakeModel(lambda question: Unavailable(said, reason="BACKEND_UNREACHABLE"), started_first=True)
    with caplog.at_level("DEBUG"):
        _, judgements, summary = await run(model=model)
    assert "could not be judged: BACKEND_UNREACHABLE" in caplog.text
    assert "secret" not in caplog.text  # endpoints quote what they are asked
    assert len(model.asked) == len(judgements) == summary.failed == 8
    assert summary.scores is None
    assert not summary.missing


async def test_an_error_about_every_picture_ends_the_call() -> None:
    model = FakeModel(lambda question: InvalidArgument("traits", "hold a special token", reason="SPECIAL_TOKEN"))
    with pytest.raises(InvalidArgument, match="traits"):
        await run(replace(REQUEST, traits=("<s>",)), model)


async def test_without_scoring_the_scores_are_missing() -> None:
    _, judgements, summary = await run(scoring=FakeScoring(serving=False))
    assert {judgement.verdict for judgement in judgements} == {None}
    assert (summary.scores, summary.missing) == (None, ("scores",))


@pytest.mark.parametrize(("images", "reason"), [(0, "NOTHING_INDEXED"), (8, "NOTHING_FOUND")])
async def test_no_picture_at_all_is_refused(images: int, reason: str) -> None:
    retrieval = FakeRetrieval()
    retrieval.found, retrieval.images = 0, images
    with pytest.raises(FailedPrecondition) as caught:
        await run(retrieval=retrieval)
    assert caught.value.reason == reason


async def test_keywords_with_too_few_pictures_are_named() -> None:
    plan, _, _ = await run(replace(REQUEST, k=3, values=("security",)))
    assert plan.short_keywords == ("lock", "shield")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"values": ("joy",)}, "values[0]"),
        ({"values": ("security", "security")}, "values[1]"),
        ({"keywords": ("x",)}, "keywords[0]"),
        ({"values": ("security",), "keywords": ("comedy",)}, "keywords[0]"),
        ({"values": ("security", "hedonism"), "keywords": ("lock",)}, "values[1]"),
        ({"k": 0}, "k"),
        ({"traits": ("",)}, "traits[0]"),
        ({"traits": ("x" * 1000,) * 20}, "traits"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"answers": AnswerRequest(temperature=3)}, "temperature"),
    ],
)
async def test_a_bad_field_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await run(replace(REQUEST, **fields))  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field


async def test_a_structured_assessment_holds_the_answer_to_the_first_question_alone() -> None:
    model = FakeModel(says)
    plan, _, _ = await run(replace(REQUEST, structured=True), model)
    held = [
        (question.turns[-1].text == plan.prompts[0].text, question.answer_format is not None)
        for question in model.asked
    ]
    assert all(first is format_ for first, format_ in held)
    assert convert_preference.from_preference_event(replace(plan, search=None), "id").plan.structured
    model = FakeModel(says)
    await run(replace(REQUEST, structured=True, modality="description"), model)
    about_text = [question for question in model.asked if question.image is None]
    assert [question.answer_format is not None for question in about_text] == [
        len(question.turns) == 1 for question in about_text
    ]
    assert not any(question.answer_format for question in model.asked if question.image)


async def test_a_structured_plan_has_a_hash_of_its_own_and_others_keep_theirs() -> None:
    plan, _, _ = await run()
    assert (await run(replace(REQUEST, structured=True)))[0].sha256 != plan.sha256
    assert plan.sha256 == "b5eb0f32706f881ade722aba6078b18a5d6fe0a399ed4179171c6d4bcfe76a07"  # by the release before


async def test_a_structured_assessment_is_refused_where_the_engine_cannot_give_it() -> None:
    model = FakeModel(says)
    model.model = replace(MODEL, structured_answers=False)
    with pytest.raises(InvalidArgument) as caught:
        await run(replace(REQUEST, structured=True), model)
    assert (caught.value.violations[0].field, caught.value.reason) == ("structured", "ANSWER_FORMAT_UNSUPPORTED")


async def test_reasoning_is_kept_for_each_reply_and_stays_out_of_the_conversation() -> None:
    model = FakeModel(lambda question: "<think>hm</think>" + says(question) if len(question.turns) == 1 else "why")
    _, judgements, _ = await run(model=model)
    assert judgements[0].replies == ("yes", "why", "why")
    assert judgements[0].reasoning == ("hm", "", "")
    assert not any("hm" in turn.text for question in model.asked for turn in question.turns)
    sent = convert_preference.from_preference_event(judgements[0], "id").judgement
    assert list(sent.reasoning) == ["hm", "", ""]
    _, plain, _ = await run()
    assert plain[0].reasoning == ()


async def test_a_picture_whose_tokens_all_went_into_reasoning_says_so() -> None:
    _, judgements, summary = await run(model=FakeModel(lambda question: "<think>hm"))
    errors = [judgement.error for judgement in judgements if judgement.error]
    assert {error.reason for error in errors} == {"ANSWER_ONLY_REASONING"}
    assert summary.failed == len(judgements) == len(errors)


class TwoModels:
    """A model that takes text alone, and one that describes pictures."""

    def __init__(self) -> None:
        self.reader, self.seer = FakeModel(says), FakeModel(says)
        self.reader.model = replace(MODEL, name="reader", accepts_images=False)
        self.seer.model = replace(MODEL, name="seer")

    async def find(self, model: str) -> FakeModel:
        if model not in {"", "reader", "seer"}:
            raise NotFound("model", f"there is no model {model!r}", reason="MODEL_UNKNOWN")
        return self.seer if model == "seer" else self.reader


ONE = replace(REQUEST, modality="description", values=("hedonism",), keywords=("comedy",), k=1)


async def assess(models: TwoModels, request: PreferenceRequest) -> tuple[PreferencePlan, list[Judgement]]:
    assessor = PreferenceAssessor(models, FakeRetrieval(), FakeScoring(), load_prompts(), SETTINGS)
    plan, *others = [event async for event in assessor.assess(request)]
    assert isinstance(plan, PreferencePlan)
    return plan, [event for event in others if isinstance(event, Judgement)]


async def test_another_model_describes_for_one_that_takes_text_alone() -> None:
    models = TwoModels()
    plan, (judgement,) = await assess(models, replace(ONE, describer="seer"))
    assert [question.image for question in models.seer.asked] == [b"comedy-0"]
    assert [question.image for question in models.reader.asked] == [None, None]
    assert (judgement.description, judgement.error) == ("a room", None)
    written = convert_preference.from_preference_event(replace(plan, search=None), "r").plan
    assert (written.model.name, written.describer.name, written.given_descriptions) == ("reader", "seer", 0)


async def test_descriptions_that_are_given_are_asked_about_and_nothing_is_described() -> None:
    models = TwoModels()
    plan, (judgement,) = await assess(models, replace(ONE, descriptions={"comedy-0": "A clown.", "other": "A cat."}))
    assert models.seer.asked == []
    assert "A clown." in models.reader.asked[0].turns[0].text
    assert judgement.description == judgement.replies[2] == "A clown."
    written = convert_preference.from_preference_event(replace(plan, search=None), "r").plan
    assert (written.HasField("describer"), written.given_descriptions) == (False, 1)


async def test_describer_and_descriptions_are_part_of_the_plan_and_only_where_they_are_used() -> None:
    plain, _ = await assess(TwoModels(), replace(ONE, model="seer"))
    described, _ = await assess(TwoModels(), replace(ONE, model="seer", describer="seer"))
    given, _ = await assess(TwoModels(), replace(ONE, model="seer", descriptions={"comedy-0": "A clown."}))
    unused, _ = await assess(TwoModels(), replace(ONE, model="seer", descriptions={"other": "A cat."}))
    assert plain.sha256 == described.sha256 == unused.sha256
    assert given.sha256 != plain.sha256
    request = replace(ONE, descriptions={"comedy-0": "A clown."})
    assert (await assess(TwoModels(), request))[0].sha256 == (
        await assess(TwoModels(), replace(request, describer="seer"))
    )[0].sha256  # nothing is left to describe


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ONE, "describer"),  # the model itself can't see
        (replace(ONE, describer="reader"), "describer"),
        (replace(ONE, describer="seer", modality="picture"), "describer"),
        (replace(ONE, descriptions={"a": "b"}, modality="picture"), "descriptions"),
        (replace(ONE, modality="picture"), "model"),
        (replace(ONE, descriptions={"comedy-0": " "}), "descriptions[0].text"),
        (replace(ONE, descriptions={str(index): "x" for index in range(10_001)}), "descriptions"),
    ],
)
async def test_what_a_model_that_takes_no_pictures_needs_is_said(request_: PreferenceRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await assess(TwoModels(), request_)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_an_assessment_with_a_describer_goes_on_whatever_the_defaults_of_both_models() -> None:
    models = TwoModels()
    models.seer.defaults = ModelDefaults(temperature=0.7)
    models.seer.limits = ModelLimits(16, 50)
    request = replace(ONE, describer="seer")
    plan, judgements = await assess(models, request)
    assert [question.samples[0].temperature for question in models.seer.asked] == [0.7]
    assert models.seer.asked[0].max_tokens == 50
    written = convert_preference.from_preference_event(replace(plan, search=None), "r").plan
    assert (written.describer_sampling.temperature, written.describer_sampling.max_tokens) == (0.7, 50)
    sampling, other = plan.sampling, written.describer_sampling
    again = replace(
        request,
        answers=AnswerRequest(sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed),
        describer_answers=AnswerRequest(other.temperature, other.top_p, other.max_tokens),
        resume_sha256=plan.sha256,
        resumed=tuple(judgements),
    )
    resumed, more = await assess(models, again)
    assert (resumed.sha256, more) == (plan.sha256, [])


async def test_what_a_describer_refuses_is_said_of_the_describer() -> None:
    models = TwoModels()
    models.seer.say = lambda question: NotFound("model", "no such model", reason="MODEL_UNKNOWN")
    with pytest.raises(NotFound) as caught:
        await assess(models, replace(ONE, describer="seer"))
    assert [violation.field for violation in caught.value.violations] == ["describer"]


async def test_a_description_has_room_beside_the_question() -> None:
    with pytest.raises(InvalidArgument) as caught:
        await assess(TwoModels(), replace(ONE, descriptions={"comedy-0": "x" * SETTINGS.max_text_chars}))
    assert [violation.field for violation in caught.value.violations] == ["descriptions[0].text"]


async def test_a_describer_that_there_is_not_is_named_as_such() -> None:
    with pytest.raises(NotFound) as caught:
        await assess(TwoModels(), replace(ONE, describer="nobody"))
    assert [violation.field for violation in caught.value.violations] == ["describer"]


async def test_a_resumed_plan_keeps_its_pictures_though_a_search_would_now_find_others() -> None:
    retrieval = FakeRetrieval()
    plan, judgements, _ = await run(retrieval=retrieval)
    retrieval.found = 1  # as after pictures were deleted, or nearer ones indexed
    retrieval.searches = 0
    resumed = replace(REQUEST, resume_sha256=plan.sha256, resumed=tuple(judgements[:3]))
    with pytest.raises(FailedPrecondition, match=r"resume\.planned"):
        await run(resumed, retrieval=retrieval)
    retrieval.searches = 0
    held = PlannedPictures(plan.pictures, plan.search, plan.short_keywords)
    again, rest, summary = await run(replace(resumed, resume_planned=held), retrieval=retrieval)
    assert (again.sha256, again.pictures, again.search) == (plan.sha256, plan.pictures, plan.search)
    assert [judgement.picture.position for judgement in rest] == [3, 4, 5, 6, 7]
    assert (retrieval.searches, summary.failed) == (0, 0)


async def test_pictures_that_are_not_those_of_the_plan_are_refused() -> None:
    plan, judgements, _ = await run()
    others = PlannedPictures(plan.pictures[::-1], plan.search, ())
    request = replace(REQUEST, resume_sha256=plan.sha256, resumed=tuple(judgements[:3]), resume_planned=others)
    with pytest.raises(FailedPrecondition, match="the plan has changed"):
        await run(request)


@pytest.mark.parametrize(("field", "value"), [("k", 3), ("k", 1), ("values", ("security",)), ("keywords", ("lock",))])
async def test_a_resumed_plan_is_not_gone_on_with_by_another_request(field: str, value: object) -> None:
    plan, judgements, _ = await run()
    held = PlannedPictures(plan.pictures, plan.search, plan.short_keywords)
    request = replace(REQUEST, resume_sha256=plan.sha256, resumed=tuple(judgements[:3]), resume_planned=held)
    with pytest.raises(FailedPrecondition, match=f"made with another {field}"):
        await run(replace(request, **{field: value}))  # type: ignore[arg-type]  # fields by name


async def test_a_score_threshold_that_nothing_reaches_is_named() -> None:
    plan, _, _ = await run(replace(REQUEST, score_threshold=0.5))
    assert len(plan.pictures) == 8
    with pytest.raises(FailedPrecondition, match="no image matches the filter and score_threshold"):
        await run(replace(REQUEST, score_threshold=0.6))
    with pytest.raises(InvalidArgument, match="score_threshold"):
        await run(replace(REQUEST, score_threshold=1.5))
