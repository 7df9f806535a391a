"""Runs a record's policy again, without a model and without a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from agent import AgentError
from agent.policy import Observation, Policy, Screen, as_row, bounds_from
from agent.record import read_record


class Difference(NamedTuple):
    """A step whose action comes out otherwise."""

    line: int
    """Of the record, from 1."""
    recorded: str
    replayed: str


class Replayed(NamedTuple):
    """What a replay gave."""

    steps: int
    decisions: tuple[str, ...]
    """Decision and action of each step, as a line of JSON."""
    differences: tuple[Difference, ...]


def replay(folder: Path) -> Replayed:
    """Gives the policy what the record says was seen and answered, and compares what it does, byte for byte.

    Raises:
        AgentError: there is no record, or a line has a missing or invalid field.
    """
    policy: Policy | None = None
    lines, differences = [], []
    for number, row in enumerate(read_record(folder), 1):
        where = f"{folder}, line {number} of the record"
        try:
            if "ended" in row:
                continue
            if "run" in row:
                policy = Policy(bounds_from(row["run"]["bounds"]))
                continue
            seen = row["seen"]
            observation = Observation(Screen(seen["screen"]), bool(seen["unchanged"]), seen["decision"])
            recorded = _line(seen["decision"], row["action"])
        except (KeyError, TypeError, ValueError) as error:
            raise AgentError(f"{where} has a missing or invalid field: {error}") from None
        if policy is None:
            raise AgentError(f'{where} comes before the line with "run": the record is incomplete')
        again = _line(observation.decision, as_row(policy.act(observation)))
        lines.append(again)
        if again != recorded:
            differences.append(Difference(number, recorded, again))
    return Replayed(len(lines), tuple(lines), tuple(differences))


def _line(decision: object, action: object) -> str:
    return json.dumps({"decision": decision, "action": action}, sort_keys=True)
