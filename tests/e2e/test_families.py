"""Every family of models that the studies use, in checkpoints of the published shape, served by naming it alone.

tests/data/families.json has what each call of each family gives: "ok", or the reason of a refusal, which docs/models.md
explains. A cell that changes fails. Two families run by default; `make families` runs all:

    AXIA_TEST_FAMILIES=all pytest tests/e2e/test_families.py
    AXIA_TEST_FAMILIES=gemma-3,qwen2-vl AXIA_RECORD_FAMILIES=1 pytest tests/e2e/test_families.py   # writes the table
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import axia
from tests.support import fake_retrieval, processes
from tests.support.families import FAMILIES
from tests.support.family_calls import CALLS, Served, outcome
from tests.support.pictures import photograph

TABLE = processes.ROOT / "tests" / "data" / "families.json"
EXPECTED: dict[str, dict[str, str]] = json.loads(TABLE.read_text())
BY_DEFAULT = "llava-v1.6-34b,gemma-3"
CHOSEN = os.environ.get("AXIA_TEST_FAMILIES", BY_DEFAULT)
NAMES = list(FAMILIES) if CHOSEN == "all" else CHOSEN.split(",")
RECORD = bool(os.environ.get("AXIA_RECORD_FAMILIES"))
LOADING_S = 300


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Server]:
    with processes.scoring(tmp_path_factory.mktemp("scoring") / "scoring.log", reader="packaged") as server:
        server.wait_for("SERVING", timeout=90)
        yield server


@pytest.fixture(scope="module", params=NAMES)
def served(request: pytest.FixtureRequest, checkpoints: Path, scoring: processes.Server) -> Iterator[Served | str]:
    """A family's model behind a gateway; if it doesn't load, the setting that its server names."""
    folder = checkpoints / request.param
    if not folder.exists():
        folder.mkdir()
        FAMILIES[request.param](folder)
    log = checkpoints / f"{request.param}.log"
    pictures = [photograph(seed, (64, 48)) for seed in range(3)]
    with processes.inference(log, model=folder, max_tokens=2000) as server:
        if helps := _setting_that_helps(server):
            yield helps
            return
        with (
            fake_retrieval.retrieval(pictures) as retrieval,
            processes.gateway(
                log.with_suffix(".gateway.log"), server.address, scoring=scoring.address, retrieval=retrieval.address
            ) as gateway,
            axia.Client(gateway.address, timeout=400) as client,
            grpc.insecure_channel(server.address) as channel,
        ):
            gateway.wait_for("SERVING")
            yield Served(folder, server, client, channel, retrieval)
            assert server.health() == "SERVING", server.log_text()[-3000:]


def _setting_that_helps(server: processes.Server) -> str:
    """The setting that a server names whose model doesn't load; empty if it loads."""
    try:
        server.wait_for("SERVING", LOADING_S)
    except AssertionError:
        said = re.findall(r"vLLM could not load '[^']*': .*?(AXIA_INFERENCE_\w+)", server.log_text())
        if not said:
            raise
        return str(said[-1])
    return ""


@pytest.mark.parametrize("call", CALLS)
def test_a_call_gives_what_the_table_says(served: Served | str, call: str, request: pytest.FixtureRequest) -> None:
    family = request.node.callspec.params["served"]
    seen = f"does not load: {served}" if isinstance(served, str) else outcome(served, CALLS[call])
    if RECORD:
        table = json.loads(TABLE.read_text())
        table.setdefault(family, {})[call] = seen
        TABLE.write_text(json.dumps(table, indent=2) + "\n")
        return
    assert seen == EXPECTED[family][call]


def test_the_table_has_a_cell_for_each_call_of_each_family() -> None:
    assert list(EXPECTED) == list(FAMILIES)
    for family, row in EXPECTED.items():
        assert list(row) == list(CALLS), family
