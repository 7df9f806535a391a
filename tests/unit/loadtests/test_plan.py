"""What a run sends, from a file."""

import json
from collections import Counter
from pathlib import Path

import pytest

from loadtests.errors import LoadError
from loadtests.plan import PLANS, Plan, read_budgets, read_plan

TEXT = """
name = "evening"
[[phases]]
shape = "steady"
rate = 10
seconds = 2
[[phases]]
shape = "ramp"
rate = 10
peak = 30
seconds = 3
[scenarios]
detect = 3
stream = 1
[budgets.all]
max_errors = 0
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(TEXT)
    plan = read_plan(str(tmp_path / "plan.toml"))
    (tmp_path / "plan.json").write_text(plan.model_dump_json(exclude_unset=True))
    assert read_plan(str(tmp_path / "plan.json")) == plan
    assert plan.length_s == 5


def test_phases_follow_each_other_and_scenarios_have_their_shares(tmp_path: Path) -> None:
    plan = Plan.model_validate(
        {
            "phases": [{"shape": "steady", "rate": 500, "seconds": 2}, {"shape": "steady", "rate": 100, "seconds": 2}],
            "scenarios": {"detect": 3, "stream": 1},
        }
    )
    arrivals = plan.arrivals()
    assert [arrival.at_s for arrival in arrivals] == sorted(arrival.at_s for arrival in arrivals)
    assert sum(arrival.at_s < 2 for arrival in arrivals) == 1000
    assert sum(arrival.at_s >= 2 for arrival in arrivals) == 200
    assert Counter(arrival.scenario for arrival in arrivals)["detect"] == pytest.approx(900, rel=0.1)
    assert arrivals == plan.arrivals()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 3", "name: "),
        ("name = 'a/b'", "name: use only letters"),
        ("rate = 3", "rate: there is no such setting"),
        ("[scenarios]\ndetct = 1", "scenarios: there is no scenario 'detct': use one of detect"),
        ("[scenarios]\ndetect = 0", "scenarios.detect: "),
        ("[[phases]]\nshape = 'wave'", "phases.0.shape: "),
        ("[budgets.all]\nmax_eror = 1", "budgets.all.max_eror: there is no such setting"),
        ("[budgets.detct]\nmax_errors = 1", "budgets: there is no scenario 'detct'"),
        ("name = ", "is not TOML"),
    ],
)
def test_what_is_no_plan_is_refused_by_its_field(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(LoadError, match=said):
        read_plan(str(tmp_path / "plan.toml"))


def test_a_plan_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(LoadError, match=r"no plan nightly: give .* one of .*ci"):
        read_plan("nightly")


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_plans_of_the_checkout_can_be_read(path: Path) -> None:
    assert read_plan(path.stem).name == path.stem


def test_the_plan_for_ci_lasts_less_than_two_minutes_and_limits_no_time() -> None:
    plan = read_plan("ci")
    assert plan.length_s <= 120
    limits = {name for budget in plan.budgets.values() for name, value in budget if value is not None}
    assert not {name for name in limits if name.endswith("_s")}


def test_budgets_alone_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "budgets.json").write_text(json.dumps({"budgets": {"detect": {"max_p95_s": 0.5}}}))
    assert read_budgets(tmp_path / "budgets.json")["detect"].max_p95_s == 0.5
    with pytest.raises(LoadError, match="can't read"):
        read_budgets(tmp_path / "missing.toml")
