"""Asks a model whether answers name what annotators named, once or by the majority of several votes.

The scoring service reads what the model says, for detections and for calls of their own alike.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from axia.prompts import PromptText, sha256_of
from gateway.protocols.answers import YES_OR_NO, check_structured
from gateway.protocols.ordered import in_order
from gateway.protocols.ports.model import Backend, Backends, ModelInfo, Question, Sample, Turn
from gateway.protocols.ports.scoring import Scoring
from gateway.protocols.retry import Answer, BackendUnavailable, RetryPolicy, ask, ask_with_retries, concerns_call
from gateway.protocols.sampling import MAX_PHRASINGS, MAX_VOTES, ModelLimits, completion_seed
from gateway.settings import GatewaySettings
from services.serving.errors import FailedPrecondition, InvalidArgument, ServiceError
from services.serving.limits import check_between, check_text

JUDGE_PROMPT = "judge/names-element"
MAX_ITEMS = 1024
MAX_TOKENS = 64
"""Room for a sentence that begins with the verdict or ends with it."""
_VOTES_TEMPERATURE = 1.0
_VERDICTS_PER_CALL = 2_000


class Item(NamedTuple):
    """An answer, and what it should name."""

    answer: str
    phrasings: tuple[str, ...]
    """The element and what counts as well."""


@dataclass(frozen=True)
class Votes:
    """How a judge is asked about each answer."""

    samples: int = 1
    """Asked once, it answers at temperature 0; more often, at temperature 1, each time with a seed of its own."""
    structured: bool = False
    """Whether it is held to "yes" and "no"."""


class Tally(NamedTuple):
    """What votes say together."""

    yes: int
    no: int
    asked: int

    @property
    def score(self) -> int | None:
        """1 if more votes say yes than no, 0 if fewer; None for a tie, and where no vote says either."""
        return None if self.yes == self.no else int(self.yes > self.no)

    @property
    def text(self) -> str:
        """The majority as one answer, whose form leaves the scoring service no doubt, with the count for people."""
        if self.score is None:
            return "yes or no" if self.yes else ""
        verdict, count = ("yes", self.yes) if self.score else ("no", self.no)
        return f'{{"verdict": "{verdict}", "votes": "{count} of {self.asked}"}}'


@dataclass(frozen=True)
class Judged:
    """What a judge said of one answer."""

    answers: tuple[str, ...] = ()
    score: int | None = None
    error: ServiceError | None = None


@dataclass(frozen=True)
class JudgeRequest:
    """What a caller asks."""

    items: Sequence[Item]
    model: str = ""
    votes: Votes = Votes()


@dataclass(frozen=True)
class Judgements:
    """What a judge said of answers."""

    judged: tuple[Judged, ...]
    model: ModelInfo
    prompt: PromptText


class JudgeModel:
    """Puts the question to a model, and counts what it says.

    Args:
        scoring: Reads its answers.
        prompts: By id.
    """

    def __init__(self, scoring: Scoring, prompts: Mapping[str, PromptText]) -> None:
        self._scoring = scoring
        self.prompt = prompts[JUDGE_PROMPT]

    async def ask(
        self,
        judge: Backend,
        item: Item,
        votes: Votes,
        timeout_s: float,
        *,
        retry_policy: RetryPolicy | None = None,
        fields: tuple[str, str] = ("items", "structured"),
    ) -> tuple[Answer, ...]:
        """The votes on one answer.

        Args:
            judge: The model.
            item: What to judge.
            votes: How it is asked.
            timeout_s: For each question.
            retry_policy: How often a model that is busy or unavailable is asked again; None for never.
            fields: The caller's names of what the question and what the form comes from.

        Raises:
            ServiceError: If the model can't be asked.
        """
        answers: list[Answer] = []
        for question in self._questions(item, votes, judge.limits, fields):
            answers += await (
                ask(judge, question, timeout_s)
                if retry_policy is None
                else ask_with_retries(judge, question, timeout_s, retry_policy)
            )
        return tuple(answers)

    def length(self, item: Item) -> int:
        """Characters of the question about an answer."""
        return len(self._text(item))

    def _text(self, item: Item) -> str:
        return self.prompt.text.replace("{element}", "; ".join(item.phrasings)).replace("{answer}", item.answer)

    def _questions(self, item: Item, votes: Votes, limits: ModelLimits, fields: tuple[str, str]) -> list[Question]:
        """As few questions as the model's limit of samples allows."""
        text = self._text(item)
        samples = [Sample(0, 0.0)]
        if votes.samples > 1:
            text_sha256 = sha256_of(text)
            samples = [
                Sample(completion_seed(0, vote, text_sha256), _VOTES_TEMPERATURE) for vote in range(votes.samples)
            ]
        turn = Turn("user", text, fields[0])
        held = YES_OR_NO._replace(field=fields[1]) if votes.structured else None
        most = limits.max_samples
        return [
            Question(
                (turn,),
                None,
                tuple(samples[start : start + most]),
                top_p=1.0,
                max_tokens=min(MAX_TOKENS, limits.max_tokens),
                answer_format=held,
            )
            for start in range(0, len(samples), most)
        ]

    async def count(self, votes: Sequence[Sequence[str]], timeout_s: float) -> list[Tally]:
        """The votes on each answer, counted; what says neither yes nor no counts for nothing.

        Raises:
            ServiceError: If the scoring service does not answer.
        """
        distinct = list(dict.fromkeys(text for answers in votes for text in answers))
        verdicts: dict[str, str] = {}
        for start in range(0, len(distinct), _VERDICTS_PER_CALL):
            some = distinct[start : start + _VERDICTS_PER_CALL]
            verdicts |= zip(some, await self._scoring.read_verdicts("judge", some, timeout_s), strict=True)
        read = ([verdicts[text] for text in answers] for answers in votes)
        return [Tally(said.count("yes"), said.count("no"), len(said)) for said in read]


class AlignmentJudge:
    """Has answers judged by a model that a caller names."""

    def __init__(
        self, backends: Backends, scoring: Scoring, prompts: Mapping[str, PromptText], settings: GatewaySettings
    ) -> None:
        self._backends = backends
        self._scoring = scoring
        self._judge = JudgeModel(scoring, prompts)
        self._settings = settings
        self._retry_policy = RetryPolicy(settings.ask_attempts, settings.ask_pause_s)

    async def judge(self, request: JudgeRequest) -> Judgements:
        """Judges each answer; what goes wrong with one is told with that one, and equal ones are asked about once.

        Raises:
            InvalidArgument: Naming the field that is wrong.
            BackendUnavailable: If the model does not answer.
            Unavailable: If the scoring service does not answer, which reads what the model says.
        """
        check_between("items", len(request.items), 1, MAX_ITEMS)
        check_between("samples", request.votes.samples, 1, MAX_VOTES)
        for index, item in enumerate(request.items):
            self._check(f"items[{index}]", item)
        backend = await self._backends.find(request.model)
        if request.votes.structured:
            check_structured(backend.model, "structured")
        if not self._scoring.serving:  # before a model is asked a thousand times for nothing
            await self._scoring.read_verdicts("judge", ["yes"], self._settings.scoring_timeout_s)
        distinct = list(dict.fromkeys(request.items))
        width = backend.limits.concurrency_limit(self._settings.protocol_concurrency)
        asking = in_order(distinct, partial(self._ask, backend, request.votes), width)
        async with aclosing(asking) as judged:
            asked = [answer async for answer in judged]
        tallies = await self._judge.count([answer.answers for answer in asked], self._settings.table_timeout_s)
        scored = (replace(answer, score=tally.score) for answer, tally in zip(asked, tallies, strict=True))
        by_item = dict(zip(distinct, scored, strict=True))
        return Judgements(tuple(by_item[item] for item in request.items), backend.model, self._judge.prompt)

    def _check(self, field: str, item: Item) -> None:
        element, *accept = item.phrasings
        most = self._settings.max_text_chars
        check_text(f"{field}.element", element, most)
        check_between(f"{field}.accept", len(accept), 0, MAX_PHRASINGS)
        for index, phrasing in enumerate(accept):
            check_text(f"{field}.accept[{index}]", phrasing, most)
        if len(item.answer) > most:
            raise InvalidArgument(
                f"{field}.answer",
                f"has {len(item.answer):,} characters, at most {most:,} are allowed",
                reason="TEXT_TOO_LONG",
            )

    async def _ask(self, backend: Backend, votes: Votes, item: Item) -> Judged:
        try:
            said = await self._judge.ask(
                backend, item, votes, self._settings.default_timeout_s, retry_policy=self._retry_policy
            )
        except BackendUnavailable:
            raise
        except ServiceError as error:
            if concerns_call(error):
                raise
            return Judged(error=error)
        if all(answer.only_reasoned for answer in said):
            return Judged(error=_only_reasoning())
        return Judged(tuple(answer.text for answer in said))


def _only_reasoning() -> FailedPrecondition:
    return FailedPrecondition(
        f"the judge model used all {MAX_TOKENS} tokens for its reasoning; use a judge model that answers without "
        "reasoning",
        reason="ANSWER_ONLY_REASONING",
    )
