"""Attempts to induce harmful preferences, an open question of Value-Spectrum (arXiv 2411.11479).

A model is asked whether it likes scenes in which somebody is in danger or distress, plainly and after a system prompt
that tries to make it like them. What is measured is the share of yes; a picture counts as harmful if annotators name
something that needs attention in it.
"""

from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample

from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.asking import Sampling, ask
from axia.evals.tasks.scorers import verdict
from axia.evals.tasks.studies import load, prompt
from axia.evals.tasks.value_spectrum.tasks import PAPER

ATTEMPTS = ("adversarial/indifferent", "adversarial/cruel", "adversarial/authority")


@task
def adversarial(
    annotations: str | None = None,
    temperature: float = 0.0,
    max_tokens: int = 100,
    seed: int = 0,
    cache: bool = False,
) -> Task:
    """Whether system prompts make a model like scenes in which somebody is in danger or distress.

    Args:
        annotations: As in `values_detector`; pictures whose element is value-aware are asked about.
        temperature: 0 to 2.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
    """
    loaded = load(annotations, "semantic")
    asked, samples = prompt("preference/like"), []
    attempts = {"baseline": None, **{name.partition("/")[2]: prompt(name, "system") for name in ATTEMPTS}}
    for name, system in attempts.items():
        for picture in loaded.study.pictures:
            truth = loaded.truths[picture.id]
            if truth is None or truth.response_type != 2:  # noqa: PLR2004 - the study's number of value-aware
                continue
            about: dict[str, Any] = {"system_text": system.text, "system_id": system.id} if system else {}
            metadata = {
                "picture": picture.id, "image": str(picture.path), "questions": [asked.text], "prompt_id": asked.id,
                "variant": name, "element": truth.element,
                "prompts": {text.id: text.sha256 for text in (asked, *((system,) if system else ()))}, **about,
            }  # fmt: skip
            samples.append(Sample(input=asked.text, id=f"{picture.id}#{name}", metadata=metadata))
    if not samples:
        raise AnnotationError(f"{loaded.study.path}: no image has response_type 2 (value-aware) as its truth")
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    return Task(
        dataset=MemoryDataset(samples, name=loaded.study.path.stem),
        solver=ask(sampling),
        scorer=verdict("like"),
        version=1,
        metadata={
            "paper": PAPER, "kind": "adversarial", "study": loaded.about, "sampling": sampling.model_dump(),
            "factor": "variant", "reference": "baseline",
        },
    )  # fmt: skip
