import pytest
from pydantic import ValidationError

from axia.prompts import DEFAULT_DETECTION_PROMPT, PromptText, load_prompts, parse_prompts, sha256_of

STUDY_QUESTIONS = {
    "detect/baseline": "Identify what is the element that needs attention in this image",
    "preference/like": "Do you like the content of this image?",
    "preference/why": "Why do you like or dislike this picture?",
    "preference/describe": "Describe this image in English briefly.",
    "interest/simple": "You are a person who possesses certain traits",
}


@pytest.mark.parametrize(("prompt_id", "quoted"), STUDY_QUESTIONS.items())
def test_the_studies_questions_are_quoted_word_for_word(prompt_id: str, quoted: str) -> None:
    prompt = load_prompts()[prompt_id]
    assert prompt.verbatim == quoted
    assert quoted in prompt.text


def test_every_prompt_states_its_source_and_the_default_is_among_them() -> None:
    prompts = load_prompts()
    assert DEFAULT_DETECTION_PROMPT in prompts
    assert all(prompt.source for prompt in prompts.values())


def test_there_are_five_value_framed_variants_and_one_system_prompt_for_detection() -> None:
    detection = [prompt for prompt in load_prompts().values() if prompt.id.startswith("detect/")]
    assert len([p for p in detection if p.role == "user" and p.id != DEFAULT_DETECTION_PROMPT]) == 5
    assert [p.id for p in detection if p.role == "system"] == ["detect/system"]


def test_a_text_that_no_longer_matches_its_hash_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs an id of its own"):
        PromptText(id="detect/x", text="changed", sha256=sha256_of("original"))


def test_a_prompt_without_its_own_quotation_is_refused() -> None:
    with pytest.raises(ValidationError, match="verbatim"):
        PromptText(id="detect/x", text="a", sha256=sha256_of("a"), verbatim="b")


def test_two_prompts_with_one_id_are_refused() -> None:
    document = f'[[prompt]]\nid = "a"\ntext = "t"\nsha256 = "{sha256_of("t")}"\n'
    with pytest.raises(ValueError, match="two prompts"):
        parse_prompts([document, document])
