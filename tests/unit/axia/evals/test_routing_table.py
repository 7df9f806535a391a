"""A threshold in the routing table: written where it belongs, with all else as it was."""

import tomllib

import pytest

from axia.evals.routing_table import RoutingTableError, set_defaults

TABLE = """# ours
[[model]]
name = "first"
addresses = ["a:1"]   # one replica

[model.limits]
max_n = 8

[[model]]
name = "second"
addresses = ["b:1"]

[model.defaults]
n = 3       # replaced
top_p = 0.9

[model.limits]
max_n = 9
"""


@pytest.mark.parametrize("model", ["first", "second"])
def test_the_models_defaults_change_and_nothing_else(model: str) -> None:
    after = set_defaults(TABLE, model, {"abstain_threshold": 0.8, "n": 5})
    expected = tomllib.loads(TABLE)
    entry = next(row for row in expected["model"] if row["name"] == model)
    entry["defaults"] = entry.get("defaults", {}) | {"abstain_threshold": 0.8, "n": 5}
    assert tomllib.loads(after) == expected
    assert "# ours" in after
    assert "# one replica" in after
    assert set_defaults(after, model, {"abstain_threshold": 0.8, "n": 5}) == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]\n", "not valid TOML"),
        ('[[model]]\nname = "other"\n', "has no model 'first' (it has other)"),
        ('model = [{name = "first"}]\n', "as a [[model]] part"),
        ('[[model]]\nname = "first"\ndefaults = {n = 3}\n', "as a [model.defaults] part"),
    ],
)
def test_other_forms_are_refused(text: str, said: str) -> None:
    with pytest.raises(RoutingTableError) as error:
        set_defaults(text, "first", {"abstain_threshold": 0.8})
    assert said in str(error.value)
