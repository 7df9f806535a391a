"""The values-detector study (arXiv 2501.03957): its task, the experiments that it proposes, and abstention."""

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
    "abstention", "annotator_groups", "domains", "prompt_variants", "synthetic_real", "system_prompt",
    "values_detector",
]  # fmt: skip
