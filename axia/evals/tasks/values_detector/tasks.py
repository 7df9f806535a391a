"""The values-detector study (arXiv 2501.03957) and the experiments that it proposes."""

from typing import Any

from inspect_ai import Epochs, Task, task

from axia.evals.annotations.record import AnnotationError, Picture
from axia.evals.annotations.truth import truths
from axia.evals.tasks.asking import Sampling, ask
from axia.evals.tasks.scorers import Rule, alignment, alignment_by_group
from axia.evals.tasks.studies import Loaded, Variant, dataset, load, prompt
from axia.inputs import Judge
from axia.prompts import DEFAULT_DETECTION_PROMPT

PAPER = "arXiv 2501.03957"
EPOCHS = 3
"""Completions of a picture, as in the study."""
VARIANTS = ("detect/health", "detect/safety", "detect/social", "detect/values", "detect/reason")
"""Five framings beside the baseline."""


def detection_task(
    loaded: Loaded, variants: list[Variant], pictures: list[Picture] | None, options: "Options", **about: Any
) -> Task:
    """A task that asks what needs attention and scores alignment."""
    samples = dataset(loaded, variants, pictures)
    sampling = Sampling(
        temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed, first_sentence=True,
        cache=options.cache,
    )  # fmt: skip
    return Task(
        dataset=samples,
        solver=ask(sampling),
        scorer=alignment(options.judge, options.judge_model, options.sentence_rule),
        epochs=Epochs(options.epochs, "mean"),
        version=1,
        metadata={
            "paper": PAPER, "kind": "alignment", "study": loaded.about, "sampling": sampling.model_dump(),
            "sentence_rule": options.sentence_rule, "judge": options.judge, **about,
        },
    )  # fmt: skip


class Options:
    """What every task of the study takes: `values_detector` describes each."""

    def __init__(
        self,
        epochs: int = EPOCHS,
        temperature: float = 1.0,
        max_tokens: int = 100,
        seed: int = 0,
        judge: Judge = "semantic",
        judge_model: str = "",
        sentence_rule: Rule = "answer",
        cache: bool = False,
    ) -> None:
        if judge not in ("lexical", "semantic", "model"):
            raise ValueError(f"judge is {judge!r}: give lexical, semantic or model")
        if sentence_rule not in ("answer", "literal"):
            raise ValueError(f"sentence_rule is {sentence_rule!r}: give answer or literal")
        self.epochs, self.temperature, self.max_tokens, self.seed = epochs, temperature, max_tokens, seed
        self.judge, self.judge_model, self.sentence_rule, self.cache = judge, judge_model, sentence_rule, cache


def _baseline() -> Variant:
    return Variant("baseline", prompt(DEFAULT_DETECTION_PROMPT))


@task
def values_detector(annotations: str | None = None, prompt_id: str = DEFAULT_DETECTION_PROMPT, **options: Any) -> Task:
    """What needs attention in pictures, against what annotators named.

    Args:
        annotations: JSON lines or CSV of annotations. Default: the demo study.
        prompt_id: Id of the prompt.
        options: ``epochs`` (completions a picture, 3), ``temperature`` (1), ``max_tokens`` (100), ``seed`` (0),
            ``judge`` (semantic, lexical or model), ``judge_model``, ``sentence_rule`` (answer or literal), ``cache``.
    """
    settings = Options(**options)
    return detection_task(load(annotations, settings.judge), [Variant("baseline", prompt(prompt_id))], None, settings)


@task
def prompt_variants(annotations: str | None = None, **options: Any) -> Task:
    """The study's first experiment: five framings of the prompt beside the baseline, on the same pictures."""
    settings = Options(**options)
    variants = [_baseline(), *[Variant(name.partition("/")[2], prompt(name)) for name in VARIANTS]]
    return detection_task(
        load(annotations, settings.judge), variants, None, settings, factor="variant", reference="baseline"
    )


@task
def system_prompt(annotations: str | None = None, system_id: str = "detect/system", **options: Any) -> Task:
    """The study's second experiment: a system prompt against none, for models that take one."""
    settings = Options(**options)
    system = prompt(system_id, "system")
    variants = [_baseline(), Variant("system", prompt(DEFAULT_DETECTION_PROMPT), system)]
    return detection_task(
        load(annotations, settings.judge), variants, None, settings, factor="variant", reference="baseline"
    )


@task
def domains(annotations: str, **options: Any) -> Task:
    """Pictures of several domains: domestic, workplace, public, medical.

    Raises:
        AnnotationError: If the annotations name fewer than two domains.
    """
    settings = Options(**options)
    loaded = load(annotations, settings.judge)
    pictures = [picture for picture in loaded.study.pictures if picture.about.domain]
    _need_two("domain", {str(picture.about.domain) for picture in pictures}, loaded)
    return detection_task(loaded, [_baseline()], pictures, settings, factor="domain")


@task
def synthetic_real(annotations: str, **options: Any) -> Task:
    """Pairs of the same scene, one generated and one photographed.

    Raises:
        AnnotationError: If no ``pair_id`` has one of each.
    """
    settings = Options(**options)
    loaded = load(annotations, settings.judge)
    pairs: dict[str, dict[bool, Picture]] = {}
    for picture in loaded.study.pictures:
        about = picture.about
        if about.pair_id and about.synthetic is not None:
            kinds = pairs.setdefault(about.pair_id, {})
            if about.synthetic in kinds:
                raise AnnotationError(
                    f"{loaded.study.path}: pair {about.pair_id!r} has two {'synthetic' if about.synthetic else 'real'} "
                    "images; give each pair one of each"
                )
            kinds[about.synthetic] = picture
    whole = [kinds for kinds in pairs.values() if len(kinds) == len((True, False))]
    if not whole:
        raise AnnotationError(
            f"{loaded.study.path}: no pair_id has a synthetic and a real image; name the pairs in the columns "
            "pair_id and synthetic"
        )
    pictures = [kinds[kind] for kinds in whole for kind in (True, False)]
    return detection_task(loaded, [_baseline()], pictures, settings, factor="synthetic", pairs="pair_id")


@task
def annotator_groups(annotations: str | None = None, **options: Any) -> Task:
    """One set of answers against what each group of annotators named.

    Raises:
        AnnotationError: If annotators are in fewer than two groups.
    """
    settings = Options(**options)
    loaded = load(annotations, settings.judge)
    groups = loaded.study.groups
    _need_two("group", set(groups), loaded)
    from axia.client import Client

    with Client() as client:
        named = {group: truths(client, loaded.study.of_group(group)) for group in groups}
    made = detection_task(loaded, [_baseline()], None, settings, factor="annotator_group", groups=list(groups))
    for sample in made.dataset:
        if sample.metadata:
            sample.metadata["truths"] = {
                group: {"element": truth.element, "accept": list(truth.accept)}
                for group, of_group in named.items()
                if (truth := of_group.get(sample.metadata["picture"])) is not None
            }
    made.scorer = [alignment_by_group(groups, settings.judge, settings.sentence_rule)]
    return made


def _need_two(field: str, found: set[str], loaded: Loaded) -> None:
    if len(found) < len(("one", "other")):
        raise AnnotationError(
            f"{loaded.study.path}: the column {field} names {', '.join(sorted(found)) or 'nothing'}; a comparison "
            "needs two or more"
        )
