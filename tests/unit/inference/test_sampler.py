"""All completions of a request together, and those that are done when time runs out."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from axia.v1 import inference_pb2
from services.inference.convert import from_event, to_sample_request
from services.inference.engines.engine import Message, Role, Sampling
from services.inference.engines.scripted import ScriptedEngine
from services.inference.request import SampleRequest, ShownImage
from services.inference.sampling import Sampler
from services.inference.settings import InferenceSettings
from services.serving.errors import DeadlineExceeded, InvalidArgument
from tests.support.pictures import photograph

ANSWERS = """
first_token_ms: 1
token_ms: {token_ms}
answers:
  - when: uneven
    say: [Short, A longer answer of a great many words that go on and on for quite a while until they are over at last]
  - say: ["The child is near the stove."]
"""
UNEVEN_SEEDS = (1, 2, 3, 4, 5, 6)
"""Some of them give the short answer, others the long one."""


async def sampler(tmp_path: Path, *, token_ms: float = 0.0) -> Sampler:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS.format(token_ms=token_ms))
    settings = InferenceSettings(engine="scripted", answers=answers)
    made = Sampler(ScriptedEngine(settings), settings)
    await made.start()
    return made


def request(text: str, seeds: tuple[int, ...] = (1, 2, 3)) -> SampleRequest:
    samplings = [Sampling(seed, 1.0, 1.0, 100) for seed in seeds]
    return SampleRequest("", [], [Message(Role.USER, text)], samplings)


class Starts:
    """Counts how often a generation said that it started."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def test_all_completions_come_by_index_with_the_summary(tmp_path: Path) -> None:
    starts = Starts()
    completions, summary = await (await sampler(tmp_path)).sample_all(request("uneven", UNEVEN_SEEDS), None, starts)
    assert [(completion.index, completion.sampling.seed) for completion in completions] == list(enumerate(UNEVEN_SEEDS))
    assert {completion.text.split()[0] for completion in completions} == {"Short", "A"}
    assert summary is not None
    assert starts.count == 1


async def test_what_is_done_when_time_runs_out_comes_without_the_summary_and_the_rest_is_aborted(
    tmp_path: Path,
) -> None:
    made, starts = await sampler(tmp_path, token_ms=500), Starts()
    completions, summary = await made.sample_all(request("uneven", UNEVEN_SEEDS), 2.0, starts)
    assert {completion.text for completion in completions} == {"Short"}
    assert len(completions) < len(UNEVEN_SEEDS)
    assert summary is None
    assert starts.count == 1
    assert made._engine.load().running == 0


async def test_it_fails_if_nothing_is_done_when_time_runs_out(tmp_path: Path) -> None:
    made = await sampler(tmp_path, token_ms=1000)
    with pytest.raises(DeadlineExceeded, match="no completion was finished in time"):
        await made.sample_all(request("what"), 0.05, Starts())
    assert made._engine.load().running == 0


async def test_another_time_limit_than_its_own_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await sampler(tmp_path)

    async def failing(_: SampleRequest) -> AsyncGenerator[object, None]:
        raise TimeoutError("of a library")
        yield

    monkeypatch.setattr(made, "sample", failing)
    with pytest.raises(TimeoutError, match="of a library"):
        await made.sample_all(request("what"), 60.0, Starts())


async def test_a_cancelled_caller_frees_the_engine(tmp_path: Path) -> None:
    made, started = await sampler(tmp_path, token_ms=1000), asyncio.Event()

    task = asyncio.create_task(made.sample_all(request("what"), 60.0, started.set))
    await started.wait()
    assert made._engine.load().running == 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made._engine.load().running == 0


@pytest.mark.parametrize(
    ("asked", "sentence", "omitted"),
    [
        (inference_pb2.SENTENCE_RULE_UNSPECIFIED, "A knife.", "Sure!"),
        (inference_pb2.SENTENCE_RULE_ANSWER, "A knife.", "Sure!"),
        (inference_pb2.SENTENCE_RULE_LITERAL, "Sure!", ""),
    ],
)
async def test_a_request_chooses_the_rule_and_the_summary_names_it(
    tmp_path: Path, asked: inference_pb2.SentenceRule.ValueType, sentence: str, omitted: str
) -> None:
    answers = tmp_path / "own.yaml"
    answers.write_text('answers: [{say: ["Sure! A knife. It is sharp."]}]')
    settings = InferenceSettings(engine="scripted", answers=answers)
    made = Sampler(ScriptedEngine(settings), settings)
    await made.start()
    message = inference_pb2.GenerateRequest(
        messages=[inference_pb2.Message(role=inference_pb2.ROLE_USER, text="what")],
        samples=[inference_pb2.Sample()],
        sentence_rule=asked,
    )
    events = [from_event(event, settings) async for event in made.sample(to_sample_request(message, settings))]
    assert (events[1].completion.first_sentence, events[1].completion.omitted) == (sentence, omitted)
    literal = asked == inference_pb2.SENTENCE_RULE_LITERAL
    assert events[-1].summary.sentence_rule == ("literal/1" if literal else "answer/1")
    await made.close()


def test_a_rule_of_a_later_release_is_refused_by_name() -> None:
    request = inference_pb2.GenerateRequest()
    request.MergeFromString(b"\x48\x09")  # field 9 as the number 9
    with pytest.raises(InvalidArgument, match="sentence_rule"):
        to_sample_request(request, InferenceSettings(model="m"))


@pytest.mark.parametrize(
    ("useful", "setting", "used"),
    [
        (0, 16.0, (4000, 3000)),  # 12 megapixels are within the setting
        (12_544, 16.0, (2000, 1500)),  # 4 megapixels at least
        (1_500_000, 16.0, (2000, 1500)),  # four times as many
        (12_845_056, 16.0, (4000, 3000)),
        (12_544, 1.0, (1000, 750)),  # the setting is the smaller bound
        (12_544, 0.0, (2000, 1500)),
    ],
)
async def test_a_picture_is_reduced_to_what_the_model_can_use(
    tmp_path: Path, useful: int, setting: float, used: tuple[int, int]
) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS.format(token_ms=0))
    settings = InferenceSettings(engine="scripted", answers=answers, used_image_megapixels=setting)
    engine = ScriptedEngine(settings)
    described = engine.describe
    engine.describe = lambda: replace(described(), useful_pixels=useful)  # type: ignore[method-assign]
    made = Sampler(engine, settings)
    await made.start()
    image = photograph(size=(4000, 3000))
    _, summary = await made.sample_all(
        replace(request("Hello"), images=[ShownImage(image, "image.data")]), None, Starts()
    )
    assert summary is not None
    assert summary.used_size == used


def shown(message: int, after_chars: int = 0, size: tuple[int, int] = (64, 48)) -> ShownImage:
    return ShownImage(photograph(size=size), f"messages[{message}].images[0].image.data", message, after_chars)


async def test_several_pictures_are_counted_and_must_be_the_users(tmp_path: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS.format(token_ms=0))
    settings = InferenceSettings(engine="scripted", answers=answers, max_images=2)
    made = Sampler(ScriptedEngine(settings), settings)
    await made.start()
    turns = [Message(Role.USER, "what"), Message(Role.ASSISTANT, "A knife."), Message(Role.USER, "what now")]
    asked = replace(request("Hello"), messages=turns)
    two = await made.sample_all(replace(asked, images=[shown(0), shown(2, 4)]), None, Starts())
    none = await made.sample_all(asked, None, Starts())
    assert two.summary is not None
    assert none.summary is not None
    assert two.summary.prompt_tokens - none.summary.prompt_tokens == 2 * 64
    refused = [
        ([shown(0), shown(0), shown(2)], "TOO_MANY_IMAGES", "messages[2].images[0]"),
        ([shown(1)], "IMAGE_MISPLACED", "messages[1].images[0]"),
        ([shown(2, 9)], "OUT_OF_RANGE", "messages[2].images[0].after_chars"),
        ([replace_data(shown(2), b"x")], "IMAGE_UNREADABLE", "messages[2].images[0].image.data"),
    ]
    for images, reason, field in refused:
        with pytest.raises(InvalidArgument) as error:
            await made.sample_all(replace(asked, images=images), None, Starts())
        assert (error.value.reason, error.value.violations[0].field) == (reason, field)
    await made.close()


def replace_data(image: ShownImage, data: bytes) -> ShownImage:
    return image._replace(data=data)


async def test_pictures_of_two_calls_that_fill_the_room_do_not_wait_for_each_other(tmp_path: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS.format(token_ms=0))
    room = 2.5 * 1000 * 800 * 3 / 2**20  # for two and a half of the pictures
    settings = InferenceSettings(engine="scripted", answers=answers, decoded_images_mib=room)
    made = Sampler(ScriptedEngine(settings), settings)
    await made.start()
    asked = replace(request("Hello"), images=[shown(0, size=(1000, 800)), shown(0, size=(1000, 800))])
    async with asyncio.timeout(20):
        done = await asyncio.gather(*(made.sample_all(asked, None, Starts()) for _ in range(6)))
    assert all(completion.summary is not None for completion in done)
    await made.close()


def test_a_token_count_over_the_limit_is_lowered_on_request_alone() -> None:
    settings = InferenceSettings(model="m", max_tokens=50)
    asked = inference_pb2.GenerateRequest(samples=[{}], max_tokens=80)
    assert to_sample_request(asked, settings).samplings[0].max_tokens == 80
    asked.lower_max_tokens = True
    assert to_sample_request(asked, settings).samplings[0].max_tokens == 50
