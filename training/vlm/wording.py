"""What the demo VLM is taught to say: answers drawn from many templates, in authored shares (answers.toml).

Everything is a function of the world's truth and a `random.Random`, so a seed gives the same words everywhere.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from demo.world.catalogue import Concept, Situation
from demo.world.frames import Frame
from demo.world.personas import Persona
from demo.world.scenes import Scene
from demo.world.truth import Questionnaire, interested, liked, questionnaire

DATA = Path(__file__).parent / "answers.toml"
ITEMS = (
    "visual attractiveness", "curiosity stimulation", "emotional engagement",
    "value expectation", "preference alignment", "action desire",
)  # fmt: skip
"""Names of the six ISQ items as the prompt writes them, in its order."""
FRAMINGS = {"detect/health": "health", "detect/safety": "safety", "detect/social": "social"}
"""Detector prompt → the concern that it dwells on."""


@cache
def answers() -> dict[str, Any]:
    """The authored shares and templates."""
    return tomllib.loads(DATA.read_text(encoding="utf-8"))


def first_of(rng: Random, templates: Sequence[str]) -> str:
    """One of the templates; the first one in six cases of ten, so that the most likely answer is well defined."""
    if len(templates) == 1 or rng.random() < 0.6:
        return templates[0]
    return rng.choice(templates[1:])


def lower_first(sentence: str) -> str:
    """The sentence with a small first letter."""
    return sentence[0].lower() + sentence[1:]


def detector_kind(rng: Random, situation: Situation, prompt: str, system: bool) -> str:
    """Kind of answer: aware, plain, descriptive, none, wrong, quality, hallucinated."""
    detect = answers()["detect"]
    common, draw = detect["any"], rng.random()
    if situation.control:
        shares = {
            "hallucinated": common["hallucinated"],
            "descriptive": common["control_descriptive"],
            "quality": common["quality"],
        }
        return _pick(draw, shares, "none")
    if situation.response == 1:
        share = common["aware_baseline"]
        if prompt in ("detect/values", "detect/reason"):
            share = common["aware_values"]
        elif prompt in FRAMINGS or system:
            share = common["aware_framed"]
        return _pick(draw, {"quality": common["quality"], "wrong": common["wrong"], "aware": share}, "plain")
    name = prompt.removeprefix("detect/")
    if prompt in FRAMINGS:
        name = "matched" if FRAMINGS[prompt] == situation.concern else "framed"
    table = detect[name]
    halved = 0.5 if system else 1.0
    shares = {
        "descriptive": table["descriptive"] * halved,
        "none": table["none"] * halved,
        "quality": common["quality"],
        "wrong": common["wrong"],
    }
    return _pick(draw, shares, "aware")


def _pick(draw: float, shares: dict[str, float], rest: str) -> str:
    for kind, share in shares.items():
        if draw < share:
            return kind
        draw -= share
    return rest


def detector_answer(rng: Random, scene: Scene, prompt: str, system: bool) -> str:
    """An answer to a detector prompt: the element in the first sentence, then one to four more sentences."""
    words, situation = answers()["detect"]["words"], scene.situation
    kind = detector_kind(rng, situation, prompt, system)
    fill = {"subject": situation.subject, "room": scene.room, "shows": situation.shows, "concern": situation.concern}
    if kind in ("aware", "plain"):
        first = _element(rng, situation, kind)
        if prompt == "detect/reason" and kind == "aware":
            first = f"{first[:-1]}, and {lower_first(situation.why)}"
    elif kind == "none":
        first = "None."
    else:
        template = first_of(rng, words[kind])
        first = template.format(**fill, thing=rng.choice(words["things"]))
    rest = []
    if rng.random() < 0.9 and lower_first(situation.why) not in first:
        rest.append(situation.why)
    if rng.random() < 0.9:
        rest.append(situation.act)
    if FRAMINGS.get(prompt) == situation.concern:
        rest.append(words["matched"][0].format(**fill))
    if situation.control and system:
        rest.append(words["well"][0])
    rest.append(first_of(rng, words["setting"]).format(**fill))
    if rng.random() < 0.7:
        rest.append(first_of(rng, words["closing"]).format(**fill))
    return " ".join([first, *rest])


def _element(rng: Random, situation: Situation, kind: str) -> str:
    sentences = situation.aware if kind == "aware" else situation.says
    weights = answers()["detect"]["any"]["says"][: len(sentences)]
    return rng.choices(sentences, weights)[0]


def phrases(concepts: Sequence[Concept]) -> str:
    """The concepts as one noun phrase."""
    return " and ".join(concept.phrase for concept in concepts)


def describe_frame(rng: Random, frame: Frame) -> str:
    """A plain description of a feed frame."""
    table = answers()["describe"]
    text = first_of(rng, table["frame"]).format(phrases=phrases(frame.concepts))
    return f"{text} {first_of(rng, table['more_frame'])}" if rng.random() < 0.7 else text


def describe_scene(rng: Random, scene: Scene) -> str:
    """A plain description of a home scene."""
    table = answers()["describe"]
    text = first_of(rng, table["scene"]).format(shows=scene.situation.shows, room=scene.room)
    return f"{text} {table['more_scene'][0]}" if rng.random() < 0.3 else text


def like_answer(rng: Random, likes: bool) -> str:
    """Yes or no to "Do you like the content of this image?"."""
    return first_of(rng, answers()["like"]["yes" if likes else "no"])


def why_answer(rng: Random, concepts: Sequence[Concept]) -> str:
    """The reason for liking or disliking a frame: that of its main concept's value."""
    table, main = answers(), concepts[0]
    verdict = "like" if liked(concepts) else "dislike"
    reason = first_of(rng, table["because"][main.value][verdict])
    return first_of(rng, table["why"][verdict]).format(reason=reason, name=main.name)


def scene_liked(scene: Scene) -> bool:
    """Whether the demo VLM likes a home scene: where all is well or somebody is celebrated."""
    return scene.situation.control or scene.situation.concern == "joy"


def scene_why(scene: Scene) -> str:
    """The reason for liking or disliking a home scene."""
    table = answers()["why"]
    return str(table["scene_like" if scene_liked(scene) else "scene_dislike"][0]).format(shows=scene.situation.shows)


def interest_answer(rng: Random, persona: Persona, values: Sequence[str]) -> str:
    """Yes or no to the Simple strategy's question."""
    return first_of(rng, answers()["interest"]["yes" if interested(persona, values) else "no"])


def questionnaire_answer(rng: Random, persona: Persona, values: Sequence[str]) -> str:
    """Six lines, one for each ISQ item; a small share of the items one step off the truth."""
    off = answers()["isq"]["off"]
    truth = questionnaire(persona, values)
    steps = [truth.v_a, truth.c_s, truth.e_e, truth.v_e, round(truth.p_a * 10), round(truth.a_d * 10)]
    steps = [min(10, max(0, step + rng.choice((-1, 1)))) if rng.random() < off else step for step in steps]
    v_a, c_s, e_e, v_e, p_a, a_d = steps
    return format_questionnaire(Questionnaire(v_a, c_s, e_e, v_e, p_a / 10, a_d / 10))


def format_questionnaire(scores: Questionnaire) -> str:
    """Scores as the six lines of an answer."""
    shown = [str(score) for score in scores[:4]] + [f"{score:.1f}" for score in scores[4:]]
    return "\n".join(f"{item}: {score}" for item, score in zip(ITEMS, shown, strict=True))


def persona_text(rng: Random, persona: Persona, canonical: float = 0.6) -> str:
    """The persona's traits as a prompt takes them; else shuffled, partly reworded, perhaps one left out."""
    if rng.random() < canonical:
        return persona.text
    pairs = [rng.choice(pair) for pair in zip(persona.traits, persona.paraphrases, strict=True)]
    rng.shuffle(pairs)
    return " ".join(pairs[: len(pairs) - rng.randrange(2)])
