"""A run's result: what was asked, where, the figures, and whether the budgets were kept."""

from pathlib import Path

from pydantic import BaseModel

from loadtests.budgets import Verdict
from loadtests.figures import Summary
from loadtests.machine import Machine
from loadtests.plan import Plan


class Served(BaseModel):
    """What was measured."""

    target: str
    """Address of the gateway."""
    started_here: str
    """"scripted" or "demo" if the run started its servers on this machine; empty otherwise."""
    models: list[str]
    """The models behind the gateway, with their engines."""


class Result(BaseModel):
    """All of it; what the JSON file holds."""

    plan: Plan
    trace: str
    """The trace that was replayed; empty where arrivals are the plan's."""
    served: Served
    machine: Machine
    """The machine that sent the calls."""
    summary: Summary
    verdicts: list[Verdict]

    @property
    def kept(self) -> bool:
        """Whether every budget was kept."""
        return all(verdict.kept for verdict in self.verdicts)

    def write(self, path: Path) -> None:
        """Writes JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
