"""What an assessment of preference asks: which pictures, in which order, with which prompts; and how it is resumed.

Source of the protocol: Value-Spectrum, arXiv 2411.11479. A picture's three questions are one conversation. About a
description, the third question is asked first, with the picture, and its answer is what a fresh conversation without
the picture is about.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from axia.lexicon import normal_keyword
from axia.prompts import PromptText, sha256_of
from gateway.protocols.answers import UNSET, AnswerRequest, AnswerSampling, with_traits
from gateway.protocols.descriptions import Describing
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.model import ModelInfo
from gateway.protocols.ports.retrieval import LexiconValue
from gateway.protocols.ports.scoring import Verdict
from services.serving.errors import FailedPrecondition, InvalidArgument, ServiceError

DEFAULT_K = 5
"""Pictures a keyword in the study."""
MAX_K = 100
LIKE, WHY, DESCRIBE = "preference/like", "preference/why", "preference/describe"
DESCRIPTION, PERSONA = "preference/description", "preference/persona"


class PlannedPicture(NamedTuple):
    """A picture to ask about."""

    position: int
    value: str
    keyword: str
    image_id: str
    score: float
    """Cosine similarity of keyword and picture; no part of the plan's hash."""
    source: str = ""
    """Where the picture comes from in its owner's words; no part of the plan's hash either."""


class PlannedPictures(NamedTuple):
    """The pictures of a plan."""

    pictures: tuple[PlannedPicture, ...]
    """In the order in which they are asked about."""
    search: Message | None
    """What found them."""
    short_keywords: tuple[str, ...]
    """Keywords with fewer than k pictures."""


@dataclass(frozen=True)
class Judgement:
    """A model's answers about one picture."""

    picture: PlannedPicture
    replies: tuple[str, ...] = ()
    """In the order of the plan's prompts; empty where the picture could not be judged."""
    verdict: Verdict | None = None
    """What the first reply says; None where nobody read it."""
    error: ServiceError | None = None
    description: str = ""
    reasoning: tuple[str, ...] = ()
    """What the model thought before each reply; empty where it gave no reasoning at all."""


@dataclass(frozen=True)
class PreferenceRequest:
    """What a caller asks. None stands for a field that was not set."""

    model: str = ""
    values: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    k: int | None = None
    search_filter: Message | None = None
    score_threshold: float | None = None
    modality: Literal["picture", "description"] = "picture"
    traits: tuple[str, ...] = ()
    answers: AnswerRequest = UNSET
    confidence_level: float | None = None
    structured: bool = False
    describer: str = ""
    describer_answers: AnswerRequest = UNSET
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Given ones by picture."""
    resume_sha256: str | None = None
    resumed: tuple[Judgement, ...] = ()
    resume_planned: PlannedPictures | None = None
    """The pictures of the plan to continue with; None searches for them again."""


@dataclass(frozen=True)
class PreferencePlan:
    """Everything that will be asked."""

    pictures: tuple[PlannedPicture, ...]
    modality: Literal["picture", "description"]
    prompts: tuple[PromptText, ...]
    """The three questions: like, why, describe."""
    model: ModelInfo
    sampling: AnswerSampling
    search: Message | None
    """What found the pictures."""
    short_keywords: tuple[str, ...]
    """Those with fewer than k pictures."""
    structured: bool = False
    """Whether the answer to the first question is held to "yes" and "no"."""
    describing: Describing | None = None
    """Where descriptions come from; None where pictures are asked about."""

    @property
    def describes(self) -> bool:
        """Whether a model has to describe any of the pictures."""
        return self.describing is not None and self.describing.needed([picture.image_id for picture in self.pictures])

    @property
    def sha256(self) -> str:
        """Hash over what will be asked, so that a resumed call asks exactly these questions."""
        asked = {
            "model": [self.model.name, self.model.revision],
            "modality": self.modality,
            "pictures": [[picture.value, picture.keyword, picture.image_id] for picture in self.pictures],
            "prompts": [prompt.sha256 for prompt in self.prompts],
            "sampling": [self.sampling.temperature, self.sampling.top_p, self.sampling.max_tokens],
            "seed": self.sampling.seed,
            # What is left out where it isn't used keeps the hashes of earlier releases.
            **({"structured": True} if self.structured else {}),
            **(self.describing.asked([picture.image_id for picture in self.pictures]) if self.describing else {}),
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def choose_keywords(
    lexicon: Sequence[LexiconValue], values: Sequence[str], keywords: Sequence[str]
) -> list[LexiconValue]:
    """The values to search for with the keywords of each, in the lexicon's order.

    Raises:
        InvalidArgument: For a value or keyword that is unknown, named twice, or that does not fit the others.
    """
    keywords = [normal_keyword(keyword) for keyword in keywords]
    of_keyword = {keyword: value.id for value in lexicon for keyword in value.keywords}
    known = [value.id for value in lexicon]
    _check_names("values", values, known)
    _check_names("keywords", keywords, list(of_keyword))
    for index, keyword in enumerate(keywords):
        if values and of_keyword[keyword] not in values:
            raise InvalidArgument(
                f"keywords[{index}]",
                f"{keyword!r} is a keyword of {of_keyword[keyword]!r}, which is not in values; add that value",
                reason="KEYWORD_OF_ANOTHER_VALUE",
            )
    wanted = set(values) or {of_keyword[keyword] for keyword in keywords} or set(known)
    for index, value in enumerate(values):
        if keywords and value not in {of_keyword[keyword] for keyword in keywords}:
            raise InvalidArgument(
                f"values[{index}]", f"none of the keywords belongs to {value!r}", reason="VALUE_WITHOUT_KEYWORD"
            )
    return [
        LexiconValue(value.id, tuple(keyword for keyword in value.keywords if not keywords or keyword in keywords))
        for value in lexicon
        if value.id in wanted
    ]


def _check_names(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name not in known:
            there_are = f"; use one of {', '.join(known)}" if field == "values" else "; ListValues lists them all"
            raise InvalidArgument(f"{field}[{index}]", f"{name!r} is not known{there_are}", reason="NAME_UNKNOWN")
        if name in names[:index]:
            raise InvalidArgument(f"{field}[{index}]", f"{name!r} is given twice", reason="NAMED_TWICE")


def choose_prompts(
    prompts: Mapping[str, PromptText],
    modality: Literal["picture", "description"],
    traits: Sequence[str],
    max_chars: int,
) -> tuple[PromptText, ...]:
    """The three questions as they are sent; a persona's traits come before the first of them.

    Raises:
        InvalidArgument: If there are too many traits to send.
    """
    first = prompts[LIKE if modality == "picture" else DESCRIPTION]
    if traits:
        persona = with_traits(prompts[PERSONA], traits, max_chars)
        text = f"{persona.text}\n{first.text}"
        first = PromptText(
            id=f"{PERSONA}+{first.id}", text=text, sha256=sha256_of(text), source=f"{persona.source}; {first.source}"
        )
    return first, prompts[WHY], prompts[DESCRIBE]


def check_resume(plan: PreferencePlan, plan_sha256: str, judgements: Sequence[Judgement]) -> None:
    """Checks that an interrupted call can continue with this plan.

    Raises:
        FailedPrecondition: If the plan is another than it was.
        InvalidArgument: Naming the judgement that is none of this plan.
    """
    if plan_sha256 != plan.sha256:
        raise FailedPrecondition(
            f"the plan has changed (was {plan_sha256}, is now {plan.sha256}). Send the same request with the first "
            "plan's seed and sampling. If the index has changed, also send the plan's images as resume.planned. If the "
            "model has changed, start without resume",
            reason="PLAN_CHANGED",
        )
    for index, judgement in enumerate(judgements):
        field = f"resume.judgements[{index}]"
        picture = judgement.picture
        if index >= len(plan.pictures):
            raise InvalidArgument(field, f"the plan has only {len(plan.pictures):,} images", reason="JUDGEMENT_UNKNOWN")
        planned = plan.pictures[index]
        if picture.position != index:
            raise InvalidArgument(
                field, f"has position {picture.position}; give them in order from 0", reason="JUDGEMENT_OUT_OF_ORDER"
            )
        if (picture.value, picture.keyword, picture.image_id) != (planned.value, planned.keyword, planned.image_id):
            raise InvalidArgument(field, "is about another image than the plan's", reason="JUDGEMENT_UNKNOWN")
        if (judgement.error is None) != (len(judgement.replies) == len(plan.prompts)):
            raise InvalidArgument(
                field, f"must have {len(plan.prompts)} replies or an error, as it was received", reason="JUDGEMENT_CUT"
            )
