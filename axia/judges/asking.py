"""Asks judges about answers: the scoring service by words or meaning, or a model behind the gateway."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from axia.errors import NotFound
from axia.inputs import AlignmentItem
from axia.results.base import Result
from axia.results.truth import Judge

if TYPE_CHECKING:
    from axia.client import Client

_ITEMS_PER_CALL = 500
_ITEMS_PER_MODEL_CALL = 32


class JudgeName(Result):
    """Who judges, and how it is asked."""

    judge: Judge
    """Who judges."""
    model: str = ""
    """With the judge ``model``: its name."""
    samples: int = 1
    """With the judge ``model``: how many times it is asked about each answer."""
    structured: bool = False
    """With the judge ``model``: whether it is held to the answers "yes" and "no"."""
    recorded: bool = False
    """Whether the model's answers come from the file of labels, so that nobody was asked now."""

    def __str__(self) -> str:
        """The name in tables."""
        if self.judge != "model":
            return self.judge
        how = [f"{self.samples} votes"] if self.samples > 1 else []
        how += [word for word in ("structured", "recorded") if getattr(self, word)]
        return f"{self.model} ({', '.join(how)})" if how else self.model


class Verdicts(NamedTuple):
    """What a judge says of answers."""

    name: JudgeName
    """Who judged."""
    revision: str
    """Revision of the reader model or of the model that judged; empty for words and for recorded answers."""
    prompt_sha256: str
    """SHA-256 of the question to a model; empty for other judges and for recorded answers."""
    scores: Sequence[int | None]
    """For each answer 1 if it names the element, 0 if not, None without a verdict."""
    other_language: int
    """Answers without a verdict, because the judge does not read their language."""
    failed: int
    """Answers without a verdict, because the model could not be asked."""
    failure: str
    """What the first of these errors says; empty if there is none."""

    @property
    def unparsed(self) -> int:
        """Answers without a verdict, because the judge's answer says neither yes nor no."""
        return sum(score is None for score in self.scores) - self.other_language - self.failed


def ask(
    client: "Client",
    name: JudgeName,
    items: Sequence[AlignmentItem],
    *,
    recorded: Sequence[str] = (),
    timeout: float | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> Verdicts:
    """Asks a judge about answers.

    Args:
        client: Of the gateway.
        name: Who judges.
        items: The answers and what they should name.
        recorded: With recorded answers: the model's answer about each item.
        timeout: Seconds for one call, which has up to 500 answers, or 32 for a model.
        done: Called with the number of answers whenever some are judged.

    Raises:
        AxiaError: If the judge can't be asked. Single answers about which a model can't be asked count as failed.
    """
    if name.judge == "model" and not name.recorded:
        return _ask_model(client, name, items, timeout, done)
    scores: list[int | None] = []
    revision, other_language = "", 0
    for start, some in _parts(items, _ITEMS_PER_CALL):
        answers = recorded[start : start + len(some)]
        said = client.scoring.score_alignment(some, judge=name.judge, model_answers=answers, timeout=timeout)
        scores.extend(score.score for score in said.scores)
        revision, other_language = said.sentence_model, other_language + said.other_language
        done(len(some))
    return Verdicts(name, revision, "", scores, other_language, 0, "")


def revision_of(client: "Client", name: JudgeName, *, timeout: float | None = None) -> str:
    """The revision of a judge as it is served now; empty for words.

    Raises:
        NotFound: If no model of that name answers.
        AxiaError: If nobody can say.
    """
    if name.judge == "semantic":
        probe = AlignmentItem(answer="the stove", element="the stove")
        return client.scoring.score_alignment([probe], judge=name.judge, timeout=timeout).sentence_model
    if name.judge == "lexical":
        return ""
    for status in client.models(timeout=timeout).models:
        if status.model is not None and status.model.name == name.model:
            return status.model.revision
    raise NotFound(f"there is no model {name.model!r}, or it does not answer: `axia models` lists the models")


def _ask_model(
    client: "Client",
    name: JudgeName,
    items: Sequence[AlignmentItem],
    timeout: float | None,
    done: Callable[[int], None],
) -> Verdicts:
    scores: list[int | None] = []
    failures: list[str] = []
    model, revision, prompt = name.model, "", ""
    for _, some in _parts(items, _ITEMS_PER_MODEL_CALL):
        said = client.judge_alignment(
            some, model=name.model, samples=name.samples, structured=name.structured, timeout=timeout
        )
        scores.extend(judgement.score for judgement in said.judgements)
        failures.extend(judgement.error.message for judgement in said.judgements if judgement.error)
        model, revision, prompt = said.model.name, said.model.revision, said.prompt.sha256
        done(len(some))
    named = name.model_copy(update={"model": model})
    return Verdicts(named, revision, prompt, scores, 0, len(failures), failures[0] if failures else "")


def _parts(items: Sequence[AlignmentItem], size: int) -> Iterator[tuple[int, Sequence[AlignmentItem]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]
