"""Value-Spectrum (arXiv 2411.11479): preference by value, picture against description, wording and order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample

from axia.evals.tasks.asking import Sampling, ask, ask_about_description
from axia.evals.tasks.pictures import PER_KEYWORD, ValuePicture, of_manifest, retrieved
from axia.evals.tasks.scorers import verdict
from axia.evals.tasks.studies import is_demo, prompt

PAPER = "arXiv 2411.11479"
QUESTIONS = ("preference/like", "preference/why", "preference/describe")
"""The three questions, one conversation."""
WORDINGS = ("wording/enjoy", "wording/appeal", "wording/yes-or-no")
"""Other wordings of the first question."""
MODALITIES = ("picture", "description")


def load_pictures(manifest: str | None, from_gateway: str | None, per_keyword: int) -> list[ValuePicture]:
    """Pictures of a manifest, or those that the gateway finds.

    Raises:
        ValueError: If both are given, or `per_keyword` is below 1.
        AnnotationError: If the manifest breaks a rule.
        AxiaError: If retrieval does not answer.
    """
    if manifest and from_gateway:
        raise ValueError("give manifest or retrieve_to, not both: images come from a file or from retrieval")
    if per_keyword < 1:
        raise ValueError(f"per_keyword is {per_keyword}: give 1 or more")
    if from_gateway:
        return retrieved(Path(from_gateway), per_keyword)
    return of_manifest(Path(manifest) if manifest else None, per_keyword)


def _sample(picture: ValuePicture, questions: Sequence[str], variant: str = "", **about: Any) -> Sample:
    prompts = [prompt(question) for question in questions]
    return Sample(
        input=prompts[0].text,
        id="#".join(filter(None, (picture.value, picture.keyword, picture.image_id, variant))),
        metadata={
            "picture": picture.image_id, "image": str(picture.path), "value": picture.value,
            "keyword": picture.keyword, "platform": picture.platform, "variant": variant,
            "questions": [prompt_text.text for prompt_text in prompts], "prompt_id": prompts[0].id,
            "prompts": {prompt_text.id: prompt_text.sha256 for prompt_text in prompts}, **about,
        },
    )  # fmt: skip


def _task(
    pictures: Sequence[ValuePicture], samples: list[Sample], sampling: Sampling, solver: Any, **about: Any
) -> Task:
    return Task(
        dataset=MemoryDataset(samples, name="pictures"),
        solver=solver,
        scorer=verdict("like"),
        version=1,
        metadata={
            "paper": PAPER, "kind": "preference", "sampling": sampling.model_dump(),
            "pictures": len({picture.image_id for picture in pictures}),
            "keywords": len({picture.keyword for picture in pictures}),
            "demo": any(is_demo(picture.path) for picture in pictures), **about,
        },
    )  # fmt: skip


@task
def value_spectrum(
    manifest: str | None = None,
    retrieve_to: str | None = None,
    per_keyword: int = PER_KEYWORD,
    temperature: float = 0.0,
    max_tokens: int = 100,
    seed: int = 0,
    cache: bool = False,
) -> Task:
    """How much a model likes pictures of each value: three questions a picture in one conversation.

    Args:
        manifest: JSON lines of ``file``, ``keywords``, ``values``. Default: the demo gallery.
        retrieve_to: Folder for the pictures that the gateway finds by the values' keywords, in place of a manifest.
        per_keyword: Pictures a keyword.
        temperature: 0 to 2; 0 by default, which is axia's own choice.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
    """
    pictures = load_pictures(manifest, retrieve_to, per_keyword)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    samples = [_sample(picture, QUESTIONS) for picture in pictures]
    return _task(pictures, samples, sampling, ask(sampling))


@task
def modality(
    manifest: str | None = None,
    retrieve_to: str | None = None,
    describer: str | None = None,
    per_keyword: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 100,
    seed: int = 0,
    cache: bool = False,
) -> Task:
    """The same question about the picture and about a description of it, in a fresh conversation without the picture.

    Args:
        manifest: As in `value_spectrum`.
        retrieve_to: As in `value_spectrum`.
        describer: Model that describes, as inspect_ai names it. Default: the model that is asked. The source crosses
            three describers with three models: run the task once for each describer.
        per_keyword: Pictures a keyword.
        temperature: 0 to 2.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
    """
    pictures = load_pictures(manifest, retrieve_to, per_keyword)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    samples = [_sample(picture, QUESTIONS[:1], kind, modality=kind) for picture in pictures for kind in MODALITIES]
    solver = ask_about_description(sampling, describer)
    return _task(
        pictures, samples, sampling, solver, factor="modality", reference="picture", describer=describer or "itself"
    )


@task
def wording(
    manifest: str | None = None,
    per_keyword: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 100,
    seed: int = 0,
    cache: bool = False,
) -> Task:
    """How far the preference depends on how the first question is worded, and on what was asked before it.

    Args:
        manifest: As in `value_spectrum`.
        per_keyword: Pictures a keyword.
        temperature: 0 to 2.
        max_tokens: Tokens of one answer at most.
        seed: The run's seed.
        cache: Whether inspect_ai's cache of answers is used.
    """
    pictures = load_pictures(manifest, None, per_keyword)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, cache=cache)
    ways: dict[str, tuple[str, ...]] = {"baseline": QUESTIONS[:1]}
    ways |= {name.partition("/")[2]: (name,) for name in WORDINGS}
    ways["described-first"] = ("preference/describe", "preference/like")
    samples = [
        _sample(
            picture, questions, way, scored_turn=questions.index("preference/like") if way == "described-first" else 0
        )
        for picture in pictures
        for way, questions in ways.items()
    ]
    return _task(pictures, samples, sampling, ask(sampling), factor="variant", reference="baseline")
