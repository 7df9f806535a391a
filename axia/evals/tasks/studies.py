"""Annotation studies as samples: a picture, a prompt, and what annotators named."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inspect_ai.dataset import MemoryDataset, Sample

import axia
from axia.client import Client
from axia.evals.annotations.importing import describe_gaps, load_study
from axia.evals.annotations.record import RESPONSE_TYPES, AnnotationError, Picture, Study
from axia.evals.annotations.truth import RULE, Truth, ceilings, truths
from axia.evals.prompts import evaluation_prompts
from axia.inputs import Judge
from axia.prompts import PromptText
from axia.results import Agreement

CHECKOUT = Path(axia.__file__).parents[1]
"""Where demo/ lies, in a checkout; a wheel has none."""

DEMO_STUDY = CHECKOUT / "demo" / "study" / "annotations.jsonl"
_CEILING_JUDGES = ("lexical", "semantic")


class Loaded(NamedTuple):
    """A study with its truths."""

    study: Study
    truths: Mapping[str, Truth | None]
    about: dict[str, Any]
    """What a log says of it."""


def demo_file(name: str) -> Path:
    """A file of the demo data.

    Raises:
        AnnotationError: If axia is installed without a checkout.
    """
    path = CHECKOUT / "demo" / name
    if not path.exists():
        raise AnnotationError(
            f"the demo data are not installed ({path} is missing): give your own file, or work in a checkout of axia"
        )
    return path


def load(annotations: str | None, judge: Judge) -> Loaded:
    """Reads a study, derives its truths, and measures how far annotators agree.

    Raises:
        AnnotationError: If the file breaks a rule.
        AxiaError: If the scoring service does not answer.
    """
    path = Path(annotations) if annotations else demo_file("study/annotations.jsonl")
    study = load_study(path)
    ceiling_judge: Judge = judge if judge in _CEILING_JUDGES else "semantic"
    with Client() as client:
        named = truths(client, study)
        measured = ceilings(client, study, ceiling_judge)
    about = {
        "annotations": path.name,
        "annotations_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "truth_rule": RULE,
        "pictures": len(study.pictures),
        "annotators": len(study.annotators),
        "groups": list(study.groups),
        "open_pictures": [image for image, truth in named.items() if truth is None],
        "gaps": describe_gaps(study),
        "ceiling_judge": ceiling_judge,
        "ceilings": [{"group": group, **_ceiling(agreement)} for group, agreement in measured],
        "demo": is_demo(path),
    }
    return Loaded(study, named, about)


def is_demo(path: Path) -> bool:
    """Whether a file is part of the demo data."""
    return (CHECKOUT / "demo") in path.resolve().parents


def _ceiling(agreement: Agreement) -> dict[str, Any]:
    interval = agreement.ceiling_interval
    return {
        "ceiling": agreement.ceiling,
        "interval": [interval.low, interval.high] if interval else None,
        "krippendorff_alpha": agreement.krippendorff_alpha,
        "fleiss_kappa": agreement.fleiss_kappa,
        "annotators": len(agreement.annotators),
    }


def prompt(prompt_id: str, role: str = "user") -> PromptText:
    """A prompt by its id.

    Raises:
        ValueError: If there is none, or it has another role; the message lists those that there are.
    """
    known = evaluation_prompts()
    if prompt_id not in known or known[prompt_id].role != role:
        ids = ", ".join(prompt_text.id for prompt_text in known.values() if prompt_text.role == role)
        raise ValueError(f"{prompt_id!r} is not a {role} prompt: use one of {ids}")
    return known[prompt_id]


class Variant(NamedTuple):
    """One way to ask."""

    name: str
    prompt: PromptText
    system: PromptText | None = None


def dataset(loaded: Loaded, variants: Sequence[Variant], pictures: Iterable[Picture] | None = None) -> MemoryDataset:
    """A sample for each picture with a truth and each variant.

    Raises:
        AnnotationError: If no picture has a truth.
    """
    chosen = list(loaded.study.pictures if pictures is None else pictures)
    samples = [
        _sample(picture, truth, variant, several=len(variants) > 1)
        for picture in chosen
        for variant in variants
        if (truth := loaded.truths[picture.id]) is not None
    ]
    if not samples:
        raise AnnotationError(
            f"{loaded.study.path}: the annotators don't agree on one element in any image that is asked about, so "
            "there is nothing to score; see how they agree with axia agreement"
        )
    return MemoryDataset(samples, name=loaded.study.path.stem)


def _sample(picture: Picture, truth: Truth, variant: Variant, *, several: bool) -> Sample:
    about = picture.about
    metadata: dict[str, Any] = {
        "picture": picture.id,
        "image": str(picture.path),
        "image_sha256": picture.sha256,
        "questions": [variant.prompt.text],
        "prompt_id": variant.prompt.id,
        "prompt_sha256": variant.prompt.sha256,
        "variant": variant.name,
        "element": truth.element,
        "accept": list(truth.accept),
        "truth_agreement": truth.agreement,
        "element_type": RESPONSE_TYPES[truth.response_type] if truth.response_type else None,
        "domain": about.domain or "unknown",
        "synthetic": {True: "synthetic", False: "real", None: "unknown"}[about.synthetic],
        "pair_id": about.pair_id,
        "source": about.source,
    }
    if variant.system is not None:
        metadata |= {
            "system_text": variant.system.text,
            "system_id": variant.system.id,
            "system_sha256": variant.system.sha256,
        }
    return Sample(
        input=variant.prompt.text,
        target=[truth.element, *truth.accept],
        id=f"{picture.id}#{variant.name}" if several else picture.id,
        metadata=metadata,
    )
