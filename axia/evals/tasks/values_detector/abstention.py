"""How far a model's agreement with itself tells when to trust it: risk and coverage of abstaining."""

from typing import Any

from inspect_ai import Task, task

from axia.evals.tasks.asking import Sampling, ask_several
from axia.evals.tasks.scorers import consensus
from axia.evals.tasks.studies import Variant, dataset, load, prompt
from axia.evals.tasks.values_detector.tasks import PAPER, Options
from axia.prompts import DEFAULT_DETECTION_PROMPT

SAMPLES = 5
"""Completions of a picture: enough for five degrees of agreement."""


@task
def abstention(annotations: str | None = None, samples: int = SAMPLES, **options: Any) -> Task:
    """Several completions a picture: what they agree on, how far, and whether it names the element.

    Args:
        annotations: As in `values_detector`.
        samples: Completions a picture, 2 to 25.
        options: As in `values_detector`; ``epochs`` is 1.
    """
    if not 2 <= samples <= 25:  # noqa: PLR2004 - the bounds that the message names
        raise ValueError(f"samples is {samples}: give 2 to 25")
    settings = Options(**{"epochs": 1, **options})
    loaded = load(annotations, settings.judge)
    sampling = Sampling(
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=settings.seed,
        first_sentence=True,
        cache=settings.cache,
    )
    asked = dataset(loaded, [Variant("baseline", prompt(DEFAULT_DETECTION_PROMPT))])
    return Task(
        dataset=asked,
        solver=ask_several(sampling, samples),
        scorer=consensus(settings.judge, settings.sentence_rule),
        epochs=settings.epochs,
        version=1,
        metadata={
            "paper": PAPER, "kind": "abstention", "study": loaded.about, "sampling": sampling.model_dump(),
            "sentence_rule": settings.sentence_rule, "judge": settings.judge, "samples": samples,
        },
    )  # fmt: skip
