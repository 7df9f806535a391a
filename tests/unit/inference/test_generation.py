import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from axia.sentence.first_sentence import SentenceRule, find_first_sentence
from services.inference.engines.engine import Conversation, Delta, Engine, EngineLoad, Message, Prepared, Role, Sampling
from services.inference.engines.scripted import ScriptedEngine
from services.inference.generation import Completion, Ending, Finished, FinishReason, Started, TextDelta, generate
from services.inference.settings import InferenceSettings
from services.serving.errors import ResourceExhausted

ANSWERS = """
first_token_ms: 1
token_ms: {token_ms}
answers:
  - when: what
    say: ["The child is near the stove. It is hot. Help.", "A knife. It is sharp.", "None."]
  - when: nothing
    say: [""]
"""


async def engine(tmp_path: Path, *, token_ms: float = 0.0, **settings: object) -> ScriptedEngine:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS.format(token_ms=token_ms))
    made = ScriptedEngine(InferenceSettings(engine="scripted", answers=answers, **settings))  # type: ignore[arg-type]
    await made.start()
    return made


def samplings(n: int, *, temperature: float = 1.0, max_tokens: int = 100) -> list[Sampling]:
    return [Sampling(seed, temperature, 1.0, max_tokens) for seed in range(n)]


async def run(engine: ScriptedEngine, text: str, asked: list[Sampling], *, first: bool) -> list[object]:
    prepared = await engine.prepare(Conversation([Message(Role.USER, text)]))
    return [event async for event in generate(engine, prepared, asked, Ending(first_sentence_only=first))]


def completed(events: list[object]) -> list[Completion]:
    return sorted((e for e in events if isinstance(e, Completion)), key=lambda e: e.index)


async def test_events_come_as_started_then_each_completion_then_the_end(tmp_path: Path) -> None:
    events = await run(await engine(tmp_path), "what", samplings(4), first=False)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert [completion.index for completion in completed(events)] == [0, 1, 2, 3]
    assert len(events) == 6


async def test_completions_that_are_cut_off_are_told_with_their_tokens(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=20)
    prepared = await made.prepare(Conversation([Message(Role.USER, "what")]))
    cancelled: list[int] = []
    events = generate(made, prepared, samplings(3), Ending(), cancelled=cancelled.append)
    async with aclosing(events):
        assert isinstance(await anext(events), Started)
        await asyncio.sleep(0.05)
    assert cancelled  # one that says a word may have ended
    assert all(tokens > 0 for tokens in cancelled)


async def test_an_early_stop_keeps_the_same_first_sentence_with_fewer_tokens(tmp_path: Path) -> None:
    made = await engine(tmp_path)
    asked = samplings(40)
    stopped = completed(await run(made, "what", asked, first=True))
    whole = completed(await run(made, "what", asked, first=False))
    assert [c.first_sentence for c in stopped] == [find_first_sentence(c.text).sentence for c in whole]
    assert {c.first_sentence for c in stopped} == {"The child is near the stove.", "A knife.", "None."}
    assert sum(c.tokens for c in stopped) < sum(c.tokens for c in whole)
    assert {c.finish_reason for c in stopped} == {FinishReason.SENTENCE, FinishReason.STOP}


async def test_max_tokens_cuts_and_says_so(tmp_path: Path) -> None:
    (completion,) = completed(
        await run(await engine(tmp_path), "what", samplings(1, temperature=0, max_tokens=3), first=True)
    )
    assert completion.text.split() == ["The", "child", "is"]
    assert completion.finish_reason is FinishReason.LENGTH


async def test_a_model_that_says_nothing_gives_an_empty_completion(tmp_path: Path) -> None:
    events = await run(await engine(tmp_path), "nothing", samplings(2), first=True)
    assert isinstance(events[0], Started)
    assert [completion.first_sentence for completion in completed(events)] == ["", ""]


async def test_closing_the_generation_frees_the_engine(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=50)
    prepared = await made.prepare(Conversation([Message(Role.USER, "what")]))
    async with aclosing(generate(made, prepared, samplings(5), Ending())) as events:
        assert isinstance(await anext(events), Started)
        assert made.load().running == 5
    assert made.load() == EngineLoad(0, 0)


async def test_cancelling_the_caller_frees_the_engine(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=50)
    task = asyncio.create_task(run(made, "what", samplings(5), first=False))
    while made.load().running < 5:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.load() == EngineLoad(0, 0)


async def test_what_exceeds_max_running_waits_and_is_reported_as_queued(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=5, max_running=1)
    events = await run(made, "what", samplings(3, temperature=0), first=True)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.queue_s > 0.02
    assert len(completed(events)) == 3


async def test_a_full_queue_refuses_with_a_time_to_try_again(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=20, max_queue=4)
    made.admit(4)
    task = asyncio.create_task(run(made, "what", samplings(3), first=False))
    while made.load().running < 3:
        await asyncio.sleep(0.005)
    made.admit(1)
    with pytest.raises(ResourceExhausted) as caught:
        made.admit(2)
    assert caught.value.retry_after_s
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failing_stream_fails_the_whole_generation_and_frees_the_others(tmp_path: Path) -> None:
    made = await engine(tmp_path, token_ms=20)
    stream = made.stream

    def failing(prepared: object, sampling: Sampling) -> AsyncIterator[object]:
        if sampling.seed == 2:
            raise ResourceExhausted("full", reason="QUEUE_FULL")
        return stream(prepared, sampling)  # type: ignore[arg-type]

    made.stream = failing  # type: ignore[assignment, method-assign]
    with pytest.raises(ResourceExhausted):
        await run(made, "what", samplings(4), first=False)
    assert made.load() == EngineLoad(0, 0)


class _Saying:
    """An engine that says deltas; only what `generate` uses of one."""

    def __init__(self, *deltas: Delta) -> None:
        self._deltas = deltas

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        for delta in self._deltas:
            yield delta


async def said(*deltas: Delta, first: bool = True, rule: SentenceRule = SentenceRule.ANSWER) -> Completion:
    asked = samplings(1)
    made = cast("Engine", _Saying(*deltas))
    events = generate(made, Prepared(1, None), asked, Ending(first, rule))
    (completion,) = completed([event async for event in events])
    return completion


async def test_the_answers_first_sentence_stops_a_completion_and_what_it_omits_is_told() -> None:
    deltas = [Delta(text, 1) for text in ("Sure!", " Here it is:", "\n\n1. The", " stove.", " It is", " hot.")]
    completion = await said(*deltas)
    assert (completion.first_sentence, completion.omitted, completion.tokens) == (
        "The stove.",
        "Sure! Here it is:\n\n1.",
        5,
    )
    assert completion.finish_reason is FinishReason.SENTENCE


async def test_the_literal_rule_takes_the_texts_first_sentence() -> None:
    deltas = [Delta(text, 1) for text in ("Sure!", " The", " stove.")]
    completion = await said(*deltas, rule=SentenceRule.LITERAL)
    assert (completion.first_sentence, completion.omitted, completion.tokens) == ("Sure!", "", 2)


@pytest.mark.parametrize(
    "deltas",
    [
        [Delta("<think>A dog. It", 3), Delta(" is", 1, finish="length")],
        [Delta("", 3, reasoning="A dog. It"), Delta("", 1, finish="length", reasoning=" is")],
    ],
)
async def test_a_completion_that_only_reasons_says_so_and_has_no_answer(deltas: list[Delta]) -> None:
    completion = await said(*deltas)
    assert completion.finish_reason is FinishReason.REASONING
    assert (completion.first_sentence, completion.text, completion.reasoning) == ("", "", "A dog. It is")


async def test_reasoning_is_no_part_of_the_text() -> None:
    deltas = [Delta("", 1, reasoning="A dog. "), Delta("The bowl", 1), Delta(" is empty. Fill it.", 3, finish="stop")]
    completion = await said(*deltas, first=False)
    assert (completion.text, completion.reasoning) == ("The bowl is empty. Fill it.", "A dog.")
    assert (completion.first_sentence, completion.finish_reason) == ("The bowl is empty.", FinishReason.STOP)


class Says:
    """Gives deltas as they are."""

    def __init__(self, *deltas: Delta) -> None:
        self.deltas = deltas
        self.closed = 0

    async def stream(self, prepared: Prepared, sampling: Sampling) -> AsyncGenerator[Delta, None]:
        try:
            for delta in self.deltas:
                yield delta
        finally:
            self.closed += 1


async def told(said: Says, **ending: object) -> tuple[list[TextDelta], Completion]:
    events = generate(cast("Engine", said), Prepared(1, None), samplings(1), Ending(**ending))  # type: ignore[arg-type]
    found = [event async for event in events]
    assert isinstance(found[0], Started)
    return [event for event in found if isinstance(event, TextDelta)], completed(list(found))[0]


def spell(text: str) -> list[Delta]:
    return [Delta(letter, 1) for letter in text]


@pytest.mark.parametrize("given", [spell("A knife.\n\nUser: why?"), [Delta("A knife.\n\nUser: why?", 9)]])
async def test_a_stop_text_ends_a_completion_and_is_no_part_of_it(given: list[Delta]) -> None:
    said = Says(*given, Delta("", 0, "length"))
    deltas, completion = await told(said, stops=("User:", "\n\nUser"), deltas=True)
    assert (completion.text, completion.finish_reason) == ("A knife.", FinishReason.STOP)
    assert "".join(delta.text for delta in deltas) == "A knife."
    assert completion.tokens <= len("A knife.\n\nUser")
    assert said.closed == 1


async def test_the_beginning_of_a_stop_text_that_does_not_come_is_said(tmp_path: Path) -> None:
    deltas, completion = await told(Says(*spell("It is 3 ##"), Delta("", 0, "stop")), stops=("###",), deltas=True)
    assert completion.text == "".join(delta.text for delta in deltas) == "It is 3 ##"


async def test_stop_texts_are_not_looked_for_in_the_reasoning() -> None:
    said = Says(*spell("<think>END of it.</think> A knife. END more"), Delta("", 0, "stop"))
    deltas, completion = await told(said, stops=("END",), deltas=True)
    assert (completion.text, completion.reasoning) == ("A knife. ", "END of it.")
    assert "".join(delta.reasoning for delta in deltas) == "END of it."
    assert "".join(delta.text for delta in deltas) == "A knife. "


async def test_deltas_come_before_their_completion_and_only_on_request(tmp_path: Path) -> None:
    made = await engine(tmp_path)
    prepared = await made.prepare(Conversation([Message(Role.USER, "what")]))
    events = [event async for event in generate(made, prepared, samplings(3), Ending(deltas=True))]
    for completion in completed(list(events)):
        mine = [event for event in events if isinstance(event, TextDelta) and event.index == completion.index]
        assert "".join(event.text for event in mine) == completion.text
        assert len(mine) == completion.tokens > 0 or not completion.text
        assert all(events.index(event) < events.index(completion) for event in mine)
    silent = [event async for event in generate(made, prepared, samplings(3), Ending())]
    assert not any(isinstance(event, TextDelta) for event in silent)
