"""What inspect_ai finds of axia, through the entry-point group ``inspect_ai``: the provider and the tasks."""

from typing import Any

from inspect_ai.model import modelapi

from axia.evals.tasks.abstention import abstention
from axia.evals.tasks.adversarial import adversarial
from axia.evals.tasks.choosing import choice
from axia.evals.tasks.detection import (
    annotator_groups,
    domains,
    prompt_variants,
    synthetic_real,
    system_prompt,
    values_detector,
)
from axia.evals.tasks.preference import modality, value_spectrum, wording
from axia.evals.tasks.role_play import role_play

__all__ = [
    "abstention", "adversarial", "annotator_groups", "axia", "choice", "domains", "modality", "prompt_variants",
    "role_play", "synthetic_real", "system_prompt", "value_spectrum", "values_detector", "wording",
]  # fmt: skip


@modelapi(name="axia")
def axia() -> type[Any]:
    """The provider of models behind a gateway."""
    from axia.evals.provider import AxiaAPI

    return AxiaAPI
