"""Value-Spectrum (arXiv 2411.11479): preference by value, modality, wording, role-play, and attempts to mislead."""

from axia.evals.tasks.value_spectrum.adversarial import adversarial
from axia.evals.tasks.value_spectrum.role_play import role_play
from axia.evals.tasks.value_spectrum.tasks import modality, value_spectrum, wording

__all__ = ["adversarial", "modality", "role_play", "value_spectrum", "wording"]
