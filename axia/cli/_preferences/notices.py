"""What `axia preference` tells of its pictures on standard error."""

from typing import TYPE_CHECKING, Any

from axia.cli._output import complain, printable

if TYPE_CHECKING:
    from axia.results import PreferencePlan


def tell_short_keywords(plan: "PreferencePlan") -> None:
    """Names the keywords for which the search found too few pictures."""
    if plan.short_keywords:
        few = ", ".join(map(printable, plan.short_keywords))
        complain(f"fewer pictures than asked for were found for: {few}")


def tell_missing_descriptions(plan: "PreferencePlan", options: dict[str, Any]) -> None:
    """Says where a file of descriptions lacks pictures."""
    if options.get("descriptions") and plan.given_descriptions < plan.pictures:
        complain(
            f"{plan.given_descriptions} of {plan.pictures} pictures have a description in the file; a model describes "
            "the others. Its keys must be picture ids, as axia search prints them"
        )


def tell_shared_pictures(asked: set[tuple[str, str]]) -> None:
    """Warns where the index is too small to tell values apart.

    Args:
        asked: Values with the ids of their pictures.
    """
    pictures = len({image_id for _, image_id in asked})
    if 2 * pictures < len(asked):
        complain(
            f"most of the {pictures} pictures stand for several values, whose figures are alike for that: index more "
            "pictures, or take fewer a keyword with -k"
        )
