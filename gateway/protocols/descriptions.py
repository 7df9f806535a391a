"""Where the descriptions come from that a model is asked about in place of pictures.

The study (arXiv 2411.11479) crosses describers with models that are asked: a model may describe the pictures itself,
another may, so that any language model can be asked, or the caller has descriptions already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from axia.prompts import sha256_of
from gateway.protocols.answers import AnswerRequest, AnswerSampling, plan_answers
from gateway.protocols.fields import DESCRIBER, DESCRIBER_SAMPLING
from gateway.protocols.ports.model import Backend, Backends
from services.serving.errors import InvalidArgument, renaming
from services.serving.limits import check_text

MAX_DESCRIPTIONS = 10_000


@dataclass(frozen=True)
class Describing:
    """Who describes the pictures, and which descriptions are given."""

    backend: Backend
    """The model that describes."""
    sampling: AnswerSampling
    """How its descriptions are sampled."""
    by_another: bool
    """Whether that is another model than the one that is asked."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Descriptions that the caller gave, by picture."""

    def asked(self, image_ids: Sequence[str]) -> dict[str, object]:
        """What of it enters a plan's hash."""
        model, sampling = self.backend.model, self.sampling
        described = {
            "describer": [model.name, model.revision, sampling.temperature, sampling.top_p, sampling.max_tokens]
        }
        given = {image_id: sha256_of(self.given[image_id]) for image_id in image_ids if image_id in self.given}
        return {
            **(described if self.by_another and self.needed(image_ids) else {}),
            **({"descriptions": given} if given else {}),
        }

    def needed(self, image_ids: Sequence[str]) -> bool:
        """Whether any of these pictures has to be described."""
        return any(image_id not in self.given for image_id in image_ids)

    def check(self, image_ids: Sequence[str]) -> None:
        """Refuses a model that would have to see and can't."""
        model = self.backend.model
        if not model.accepts_images and self.needed(image_ids):
            raise InvalidArgument(
                "describer",
                f"{model.name!r} doesn't support images: use a model that does, or give a description of each image",
                reason="IMAGE_NOT_SUPPORTED",
            )


async def plan_describing(
    backends: Backends,
    backend: Backend,
    describer: str,
    given: Mapping[str, str],
    answers: AnswerRequest,
    described: AnswerRequest,
    sampling: AnswerSampling,
    max_chars: int,
) -> Describing:
    """Finds the model that describes, and checks the descriptions that are given.

    Args:
        backends: The models behind the gateway.
        backend: The model that is asked.
        describer: Name of the model that describes; empty for the one that is asked.
        given: Descriptions by picture.
        answers: How the caller wants answers sampled.
        described: The same for the describer's; what is unset there follows `answers`.
        sampling: How those of the model that is asked are.
        max_chars: Characters of a description at most.

    Raises:
        InvalidArgument: Naming the field that is wrong.
        NotFound: If there is no such model.
    """
    if len(given) > MAX_DESCRIPTIONS:
        raise InvalidArgument(
            "descriptions", f"has {len(given):,}, but at most {MAX_DESCRIPTIONS:,} are allowed", reason="OUT_OF_RANGE"
        )
    for index, text in enumerate(given.values()):
        check_text(f"descriptions[{index}].text", text, max_chars)
    if not describer or describer == backend.model.name:
        return Describing(backend, sampling, by_another=False, given=given)
    with renaming(DESCRIBER):
        other = await backends.find(describer)
    given_for_it = {name: value for name, value in vars(described).items() if value is not None}
    asked = replace(answers, **given_for_it, seed=sampling.seed)
    with renaming(DESCRIBER_SAMPLING):
        describer_sampling = plan_answers(asked, other.limits, other.defaults)
    return Describing(other, describer_sampling, by_another=True, given=given)
