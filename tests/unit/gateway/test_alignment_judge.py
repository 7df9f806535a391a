from dataclasses import replace

import pytest

from axia.prompts import load_prompts
from axia.v1 import gateway_pb2
from gateway.protocols.alignment_judge import AlignmentJudge, Item, Judgements, JudgeRequest, Tally, Votes
from gateway.protocols.ports.model import Question
from gateway.protocols.retry import BackendUnavailable
from gateway.protocols.sampling import ModelLimits
from gateway.rpc import convert_alignment
from gateway.settings import GatewaySettings
from services.serving.errors import InvalidArgument, Unavailable
from tests.support.gateway_fakes import MODEL, FakeModel, FakeScoring

STOVE, CAT = Item("The stove.", ("stove", "hob")), Item("A cat.", ("stove", "hob"))


async def judge(request: JudgeRequest, model: FakeModel, scoring: FakeScoring | None = None) -> Judgements:
    settings = GatewaySettings(ask_attempts=2, ask_pause_s=0)
    return await AlignmentJudge(model, scoring or FakeScoring(), load_prompts(), settings).judge(request)


def about_stoves(question: Question) -> str:
    return "yes" if "answered: The stove." in question.turns[0].text else "no"


async def test_each_distinct_answer_is_judged_once_at_temperature_0() -> None:
    model = FakeModel(about_stoves)
    judgements = await judge(JudgeRequest([STOVE, CAT, STOVE]), model)
    assert [judged.score for judged in judgements.judged] == [1, 0, 1]
    assert [judged.answers for judged in judgements.judged] == [("yes",), ("no",), ("yes",)]
    assert len(model.asked) == 2
    assert "They named: stove; hob\n" in model.asked[0].turns[0].text
    assert [(question.samples[0].temperature, question.max_tokens, question.image) for question in model.asked] == [
        (0.0, 64, None)
    ] * 2
    assert judgements.prompt.id == "judge/names-element"


async def test_votes_beyond_the_models_limit_of_samples_are_asked_for_in_parts_with_seeds_of_their_own() -> None:
    model = FakeModel(lambda question: "yes")
    model.limits = ModelLimits(4, 1024)
    (judged,) = (await judge(JudgeRequest([STOVE], votes=Votes(10)), model)).judged
    assert judged.answers == ("yes",) * 10
    assert [len(question.samples) for question in model.asked] == [4, 4, 2]
    seeds = [sample.seed for question in model.asked for sample in question.samples]
    assert len(set(seeds)) == 10
    await judge(JudgeRequest([STOVE], votes=Votes(10)), model)
    assert [sample.seed for question in model.asked[3:] for sample in question.samples] == seeds


@pytest.mark.parametrize(
    ("said", "score"),
    [
        (["yes", "no", "yes"], 1),
        (["no", "no", "hm"], 0),
        (["yes", "hm", "declined"], 1),
        (["yes", "no", "hm"], None),
        (["hm", "", "declined"], None),
    ],
)
async def test_the_majority_of_the_votes_that_can_be_read_counts(said: list[str], score: int | None) -> None:
    (judged,) = (await judge(JudgeRequest([STOVE], votes=Votes(3)), FakeModel(lambda question: said))).judged
    assert judged.score == score
    assert list(judged.answers) == said


@pytest.mark.parametrize(
    ("tally", "text"),
    [
        (Tally(2, 1, 3), '{"verdict": "yes", "votes": "2 of 3"}'),
        (Tally(0, 1, 5), '{"verdict": "no", "votes": "1 of 5"}'),
        (Tally(1, 1, 3), "yes or no"),
        (Tally(0, 0, 3), ""),
    ],
)
def test_a_tally_is_one_answer_whose_form_says_the_majority(tally: Tally, text: str) -> None:
    assert tally.text == text


async def test_a_structured_judge_is_held_to_yes_and_no_or_refused() -> None:
    model = FakeModel(about_stoves)
    request = JudgeRequest([STOVE], votes=Votes(structured=True))
    await judge(request, model)
    assert model.asked[0].answer_format is not None
    model.model = replace(MODEL, structured_answers=False)
    with pytest.raises(InvalidArgument) as caught:
        await judge(request, model)
    assert caught.value.reason == "ANSWER_FORMAT_UNSUPPORTED"
    assert caught.value.violations[0].field == "structured"


async def test_what_the_model_refuses_of_one_answer_is_told_with_that_one() -> None:
    refusal = InvalidArgument("items", "holds '<image>'", reason="SPECIAL_TOKEN")
    model = FakeModel(lambda question: refusal if "A cat." in question.turns[0].text else "yes")
    stove, cat = (await judge(JudgeRequest([STOVE, CAT]), model)).judged
    assert (stove.score, stove.error) == (1, None)
    assert (cat.score, cat.error) == (None, refusal)


async def test_a_judge_that_only_reasons_is_told() -> None:
    (judged,) = (await judge(JudgeRequest([STOVE], votes=Votes(2)), FakeModel(lambda question: "<think>Hm"))).judged
    assert judged.error is not None
    assert judged.error.reason == "ANSWER_ONLY_REASONING"


async def test_a_model_that_is_away_ends_the_call() -> None:
    with pytest.raises(BackendUnavailable):
        await judge(JudgeRequest([STOVE]), FakeModel(lambda question: Unavailable("away", reason="AWAY")))


async def test_no_model_is_asked_where_nobody_reads_what_it_says() -> None:
    model = FakeModel(about_stoves)
    with pytest.raises(Unavailable):
        await judge(JudgeRequest([STOVE]), model, FakeScoring(serving=False))
    assert model.asked == []


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (JudgeRequest([]), "items"),
        (JudgeRequest([STOVE] * 1025), "items"),
        (JudgeRequest([STOVE], votes=Votes(26)), "samples"),
        (JudgeRequest([STOVE, Item("a", ("",))]), "items[1].element"),
        (JudgeRequest([Item("a", ("b", " "))]), "items[0].accept[0]"),
        (JudgeRequest([Item("a", ("b",) * 66)]), "items[0].accept"),
        (JudgeRequest([Item("a" * 16_385, ("b",))]), "items[0].answer"),
    ],
)
async def test_what_is_out_of_bounds_is_refused_by_its_field(request_: JudgeRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await judge(request_, FakeModel(about_stoves))
    assert caught.value.violations[0].field == field


async def test_the_contract_is_read_and_written() -> None:
    sent = gateway_pb2.JudgeAlignmentRequest(model="m", samples=3, structured=True)
    sent.items.add(answer="The stove.", element="stove", accept=["hob"])
    request = convert_alignment.to_judge_request(sent)
    assert request == JudgeRequest([STOVE], "m", Votes(3, structured=True))
    assert convert_alignment.to_judge_request(gateway_pb2.JudgeAlignmentRequest()).votes == Votes()
    written = convert_alignment.from_judgements(await judge(JudgeRequest([STOVE, CAT]), FakeModel(about_stoves)))
    assert [(judgement.score, list(judgement.answers)) for judgement in written.judgements] == [
        (1, ["yes"]),
        (0, ["no"]),
    ]
    assert written.model.name == "fake"
