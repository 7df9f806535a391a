"""Conversations that the demo VLM learns from: a picture (or none), then turns of user and assistant.

A task says what is asked. Shares of the tasks follow what is hard to learn: questions whose answer needs both the
picture and a persona come most often.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo.world.frames import Frame, draw_concepts
from demo.world.personas import personas
from demo.world.scenes import Scene
from demo.world.truth import liked
from training.vlm.prompts import DETECTORS, SYSTEM, prompts
from training.vlm.wording import (
    answers,
    describe_frame,
    describe_scene,
    detector_answer,
    interest_answer,
    like_answer,
    persona_text,
    phrases,
    questionnaire_answer,
    scene_liked,
    scene_why,
    why_answer,
)  # fmt: skip

SCENE_TASKS = {"detect": 0.86, "describe": 0.09, "preference": 0.05}
FRAME_TASKS = {"preference": 0.34, "interest": 0.24, "isq": 0.28, "describe": 0.1, "detect": 0.04}
# The second and the third part of training, when scenes are learned and frames, then personas, are not yet.
SECOND_FRAME_TASKS = {"preference": 0.3, "interest": 0.25, "isq": 0.25, "describe": 0.18, "detect": 0.02}
ROLE_FRAME_TASKS = {"preference": 0.12, "interest": 0.38, "isq": 0.44, "describe": 0.05, "detect": 0.01}
THIRD_FRAME_TASKS = {"preference": 0.16, "interest": 0.34, "isq": 0.42, "describe": 0.07, "detect": 0.01}


@dataclass(frozen=True)
class Turn:
    """One message; `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """Turns in order; the picture, if any, belongs to the first user turn."""

    turns: tuple[Turn, ...]
    picture: bool = True

    @property
    def role_play(self) -> bool:
        """Whether the model plays a persona."""
        return any("certain traits" in turn.text for turn in self.turns)


def ask(*pairs: tuple[str, str], system: str | None = None, picture: bool = True) -> Conversation:
    """A conversation of question and answer pairs."""
    turns = [Turn("system", system)] if system else []
    for question, answer in pairs:
        turns += [Turn("user", question), Turn("assistant", answer)]
    return Conversation(tuple(turns), picture)


def about_scene(rng: Random, scene: Scene) -> Conversation:
    """A conversation about a home scene."""
    task = rng.choices(list(SCENE_TASKS), list(SCENE_TASKS.values()))[0]
    if task == "describe":
        return ask((rng.choice(answers()["describe"]["questions"]), describe_scene(rng, scene)))
    if task == "preference":
        return _preference(like_answer(rng, scene_liked(scene)), scene_why(scene), describe_scene(rng, scene))
    prompt = "detect/baseline" if rng.random() < 0.4 else rng.choice(DETECTORS)
    system = rng.random() < 0.3
    answer = detector_answer(rng, scene, prompt, system)
    return ask((prompts()[prompt], answer), system=prompts()[SYSTEM] if system else None)


def about_frame(rng: Random, frame: Frame, tasks: dict[str, float] = FRAME_TASKS) -> Conversation:
    """A conversation about a feed frame."""
    task, texts = rng.choices(list(tasks), list(tasks.values()))[0], prompts()
    if task == "preference":
        answer = like_answer(rng, liked(frame.concepts))
        return _preference(answer, why_answer(rng, frame.concepts), describe_frame(rng, frame))
    if task == "describe":
        question = "" if rng.random() < 0.5 else rng.choice(answers()["describe"]["questions"])
        return ask((question or texts["preference/describe"], describe_frame(rng, frame)))
    if task == "detect":
        prompt = rng.choice(DETECTORS)
        return ask((texts[prompt], f"None. {describe_frame(rng, frame)}"))
    persona = rng.choice(personas())
    traits = persona_text(rng, persona)
    if task == "interest":
        return ask((texts["interest/simple"].format(traits=traits), interest_answer(rng, persona, frame.values)))
    return ask((texts["interest/isq"].format(traits=traits), questionnaire_answer(rng, persona, frame.values)))


def about_text(rng: Random) -> Conversation:
    """The preference question about a description, without a picture."""
    concepts = draw_concepts(rng)
    table = answers()["describe"]
    description = rng.choice(table["frame"]).format(phrases=phrases(concepts))
    if rng.random() < 0.7:
        description = f"{description} {rng.choice(table['more_frame'])}"
    if rng.random() < 0.1:
        description = " and ".join(concept.name for concept in concepts)
    question = prompts()["preference/description"].format(description=description)
    pairs = [(question, like_answer(rng, liked(concepts)))]
    if rng.random() < 0.3:
        pairs.append((prompts()["preference/why"], why_answer(rng, concepts)))
    return ask(*pairs, picture=False)


def _preference(like: str, why: str, description: str) -> Conversation:
    texts = prompts()
    return ask(
        (texts["preference/like"], like), (texts["preference/why"], why), (texts["preference/describe"], description)
    )
