"""Role-play of Value-Spectrum (arXiv 2411.11479): Simple and the inductive scoring questionnaire.

I_avg needs a recommender that answers the behaviour. On the feed of a checkout, whose recommender is known, it is
measured beside the truth. Without such a feed, role-play is measured on pictures, as agreement of stay and swipe with
what the persona's truth says.
"""

from collections.abc import Sequence
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
            raise AnnotationError(f"{path}, line {line}: there is no image at {image}: put it there")
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
    personas: str | Sequence[str] | None = None,
    platforms: str | Sequence[str] | None = None,
    phase: int = 50,
    sessions: int = 79,
) -> Task:
    """Whether a model that plays a persona stays with what the persona would stay with, and what a feed does then.

    Args:
        feed: ``demo`` or a folder of videos for sessions on the feed with a known recommender, which measure I_avg. Or
            JSON lines of ``image``, ``persona``, ``traits``, ``stays``, ``platform`` for single pictures, which measure
            agreement alone. Default: the pictures of the demo.
        strategy: ``simple``, a plain question, or ``isq``, the six items of the questionnaire.
        threshold: With ``isq``: S% strictly above this is a match.
        temperature: 0 to 2.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
        personas: On a feed: TOML files, and folders of them, separated by commas. Default: the demo's.
        platforms: On a feed: names, separated by commas. Default: all three.
        phase: On a feed: videos of each of the three phases.
        sessions: On a feed: simulated sessions for the truth of each persona on each platform; 0 leaves the truth out.
    """
    if strategy not in ("simple", "isq"):
        raise ValueError(f"strategy is {strategy!r}: give simple or isq")
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    if feed and _has_sessions(feed):
        return _on_feed(feed, strategy, threshold, sampling, personas, platforms, phase, sessions)
    if personas is not None or platforms is not None:
        raise ValueError("personas and platforms are for a feed: give feed=demo, or a folder of videos")
    if feed and not Path(feed).exists():
        raise ValueError(f"feed is {feed!r}: give demo, a folder of videos, or a file of JSON lines")
    path = Path(feed) if feed else demo_file("study/feed.jsonl")
    samples = _samples(path, strategy)
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


def _has_sessions(feed: str) -> bool:
    return feed == "demo" or Path(feed).is_dir()


def _on_feed(
    feed: str,
    strategy: Literal["simple", "isq"],
    threshold: float,
    sampling: Sampling,
    personas: str | Sequence[str] | None,
    platforms: str | Sequence[str] | None,
    phase: int,
    sessions: int,
) -> Task:
    try:
        from axia.evals.feeds.sessions import session_task
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        if top in ("feed", "demo"):
            raise ValueError(
                "the feed is part of a checkout, and this axia is installed without one: clone the repository, run "
                "`make setup` there, and use its axia"
            ) from error
        raise ValueError(
            f"the feed needs the library {top}: pip install 'axia-vlm[feed]', or in a checkout `make setup`"
        ) from error
    return session_task(
        feed, strategy, personas=personas, platforms=platforms, threshold=threshold, phase=phase, sessions=sessions,
        sampling=sampling, paper=PAPER,
    )  # fmt: skip
