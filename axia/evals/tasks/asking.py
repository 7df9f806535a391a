"""The solver that all tasks share: asks a model about a picture, question by question in one conversation."""

from collections.abc import Sequence
from typing import Any

from inspect_ai.model import (
    CachePolicy,
    ChatMessage,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import collect, materialize_media
from pydantic import BaseModel, ConfigDict

from axia.evals.prompts import evaluation_prompts
from axia.evals.seeds import sample_seed

REPLIES = "replies"
"""Key of the store under which a sample keeps what the model said to each question."""
DESCRIPTION = "description"
"""Key of the store with the description that stood for the picture."""
COMPLETIONS = "completions"
"""Key of the store with several completions of one question."""
PRODUCED = "produced"
"""Key of the store with what produced the first reply: model, revision, engine, seed."""


class Sampling(BaseModel):
    """How a task samples; the same for each model."""

    model_config = ConfigDict(frozen=True)

    temperature: float = 1.0
    """0 to 2."""
    max_tokens: int = 100
    """Tokens of one answer at most."""
    seed: int = 0
    """The run's seed."""
    first_sentence: bool = False
    """Whether only the first sentence counts, so that axia's models may stop behind it."""
    cache: bool = False
    """Whether inspect_ai's cache of answers is used."""


def _config(model: Model, sampling: Sampling, seed: int) -> GenerateConfig:
    """Where only the first sentence counts, a model of axia's stops behind it."""
    from axia.evals.generation import FIRST_SENTENCE
    from axia.evals.provider import AxiaAPI

    stops = sampling.first_sentence and isinstance(model.api, AxiaAPI)
    return GenerateConfig(
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        seed=seed,
        extra_body={FIRST_SENTENCE: True} if stops else None,
    )


async def say(
    model: Model, messages: Sequence[ChatMessage], sampling: Sampling, state: TaskState, turn: str
) -> ModelOutput:
    """One answer, whose seed follows from the run's seed, the sample and the turn."""
    from axia.evals.provider import AxiaAPI

    small = not isinstance(model.api, AxiaAPI)
    seed = sample_seed(sampling.seed, str(state.sample_id), state.epoch, turn, small=small)
    # Without the sample's id, samples with the same picture would share one answer of a provider that takes no seed.
    scopes = {"sample": str(state.sample_id), "turn": turn}
    cache = CachePolicy(expiry=None, scopes=scopes) if sampling.cache else False
    return await model.generate(list(messages), config=_config(model, sampling, seed), cache=cache)


async def shown(images: Sequence[str], text: str) -> ChatMessageUser:
    """A message with the pictures before the text, as the studies asked."""
    pictures = [ContentImage(image=await materialize_media(image)) for image in images]
    return ChatMessageUser(content=[*pictures, ContentText(text=text)])


def _images(metadata: dict[str, Any]) -> list[str]:
    return metadata.get("images") or [metadata["image"]]


def _opening(metadata: dict[str, Any]) -> list[ChatMessage]:
    system = metadata.get("system_text")
    return [ChatMessageSystem(content=system)] if system else []


def produced(output: ModelOutput) -> dict[str, Any]:
    """What a log says of the model behind an answer."""
    return {"model": output.model, **{k: v for k, v in (output.metadata or {}).items() if k != "timings_ms"}}


@solver
def ask(sampling: Sampling) -> Solver:
    """Asks the sample's questions about its picture in one conversation.

    The sample's metadata hold ``image`` (or several as ``images``), ``questions`` and, where there is one,
    ``system_text``.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model, messages, replies = get_model(), _opening(state.metadata), []
        for turn, question in enumerate(state.metadata["questions"]):
            message = await shown(_images(state.metadata), question) if turn == 0 else ChatMessageUser(content=question)
            messages.append(message)
            output = await say(model, messages, sampling, state, str(turn))
            messages.append(output.message)
            replies.append(output.completion)
            if turn == 0:
                state.output = output
                state.store.set(PRODUCED, produced(output))
            if not output.completion.strip():
                break  # no chat template has room for an empty reply
        state.messages = messages
        state.store.set(REPLIES, replies)
        return state

    return solve


@solver
def ask_several(sampling: Sampling, samples: int) -> Solver:
    """Asks the sample's one question several times over, for agreement between completions."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        messages = [*_opening(state.metadata), await shown(_images(state.metadata), state.metadata["questions"][0])]
        outputs = await collect(*[say(model, messages, sampling, state, str(index)) for index in range(samples)])
        state.output = outputs[0]
        state.messages = [*messages, outputs[0].message]
        state.store.set(COMPLETIONS, [output.completion for output in outputs])
        state.store.set(PRODUCED, produced(outputs[0]))
        return state

    return solve


@solver
def ask_about_description(sampling: Sampling, describer: str | None) -> Solver:
    """Asks about the picture, or about a description of it in a fresh conversation, as the sample's ``modality`` says.

    Args:
        sampling: How both answer.
        describer: Name of the model that describes. None: the model that is asked.
    """
    by_picture = ask(sampling)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.metadata["modality"] == "picture":
            return await by_picture(state, generate)
        prompts, image = evaluation_prompts(), state.metadata["image"]
        describing = get_model(describer) if describer else get_model()
        described = await say(
            describing, [await shown([image], prompts["preference/describe"].text)], sampling, state, "describe"
        )
        description = described.completion.strip()
        state.store.set(DESCRIPTION, description)
        if not description:
            state.store.set(REPLIES, [""])
            return state
        text = prompts["preference/description"].text.replace("{description}", description)
        messages: list[ChatMessage] = [ChatMessageUser(content=text)]
        state.output = await say(get_model(), messages, sampling, state, "0")
        state.messages = [*messages, state.output.message]
        state.store.set(REPLIES, [state.output.completion])
        state.store.set(PRODUCED, produced(state.output))
        return state

    return solve
