"""What `axia preference` tells of its images on standard error."""

from typing import TYPE_CHECKING, Any

from axia.cli._output import complain, printable

if TYPE_CHECKING:
    from axia.results import PreferencePlan


def tell_short_keywords(plan: "PreferencePlan") -> None:
    """Names the keywords for which the search found too few images."""
    if plan.short_keywords:
        few = ", ".join(map(printable, plan.short_keywords))
        complain(f"fewer images than asked for were found for: {few}")


def tell_missing_descriptions(plan: "PreferencePlan", options: dict[str, Any]) -> None:
    """Says where a file of descriptions lacks images."""
    if options.get("descriptions") and plan.given_descriptions < plan.pictures:
        complain(
            f"{plan.given_descriptions} of {plan.pictures} images have a description in the file; a model describes "
            "the others. The keys of the file must be image ids, as axia search prints them"
        )


def tell_shared_pictures(asked: set[tuple[str, str]]) -> None:
    """Warns where the index is too small to tell values apart.

    Args:
        asked: Values with the ids of their images.
    """
    pictures = len({image_id for _, image_id in asked})
    if 2 * pictures < len(asked):
        complain(
            f"most of the {pictures} images stand for several values, which makes their figures similar: index more "
            "images, or use fewer per keyword with -k"
        )
