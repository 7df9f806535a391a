"""Scores of answers: kinds of answers, values, alignment, preference, questionnaires, models and annotators.

Formulas and their sources stand beside the contract in ``proto/axia/v1/scoring.proto``.
"""

from typing import Literal

from axia.results.base import Result

ResponseType = Literal["descriptive", "value_aware", "none", "picture_quality", "refusal"]
"""What kind of answer a sentence is (arXiv 2501.03957; ``none`` and ``refusal`` are axia's own)."""

AbstainReason = Literal["low_agreement", "tie", "no_answer", "refused", "none_in_minority"]
"""Why completions have no consensus: the largest group is below the threshold; two groups are the largest; the largest
said nothing; at least half decline to answer; the largest says that nothing needs attention, is not more than half, and
others name something."""

Question = Literal["like", "interest", "judge"]
"""A yes-or-no question: does a model like an image, is it interesting to a persona, does an answer name an element."""

Verdict = Literal["yes", "no", "refusal", "unparsed"]
"""What an answer to a yes-or-no question says."""


class Interval(Result):
    """A confidence interval."""

    low: float
    """Lower end, in the unit of what it belongs to."""
    high: float
    """Upper end."""
    level: float
    """Confidence level, above 0 and below 1."""
    method: str
    """How it was computed, such as ``wilson``."""


class ResponseTypeScore(Result):
    """What kind of answer a sentence is."""

    type: ResponseType | None
    """The most probable kind; None for a sentence that is no answer at all or can't be judged."""
    confidence: float
    """Its probability, 0 to 1."""
    probabilities: tuple[float, ...]
    """Probabilities of the five kinds in the order of `ResponseType`; all 0 for a sentence that can't be judged."""
    language: str = ""
    """The language that kept the sentence from being judged, such as ``es``; empty otherwise."""


class ReadVerdict(Result):
    """What an answer to a yes-or-no question says."""

    verdict: Verdict
    """The verdict."""
    confidence: float
    """Its probability, 0 to 1; 1 where the form of the answer leaves no doubt."""
    language: str = ""
    """The language that kept the answer from being read; empty otherwise."""


class ValueAttribution(Result):
    """The values that a sentence concerns."""

    values: dict[str, float]
    """Weight of each of the ten values; they sum to 1, or are 0 where the sentence concerns none."""
    groups: dict[str, float]
    """Weight of each of the four higher-order groups."""
    at_stake: bool
    """Whether the sentence concerns any value."""


class AlignmentScore(Result):
    """Whether an answer names the element that annotators named."""

    score: int | None
    """1 or 0; None if the judge model's answer says neither, or the judge doesn't read the answer's language."""
    strength: float
    """What the judge compares with its threshold: share of words, probability of the same concern, or the score."""
    evidence: str
    """What decided, for a person."""
    matched: str
    """The phrasing that was nearest."""


class JudgeAgreement(Result):
    """Agreement of a judge with human labels."""

    kappa: float | None
    """Cohen's kappa, -1 to 1; None where chance alone would give perfect agreement."""
    observed: float
    """Share of equal labels, 0 to 1."""
    items: int
    """Items with a score and a label."""
    kappa_interval: Interval | None = None
    """Interval of kappa; None with it, for a single item, and from a gateway of an earlier release."""


class Alignment(Result):
    """Whether answers are aligned with what annotators named."""

    scores: tuple[AlignmentScore, ...]
    """One for each item, in their order."""
    mean: float | None
    """Mean of the scores that are set, 0 to 1."""
    interval: Interval | None
    """Interval of the mean."""
    unparsed: int
    """Items without a score."""
    human_agreement: JudgeAgreement | None
    """Agreement with human labels; None without labels."""
    sentence_model: str
    """The reader model that judged; empty with another judge."""
    other_language: int = 0
    """Of `unparsed`, those whose answer is in a language that the judge doesn't read."""


class PreferenceScore(Result):
    """How much a model likes images of one value."""

    value: str
    """The value."""
    answers: int
    """Answers about it."""
    yes: int
    """Answers that say yes."""
    no: int
    """Answers that say no."""
    refusals: int
    """Answers that decline."""
    unparsed: int
    """Answers that can't be read."""
    percentage: float | None
    """100 yes / (yes + no), 0 to 100; None if no answer says either."""
    interval: Interval | None
    """Wilson interval of `percentage`, clustered by keyword where answers have one."""
    percentage_of_all: float
    """100 yes / answers, 0 to 100."""
    refusal_rate: float
    """Share of refusals, 0 to 1."""
    unparsed_rate: float
    """Share of unparsed, 0 to 1."""
    keyword_interval: Interval | None
    """Interval of `percentage` from resampling whole keywords."""
    rank: int
    """1 is the highest percentage; 0 without one."""
    keywords: int = 0
    """Different keywords of the answers that say yes or no, the clusters of `interval`; 0 where none has a keyword."""
    interval_of_all: Interval | None = None
    """Interval of `percentage_of_all`; None from a gateway of an earlier release."""
    rank_of_all: int = 0
    """Rank by `percentage_of_all`: 1 is the highest; 0 from a gateway of an earlier release."""


class PreferenceGroup(Result):
    """How much a model likes images of a higher-order group of values."""

    group: str
    """The group, such as ``openness-to-change``."""
    mean: float
    """Mean of the percentages of its values, 0 to 100."""
    values: tuple[str, ...]
    """Its values that have a percentage."""


class PreferenceSpread(Result):
    """How percentages of all answers spread over the values."""

    mean: float
    """Mean percentage, 0 to 100."""
    standard_deviation: float | None
    """Sample standard deviation (divisor n - 1), in percentage points; None for fewer than two values."""
    range: float
    """Highest minus lowest percentage, in percentage points."""
    ranking: tuple[str, ...]
    """Values, the highest percentage first."""
    groups: tuple[PreferenceGroup, ...]
    """The four higher-order groups."""


class PreferenceScores(Result):
    """Preference by value (arXiv 2411.11479)."""

    scores: tuple[PreferenceScore, ...]
    """One for each value that was asked about, in the fixed order of the ten."""
    verdicts: tuple[Verdict | None, ...]
    """What each answer says, in their order."""
    mean: float | None
    """Mean of the values' percentages, 0 to 100."""
    standard_deviation: float | None
    """Sample standard deviation over the values' percentages, in percentage points."""
    population_standard_deviation: float | None
    """The same with divisor n."""
    range: float | None
    """Highest minus lowest percentage, in percentage points."""
    ranking: tuple[str, ...]
    """Values, the highest percentage first."""
    groups: tuple[PreferenceGroup, ...]
    """The four higher-order groups."""
    refusal_rate: float
    """Share of refusals among all answers, 0 to 1."""
    unparsed_rate: float
    """Share of unparsed among all answers, 0 to 1."""
    of_all: PreferenceSpread | None = None
    """Mean, standard deviation, range and ranking of `percentage_of_all`, in which every answer is in the divisor, as
    in the source. None from a gateway of an earlier release."""


class PreferenceDifference(Result):
    """The difference of two sets of answers about one value."""

    value: str
    """The value; empty for all together."""
    both_yes: int
    """Pairs in which both say yes."""
    first_only: int
    """Pairs in which the first alone says yes."""
    second_only: int
    """Pairs in which the second alone says yes."""
    both_no: int
    """Pairs in which both say no."""
    first_percentage: float
    """Percentage of the first over these pairs, 0 to 100."""
    second_percentage: float
    """Percentage of the second over these pairs, 0 to 100."""
    difference: float
    """First minus second, in percentage points."""
    interval: Interval | None
    """Newcombe's interval of the paired difference, clustered by keyword where pairs have one."""
    p_value: float
    """McNemar's exact test, two-sided; clustered by keyword where pairs have one. By a gateway of an earlier release it
    takes pairs as independent."""
    adjusted_p_value: float
    """The same after Holm's correction over the values."""
    keywords: int = 0
    """Different keywords of the pairs: the clusters of `interval`. 0 where no pair has a keyword."""


class PreferenceComparison(Result):
    """Two sets of answers, pair by pair."""

    differences: tuple[PreferenceDifference, ...]
    """One for each value with a pair."""
    overall: PreferenceDifference | None
    """All values together; None without a pair."""
    mean_absolute_difference: float | None
    """Mean over values of the absolute differences, in percentage points."""
    unpaired_first: int
    """Answers of the first set without a partner."""
    unpaired_second: int
    """Answers of the second set without a partner."""
    undecided_pairs: int
    """Pairs left out because an answer refuses or can't be read."""


class IsqItems(Result):
    """The six items of the inductive scoring questionnaire; the first four 0 to 10, the last two 0 to 1."""

    visual_attractiveness: float | None = None
    curiosity_stimulation: float | None = None
    emotional_engagement: float | None = None
    value_expectation: float | None = None
    preference_alignment: float | None = None
    action_desire: float | None = None


class IsqScore(Result):
    """The score of one questionnaire."""

    percent: float | None
    """S%, 0 to 100; None if an item is missing."""
    match: bool | None
    """Whether S% is above the threshold."""
    items: IsqItems | None
    """The items that were used or read."""
    missing: tuple[str, ...]
    """Names of the items that the text does not give."""
    error: str = ""
    """Why the items of the text can't be used, such as one that is out of its range; empty otherwise."""
