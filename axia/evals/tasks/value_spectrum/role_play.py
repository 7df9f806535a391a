"""Role-play of Value-Spectrum (arXiv 2411.11479): Simple and the inductive scoring questionnaire.

I_avg needs a recommender that answers the behaviour. Without its shares before and after, role-play is measured as
agreement of stay and swipe with what the persona's truth says.
"""

from pathlib import Path
from typing import Literal

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample

from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.asking import Sampling, ask
from axia.evals.tasks.pictures import json_rows
from axia.evals.tasks.scorers import persona_agreement
from axia.evals.tasks.studies import demo_file, is_demo, prompt
from axia.evals.tasks.value_spectrum.tasks import PAPER

THRESHOLD = 60.0
"""S% above this is a match, as published."""


def _samples(path: Path, strategy: str) -> list[Sample]:
    asked, samples = prompt(f"interest/{strategy}"), []
    seen: set[str] = set()
    for line, row in json_rows(path):
        wrong = [name for name in ("image", "persona") if not isinstance(row.get(name), str)]
        traits, stays = row.get("traits"), row.get("stays")
        if wrong or not isinstance(stays, bool) or not isinstance(traits, list) or not traits:
            raise AnnotationError(
                f"{path}, line {line}: a row has image, persona, traits (a list of sentences) and stays (true or false)"
            )
        image = path.parent / row["image"]
        if not image.is_file():
            raise AnnotationError(f"{path}, line {line}: there is no picture at {image}: put it there")
        name = f"{row['persona']}#{row['image']}"
        if name in seen:
            raise AnnotationError(
                f"{path}, line {line}: {row['persona']} has a row for {row['image']} before: keep one"
            )
        seen.add(name)
        text = asked.text.replace("{traits}", " ".join(traits))
        metadata = {
            "picture": row["image"], "image": str(image), "persona": row["persona"], "stays": stays,
            "platform": row.get("platform", ""), "questions": [text], "prompt_id": asked.id,
            "prompts": {asked.id: asked.sha256},
        }  # fmt: skip
        samples.append(Sample(input=text, target="stay" if stays else "swipe", id=name, metadata=metadata))
    if not samples:
        raise AnnotationError(f"{path} has no rows: give image, persona, traits and stays in each")
    return samples


@task
def role_play(
    feed: str | None = None,
    strategy: Literal["simple", "isq"] = "simple",
    threshold: float = THRESHOLD,
    temperature: float = 0.0,
    max_tokens: int = 256,
    seed: int = 0,
    cache: bool = False,
) -> Task:
    """Whether a model that plays a persona stays with the pictures with which the persona would stay.

    Args:
        feed: JSON lines of ``image``, ``persona``, ``traits``, ``stays``, ``platform``. Default: the demo feed.
        strategy: ``simple``, a plain question, or ``isq``, the six items of the questionnaire.
        threshold: With ``isq``: S% strictly above this is a match.
        temperature: 0 to 2.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
    """
    if strategy not in ("simple", "isq"):
        raise ValueError(f"strategy is {strategy!r}: give simple or isq")
    path = Path(feed) if feed else demo_file("study/feed.jsonl")
    samples = _samples(path, strategy)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    return Task(
        dataset=MemoryDataset(samples, name=path.stem),
        solver=ask(sampling),
        scorer=persona_agreement(strategy, threshold),
        version=1,
        metadata={
            "paper": PAPER, "kind": "role_play", "strategy": strategy, "threshold": threshold,
            "sampling": sampling.model_dump(), "demo": is_demo(path),
        },
    )  # fmt: skip
