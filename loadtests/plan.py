"""What a run sends, and what it may take: a file in TOML or JSON, or the options of the command line."""

import json
import random
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from loadtests.budgets import ALL, Budget
from loadtests.errors import LoadError
from loadtests.records import Arrival
from loadtests.scenarios import SCENARIOS
from loadtests.shapes import Shape

PLANS = Path(__file__).parent / "plans"

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


class Plan(BaseModel):
    """A run.

    name = "evening"
    [[phases]]
    shape = "ramp"
    rate = 5
    peak = 40
    seconds = 120
    [scenarios]
    detect = 4
    stream = 1
    [budgets.detect]
    max_p95_s = 0.5
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "load"
    """Names the files of the result."""
    phases: Annotated[tuple[Shape, ...], Field(min_length=1)] = (Shape(),)
    """One after the other."""
    scenarios: Annotated[Mapping[str, Annotated[float, Field(gt=0)]], Field(min_length=1)] = {"detect": 1.0}
    """Scenarios and how often each is called, beside the others."""
    budgets: Mapping[str, Budget] = {}
    """Limits by scenario, or "all"."""

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError("use only letters, digits, - and _: it is a file name")
        return name

    @field_validator("scenarios")
    @classmethod
    def _scenarios_exist(cls, scenarios: Mapping[str, float]) -> Mapping[str, float]:
        return _known(scenarios, SCENARIOS)

    @field_validator("budgets")
    @classmethod
    def _budgets_are_of_scenarios(cls, budgets: Mapping[str, Budget]) -> Mapping[str, Budget]:
        return _known(budgets, {**SCENARIOS, ALL: None})

    @property
    def length_s(self) -> float:
        """Seconds in which calls are sent."""
        return sum(phase.length_s for phase in self.phases)

    def arrivals(self) -> list[Arrival]:
        """What to send, in the order of time; the same for the same plan."""
        names, shares = list(self.scenarios), list(accumulate(self.scenarios.values()))
        begin, found = 0.0, []
        for phase in self.phases:
            draw = random.Random(f"scenarios of {phase.seed}")
            for at_s in phase.arrivals():
                chosen = min(bisect_right(shares, draw.random() * shares[-1]), len(names) - 1)
                found.append(Arrival(begin + at_s, names[chosen]))
            begin += phase.length_s
        return found


class BudgetFile(BaseModel):
    """Budgets by scenario, or "all": the table `budgets` of a plan, alone in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budgets: Mapping[str, Budget]

    @field_validator("budgets")
    @classmethod
    def _budgets_are_of_scenarios(cls, budgets: Mapping[str, Budget]) -> Mapping[str, Budget]:
        return _known(budgets, {**SCENARIOS, ALL: None})


def read_plan(plan: str) -> Plan:
    """The plan of a file, or one of `loadtests/plans` by its name.

    Raises:
        LoadError: If it can't be read; the message names the field.
    """
    bundled = PLANS / f"{plan}.toml"
    if bundled.is_file() and not Path(plan).is_file():
        return _read(bundled, Plan)
    if not Path(plan).is_file():
        there = ", ".join(sorted(path.stem for path in PLANS.glob("*.toml")))
        raise LoadError(f"there is no plan {plan}: give a TOML or JSON file, or one of {there}")
    return _read(Path(plan), Plan)


def read_budgets(path: Path) -> Mapping[str, Budget]:
    """The budgets of a file.

    Raises:
        LoadError: If it can't be read; the message names the field.
    """
    return _read(path, BudgetFile).budgets


def _read(path: Path, model: type[Model]) -> Model:
    try:
        text = path.read_text(encoding="utf-8")
        return model.model_validate(json.loads(text) if path.suffix == ".json" else tomllib.loads(text))
    except OSError as error:
        raise LoadError(f"can't read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise LoadError(f"{path}: {explain(error)}") from error
    except ValueError as error:
        raise LoadError(f"{path} is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error


def explain(error: ValidationError) -> str:
    """The first thing that is wrong, by its field."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    said = "there is no such setting" if first["type"] == "extra_forbidden" else said
    return f"{where}: {said}" if where else said


def _known(given: Mapping[str, Value], known: Mapping[str, object]) -> Mapping[str, Value]:
    for name in given:
        if name not in known:
            raise ValueError(f"there is no scenario {name!r}: use one of {', '.join(known)}")
    return given
