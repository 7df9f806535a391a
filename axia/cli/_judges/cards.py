"""Judge cards of a command: loading one, and finding in it the figures of the judge that is asked."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from axia.cli._output import complain, describe, exit_code

if TYPE_CHECKING:
    from axia.client import Client
    from axia.judges.asking import JudgeName
    from axia.judges.card import JudgeCard, JudgeFigures

_OPTION = "--card"


def load(path: Path) -> "JudgeCard":
    """Reads a card.

    Raises:
        typer.BadParameter: If it is none.
    """
    from axia.judges.card import load_card

    try:
        return load_card(path)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=_OPTION) from None


def figures_of(card: "JudgeCard", name: "JudgeName", revision: str, path: Path) -> "JudgeFigures":
    """The figures of a judge as it is served now.

    Args:
        card: The card.
        name: The judge.
        revision: Its revision; empty for words.
        path: The card's, for messages.

    Raises:
        typer.BadParameter: If the card has another judge, or another revision of it.
    """
    found = next((judge for judge in card.judges if judge.name == name), None)
    if found is None:
        there = ", ".join(str(judge.name) for judge in card.judges)
        raise typer.BadParameter(
            f"{path} has no figures of the judge {name}, only of {there}: run `axia judges audit` with that judge",
            param_hint=_OPTION,
        )
    if found.revision != revision:
        raise typer.BadParameter(
            f"{path} was made with {name} at revision {found.revision or 'unknown'}, but the current revision is "
            f"{revision or 'unknown'}: run `axia judges audit` again",
            param_hint=_OPTION,
        )
    from axia.version import __version__

    if name.judge == "lexical" and card.axia_version != __version__:
        complain(f"{path} was made by axia {card.axia_version}: words may be compared differently by {__version__}")
    return found


def judge_asked(
    client: "Client",
    judge: str | None,
    *,
    judge_model: str | None = None,
    samples: int | None = None,
    structured: bool = False,
    model: str | None = None,
) -> "JudgeName":
    """The judge that a detection with these options asks.

    Args:
        client: Of the gateway.
        judge: Its kind; None for the default.
        judge_model: With the judge ``model``: its name. None: the model that answers.
        samples: With the judge ``model``: how often it is asked about each answer.
        structured: With the judge ``model``: whether it is held to "yes" and "no".
        model: The model that answers; None for the gateway's default.
    """
    from axia.errors import AxiaError
    from axia.inputs import GroundTruth
    from axia.judges.asking import JudgeName

    kind = GroundTruth.model_validate({"element": "none", **({} if judge is None else {"judge": judge})}).judge
    if kind != "model":
        return JudgeName(judge=kind)
    asked = judge_model or model
    if asked is None:
        try:
            first = client.models().models[0].model
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
        asked = first.name if first else ""
    return JudgeName(judge=kind, model=asked, samples=samples or 1, structured=structured)


def check(client: "Client", path: Path, name: "JudgeName") -> "JudgeFigures":
    """The figures of the judge that a command is about to ask, from a card.

    Raises:
        typer.BadParameter: If the card doesn't fit.
        typer.Exit: If nobody can say which revision judges.
    """
    from axia.errors import AxiaError
    from axia.judges.asking import revision_of

    card = load(path)
    if name not in [judge.name for judge in card.judges]:
        return figures_of(card, name, "", path)  # refuses, and needs no server for it
    try:
        return figures_of(card, name, revision_of(client, name), path)
    except AxiaError as error:
        complain(f"{name}: {describe(error)}")
        raise typer.Exit(exit_code(error)) from error
