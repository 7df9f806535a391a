"""What inspect_ai finds of axia, through the entry-point group ``inspect_ai``: the provider and the tasks."""

from typing import Any

from inspect_ai.model import modelapi

from axia.evals.tasks.choosing import choice
from axia.evals.tasks.value_spectrum.adversarial import adversarial
from axia.evals.tasks.value_spectrum.role_play import role_play
from axia.evals.tasks.value_spectrum.tasks import modality, value_spectrum, wording
from axia.evals.tasks.values_detector.abstention import abstention
from axia.evals.tasks.values_detector.tasks import (
    annotator_groups,
    domains,
    prompt_variants,
    synthetic_real,
    system_prompt,
    values_detector,
)

__all__ = [
    "abstention", "adversarial", "annotator_groups", "axia", "choice", "domains", "modality", "prompt_variants",
    "role_play", "synthetic_real", "system_prompt", "value_spectrum", "values_detector", "wording",
]  # fmt: skip


@modelapi(name="axia")
def axia() -> type[Any]:
    """The provider of models behind a gateway."""
    from axia.evals.provider import AxiaAPI

    return AxiaAPI
