"""Role-play of personas on platforms: one cell for each persona, platform and viewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axia.cli._output import as_json, console, printable
from axia.evals.published import role_play_figures
from axia.inputs import PersonaOutcome
from feed.personas import Persona
from feed.platforms import Platform
from feed.role_play import Run, agreement, play, seed_of
from feed.session import Session
from feed.truth import Effect, known_effects
from feed.viewers import Always, ByChance, ByModel, ByTruth, Viewer

if TYPE_CHECKING:
    from axia.client import Client
    from feed.videos import Library

_AGREES = 0.9
"""Least agreement with the persona's truth at which the measured change should be the true one."""


@dataclass(frozen=True)
class Cell:
    """One run and what is known of it."""

    persona: str
    platform: str
    viewer: str
    """A strategy of asking a model, or who else decides."""
    seed: int
    run: Run
    truth: Effect | None
    agreement: float | None
    """Share of answers that are the truth's; None where the truth isn't known."""

    @property
    def inside(self) -> bool | None:
        """Whether the change is inside the 95% prediction interval of the true I; None without both."""
        change = self.run.change
        if self.truth is None or change is None:
            return None
        return self.truth.expects(change)

    def row(self) -> dict[str, Any]:
        """The figures."""
        run = self.run
        points = None if run.before is None or run.after is None else 100 * (run.after - run.before)
        return {
            "persona": self.persona, "platform": self.platform, "viewer": self.viewer, "seed": self.seed,
            "before": run.before, "after": run.after, "i": run.change, "points": points, "undecided": run.undecided,
            "not_measurable": run.not_measurable, "agreement": self.agreement, "inside": self.inside,
            "truth": None if self.truth is None else self.truth._asdict(),
        }  # fmt: skip

    def line(self) -> str:
        """The figures and all answers, as a line of JSON."""
        return as_json({**self.row(), "seen": [one._asdict() for one in self.run.seen]})


def measure(
    client: "Client",
    personas: Sequence[Persona],
    platforms: Sequence[Platform],
    viewers: Sequence[str],
    library: "Library",
    *,
    model: str | None,
    phase: int,
    seed: int,
    sessions: int | None,
    processes: int,
) -> list[Cell]:
    """Plays every persona on every platform for every viewer.

    Args:
        viewers: ``simple`` and ``isq`` for a model's strategies, or ``truth``, ``chance``, ``yes``, ``no``.
        sessions: Of the truth beside it; None leaves it out.

    Raises:
        FeedError: As `play` and `known_effect`.
        AxiaError: The model can't be asked.
    """
    effects: dict[tuple[str, str], Effect] = {}
    if sessions is not None:
        found = known_effects(
            personas, platforms, library.videos, sessions=sessions, phase=phase, seed=seed, processes=processes
        )
        effects = {(one.persona, one.platform): one for one in found}
    by_id = {video.id: video for video in library.videos}
    cells = []
    for name in viewers:
        for persona in personas:
            for platform in platforms:
                session_seed = seed_of("role-play", seed, persona.id, platform.id, name)
                viewer = _viewer(client, library, persona, platform.id, name, model, session_seed)
                run = play(Session(platform, library.videos, session_seed), viewer, phase=phase)
                agreed = None
                if sessions is not None:
                    right = ByTruth(persona)
                    agreed = agreement(run, [right.stays(by_id[one.video], n) for n, one in enumerate(run.seen)])
                truth = effects.get((persona.id, platform.id))
                cells.append(Cell(persona.id, platform.id, name, session_seed, run, truth, agreed))
    return cells


def _viewer(
    client: "Client", library: "Library", persona: Persona, platform: str, name: str, model: str | None, seed: int
) -> Viewer:
    match name:
        case "truth":
            return ByTruth(persona)
        case "chance":
            return ByChance(seed)
        case "yes" | "no":
            return Always(name == "yes")
        case "isq":
            return ByModel(client, library, persona, platform, strategy="isq", model=model)
        case _:
            return ByModel(client, library, persona, platform, strategy="simple", model=model)


def print_scores(client: "Client", cells: Sequence[Cell], *, stderr: bool) -> None:
    """A row a cell, and I_avg of each platform and viewer by the gateway's scoring service.

    Raises:
        AxiaError: It can't be asked.
    """
    from rich import box
    from rich.table import Table

    out = console(stderr=stderr)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("platform", "persona", "viewer"):
        table.add_column(name, overflow="fold")
    for name in ("before", "after", "I %", "truth %", "agrees"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in cells:
        table.add_row(cell.platform, printable(cell.persona), cell.viewer, *_figures(cell))
    out.print(table)
    for platform in dict.fromkeys(cell.platform for cell in cells):
        for viewer in dict.fromkeys(cell.viewer for cell in cells):
            out.print(
                _summary(client, [c for c in cells if (c.platform, c.viewer) == (platform, viewer)]), soft_wrap=True
            )
    agreeing = [cell for cell in cells if cell.inside is not None and (cell.agreement or 0) >= _AGREES]
    if any(cell.truth for cell in cells):
        inside = sum(bool(cell.inside) for cell in agreeing)
        out.print(
            f"{len(agreeing)} of {len(cells)} runs agree with the truth in {_AGREES:.0%} of answers or more; in "
            f"{inside} of them I is inside the 95% prediction interval of the true I",
            soft_wrap=True,
        )


def _figures(cell: Cell) -> list[str]:
    run = cell.run
    shares = ["—" if share is None else f"{share:.2f}" for share in (run.before, run.after)]
    change = "—" if run.change is None else f"{run.change:.0f}"
    truth = "—"
    if cell.truth is not None:
        truth = f"{cell.truth.change:.0f} ({cell.truth.prediction.low:.0f} to {cell.truth.prediction.high:.0f})"
    return [*shares, change, truth, "—" if cell.agreement is None else f"{cell.agreement:.0%}"]


def _summary(client: "Client", cells: Sequence[Cell]) -> str:
    measured = [cell for cell in cells if not cell.run.not_measurable]
    parts = []
    if measured:
        outcomes = [
            PersonaOutcome(
                persona=cell.persona, platform=cell.platform, before=cell.run.before or 0, after=cell.run.after or 0
            )
            for cell in measured
        ]
        score = client.scoring.score_persona(outcomes).platforms[0]
        if score.i_avg is not None:
            within = "" if score.interval is None else f" ({score.interval.low:.0f} to {score.interval.high:.0f})"
            parts.append(f"I_avg {score.i_avg:.0f}%{within}")
        parts.append(f"{score.points:+.0f} percentage points")
        if score.undefined:
            parts.append(
                f"I is not defined for {score.undefined} of {score.personas} personas, because nothing was liked in "
                "the first phase"
            )
        if truths := [cell.truth.change for cell in measured if cell.truth and cell.run.change is not None]:
            parts.append(f"true I_avg of the same personas {sum(truths) / len(truths):.0f}%")
        if figures := role_play_figures(cells[0].viewer, cells[0].platform):
            low, high = min(figures.values()), max(figures.values())
            parts.append(f"published on the real platform for {len(figures)} models {low:.0f} to {high:.0f}%")
    reasons = [cell.run.not_measurable for cell in cells if cell.run.not_measurable]
    for reason in dict.fromkeys(reasons):
        parts.append(f"not measurable for {reasons.count(reason)} of {len(cells)} personas: {reason}")
    return f"{cells[0].platform}, {cells[0].viewer}: {'; '.join(parts)}"
