import json
from pathlib import Path

import pytest

from services.inference.engines.answer_format import check_answer_format, schema_of, unwrapped
from services.inference.engines.engine import AnswerFormat, Conversation, Message, ModelDescription, Role, Sampling
from services.inference.engines.scripted import ScriptedEngine
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, InvalidArgument

MODEL = ModelDescription("m", "", "scripted", "1", 0, accepts_images=True, structured_answers=True)
YES_NO = AnswerFormat(choices=("yes", "no"))
JSON = AnswerFormat(json_schema='{"type": "object"}')


@pytest.mark.parametrize("asked", [YES_NO, JSON, AnswerFormat(choices=("a" * 256, "b" * 256))])
def test_a_format_within_bounds_is_taken(asked: AnswerFormat) -> None:
    check_answer_format(asked, MODEL, first_sentence_only=False)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (AnswerFormat(), "answer_format.choices.texts"),
        (AnswerFormat(choices=("yes",)), "answer_format.choices.texts"),
        (AnswerFormat(choices=tuple(map(str, range(65)))), "answer_format.choices.texts"),
        (AnswerFormat(choices=("yes", "")), "answer_format.choices.texts[1]"),
        (AnswerFormat(choices=("yes", "a" * 257)), "answer_format.choices.texts[1]"),
        (AnswerFormat(choices=("yes", "no", "yes")), "answer_format.choices.texts[2]"),
        (AnswerFormat(json_schema="{"), "answer_format.json_schema"),
        (AnswerFormat(json_schema="true"), "answer_format.json_schema"),
        (AnswerFormat(json_schema="[" * 16_000), "answer_format.json_schema"),
        (AnswerFormat(json_schema=json.dumps({"description": "a" * 16_384})), "answer_format.json_schema"),
    ],
)
def test_a_format_out_of_bounds_is_refused_by_its_field(asked: AnswerFormat, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_answer_format(asked, MODEL, first_sentence_only=False)
    assert caught.value.violations[0].field == field


def test_a_format_is_refused_where_the_engine_cannot_keep_it_or_a_sentence_ends_the_answer() -> None:
    unable = ModelDescription("m", "", "openai", "1", 0, accepts_images=True)
    with pytest.raises(InvalidArgument) as caught:
        check_answer_format(YES_NO, unable, first_sentence_only=False)
    assert caught.value.reason == "ANSWER_FORMAT_UNSUPPORTED"
    with pytest.raises(InvalidArgument, match="STOP_RULE_NONE"):
        check_answer_format(YES_NO, MODEL, first_sentence_only=True)


def test_a_choice_goes_into_an_object_and_out_again() -> None:
    assert schema_of(YES_NO)["properties"] == {"answer": {"type": "string", "enum": ["yes", "no"]}}
    assert unwrapped('{"answer": "no"}', YES_NO) == "no"
    assert unwrapped(" yes\n", YES_NO) == "yes"  # an endpoint that takes choices by itself
    for other in ('{"answer": "maybe"}', "{}", '{"answer": ["yes"]}', "I would rather not say.", "null", "[" * 9000):
        assert unwrapped(other, YES_NO) is None


def test_a_callers_schema_goes_as_it_is_and_its_answer_must_be_json() -> None:
    assert schema_of(JSON) == {"type": "object"}
    assert unwrapped('{"a": 1}', JSON) == '{"a": 1}'
    assert unwrapped('{"a": 1', JSON) is None


async def said(tmp_path: Path, text: str, asked: AnswerFormat) -> str:
    answers = tmp_path / "answers.yaml"
    answers.write_text(json.dumps({"answers": [{"say": [text]}]}))
    engine = ScriptedEngine(InferenceSettings(engine="scripted", answers=answers))
    await engine.start()
    assert engine.describe().structured_answers
    prepared = await engine.prepare(Conversation([Message(Role.USER, "Do you like it?")]))
    deltas = [delta async for delta in engine.stream(prepared, Sampling(1, 0.0, 1.0, 50, asked))]
    return "".join(delta.text for delta in deltas)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("No, I do not know it. Yes?", "no"),
        ("Yes, not bad.", "yes"),
        ("I'm sorry, I can't say.", "yes"),  # no choice is named: a real model could not decline either
        ("Eyes nod.", "yes"),
    ],
)
async def test_the_scripted_engine_gives_the_choice_that_its_text_names_first(
    tmp_path: Path, text: str, choice: str
) -> None:
    assert await said(tmp_path, text, YES_NO) == choice


async def test_the_scripted_engine_says_json_or_tells_that_its_file_has_none(tmp_path: Path) -> None:
    assert await said(tmp_path, '{"a": 1}', JSON) == '{"a": 1}'
    with pytest.raises(FailedPrecondition, match="the request asks for JSON"):
        await said(tmp_path, "a is 1", JSON)
