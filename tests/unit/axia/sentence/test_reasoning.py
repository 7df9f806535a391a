import pytest

from axia.sentence.reasoning import Kind, Part, ReasoningSplitter


def parts(*deltas: str) -> list[Part]:
    splitter = ReasoningSplitter()
    found = [part for delta in deltas for part in splitter.add(delta)]
    return [*found, *splitter.finish()]


def joined(kind: Kind, found: list[Part]) -> str:
    return "".join(part.text for part in found if part.kind is kind)


@pytest.mark.parametrize(
    "text",
    [
        "<think>a < b</think>\n\nThe dog.",
        "<THINK>a < b</Think>The dog.",
        "◁think▷a < b◁/think▷ The dog.",
        "[THINK]a < b[/THINK]The dog.",
    ],
)
def test_reasoning_and_answer_are_told_apart_however_the_text_is_cut(text: str) -> None:
    for found in (parts(text), parts(*text)):
        assert (joined(Kind.REASONING, found), joined(Kind.ANSWER, found)) == ("a < b", "The dog.")


def test_what_only_looks_like_a_tag_is_text() -> None:
    assert joined(Kind.ANSWER, parts(*"a <thin> [thing] </")) == "a <thin> [thing] </"


def test_a_closing_tag_without_an_opening_one_starts_the_answer_anew() -> None:
    assert parts("It is hot.</think> The dog.") == [
        Part(Kind.ANSWER, "It is hot."),
        Part(Kind.RESTART),
        Part(Kind.ANSWER, "The dog."),
    ]


def test_an_opening_tag_within_reasoning_is_reasoning() -> None:
    assert joined(Kind.REASONING, parts("<think>a<think>b</think>c")) == "a<think>b"


def test_the_end_says_whether_the_model_was_still_thinking() -> None:
    splitter = ReasoningSplitter()
    assert (list(splitter.add("<think>a")), splitter.thinking) == ([Part(Kind.REASONING, "a")], True)
    assert (list(splitter.add("</think>")), splitter.thinking) == ([], False)
