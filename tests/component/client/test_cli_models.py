"""`axia models` against a real server."""

import json
from typing import Any

from typer.testing import CliRunner

from axia.cli import app


def test_tables_list_models_and_prompts(gateway: Any) -> None:
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    for word in (
        "scripted",
        "4,096",
        "127.0.0.1:50051",
        "yes",
        "(not",
        "no",
        "detect/baseline",
        "What needs attention?",
    ):
        assert word in words
    assert "Be [bold]terse[/bold]." in words
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json_is_one_object(gateway: Any) -> None:
    listed = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert listed["models"][0]["model"]["engine"] == "scripted"
    assert listed["models"][1] == {"model": None, "available": False, "address": "127.0.0.1:50061"}
    assert [prompt["id"] for prompt in listed["prompts"]] == ["detect/baseline", "system/terse"]


def test_nobody_at_the_address_is_a_failure_with_advice() -> None:
    result = CliRunner().invoke(app, ["models", "--address", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("axia: no server answers at 127.0.0.1:1: start one with `axia up`")
