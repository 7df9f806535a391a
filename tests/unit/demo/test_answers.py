"""What the demo VLM is taught: follows the truth, uses axia's prompts, and comes in the authored shares."""

from collections import Counter
from random import Random

from demo.world.catalogue import situations
from demo.world.frames import draw_frame
from demo.world.personas import personas
from demo.world.scenes import draw_scene
from demo.world.truth import aligned, interested, questionnaire
from training.vlm.conversations import about_frame, about_scene, about_text
from training.vlm.prompts import DETECTORS, SYSTEM, prompts
from training.vlm.reading import first_sentence, parse_questionnaire
from training.vlm.wording import answers, detector_answer, format_questionnaire, interest_answer, persona_text


def shares(prompt: str, system: bool, name: str, count: int = 600) -> Counter[str]:
    scene, kinds = draw_scene("s", of=name), Counter[str]()
    for i in range(count):
        first = first_sentence(detector_answer(Random(f"{prompt}{system}{i}"), scene, prompt, system))
        kinds["aligned" if aligned(first, scene.situation) else "none" if first == "None." else "other"] += 1
    return kinds


def test_value_framing_brings_more_value_aware_answers() -> None:
    baseline = shares("detect/baseline", False, "child-hot-stove")
    framed = shares("detect/safety", False, "child-hot-stove")
    reason = shares("detect/reason", False, "child-hot-stove")
    assert 0.7 < baseline["aligned"] / 600 < 0.84
    assert framed["aligned"] > baseline["aligned"] + 30
    assert reason["aligned"] > baseline["aligned"] + 30


def test_the_system_prompt_halves_descriptive_answers_and_misses() -> None:
    assert (
        shares("detect/baseline", True, "child-hot-stove")["aligned"]
        > shares("detect/baseline", False, "child-hot-stove")["aligned"]
    )


def test_a_control_scene_is_mostly_answered_with_none() -> None:
    assert shares("detect/baseline", False, "cup-of-tea")["aligned"] / 600 > 0.85


def test_the_most_frequent_first_sentence_is_aligned_for_every_situation_and_prompt() -> None:
    for situation in situations():
        scene = draw_scene("m", of=situation.id)
        for prompt in DETECTORS:
            seen = Counter(first_sentence(detector_answer(Random(f"{i}"), scene, prompt, False)) for i in range(60))
            assert aligned(seen.most_common(1)[0][0], situation), (situation.id, prompt, seen)


def test_questionnaire_lines_are_those_of_the_prompt_and_parse_back() -> None:
    scores = questionnaire(personas()[0], ["power"])
    text = format_questionnaire(scores)
    asked = [line.split(":")[0] for line in prompts()["interest/isq"].splitlines()[2:]]
    assert [line.split(":")[0] for line in text.splitlines()] == asked
    assert parse_questionnaire(text) == scores
    assert parse_questionnaire(text.replace("action desire", "desire")) is None
    assert parse_questionnaire(text.replace("visual attractiveness: ", "visual attractiveness: 7")) is None


def test_interest_is_answered_as_the_truth_says() -> None:
    for persona in personas():
        for values in (["power"], ["tradition", "hedonism"]):
            said = interest_answer(Random(1), persona, values)
            assert said.startswith("Yes") == interested(persona, values)


def test_persona_text_is_canonical_or_made_of_its_sentences() -> None:
    persona = personas()[3]
    texts = {persona_text(Random(i), persona) for i in range(40)}
    assert persona.text in texts
    assert len(texts) > 10


def test_conversations_use_axias_prompts_word_for_word() -> None:
    known = set(prompts().values()) | set(answers()["describe"]["questions"])
    for i in range(120):
        rng = Random(i)
        for talk in (about_scene(rng, draw_scene(str(i))), about_frame(rng, draw_frame(str(i)))):
            assert talk.turns[-1].role == "assistant"
            for turn in talk.turns:
                if turn.role == "system":
                    assert turn.text == prompts()[SYSTEM]
                elif turn.role == "user" and "certain traits" not in turn.text:
                    assert turn.text in known


def test_questions_about_a_description_come_without_a_picture() -> None:
    talk = about_text(Random(5))
    assert not talk.picture
    assert talk.turns[0].text.startswith("Here is a description of an image: ")
    assert talk.turns[1].text.startswith(("Yes", "No"))
