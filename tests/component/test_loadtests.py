"""The load generator over real connections, to the fake gateway and to addresses where nobody is."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from axia.errors import Overloaded
from axia.testing import FakeGateway, free_port
from loadtests.cli import app
from tests.support import pictures
from tests.support.http_api import FakeGateway as ScriptedGateway
from tests.support.http_api import http_api


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with FakeGateway(detections=["the stove"], images=[pictures.photograph()]) as gateway:
        yield gateway


def load(out: Path, *arguments: str, target: str, **environment: str) -> Result:
    clean = {"AXIA_API_KEY": "", "AXIA_TARGET": target, **environment}
    return CliRunner().invoke(app, [*arguments, "--out", str(out)], env=clean)


def written(out: Path, name: str = "load") -> dict[str, object]:
    found = json.loads((out / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def test_every_call_over_grpc_is_answered_and_measured(fake: FakeGateway, tmp_path: Path) -> None:
    chosen = [f"--scenario={name}" for name in ("detect", "stream", "watch=0.2", "isq", "search")]
    ended = load(tmp_path, *chosen, "--rate", "20", "--seconds", "2", target=fake.address)
    assert ended.exit_code == 0, ended.output
    summary = written(tmp_path)["summary"]
    assert isinstance(summary, dict)
    assert set(summary["scenarios"]) == {"detect", "stream", "watch", "isq", "search"}
    for name, figures in summary["scenarios"].items():
        assert figures["answered"] + figures["superseded"] == figures["requested"] > 0, name
        assert (figures["first_completion_s"] is not None) == (name == "stream")


async def test_every_call_over_http_is_answered_and_measured(tmp_path: Path) -> None:
    import asyncio

    with FakeGateway(detections=["the stove"], images=[pictures.photograph()]) as fake:
        behind = ScriptedGateway()
        behind.address = fake.address
        async with http_api(behind) as api:
            chosen = [f"--scenario={name}" for name in ("http-detect", "http-stream", "http-isq", "http-search")]
            url = f"http://127.0.0.1:{api.port}"
            ended = await asyncio.to_thread(
                load, tmp_path, *chosen, "--http", url, "--rate", "20", "--seconds", "1", target=fake.address
            )
    assert ended.exit_code == 0, ended.output
    summary = written(tmp_path)["summary"]
    assert isinstance(summary, dict)
    assert {name for name, figures in summary["scenarios"].items() if figures["answered"]} == {
        "http-detect", "http-stream", "http-isq", "http-search",
    }  # fmt: skip
    assert summary["scenarios"]["http-stream"]["first_completion_s"] is not None


def test_the_page_needs_nothing_else_and_has_the_figures(fake: FakeGateway, tmp_path: Path) -> None:
    assert load(tmp_path, "--rate", "20", "--seconds", "1", target=fake.address).exit_code == 0
    page = (tmp_path / "load.html").read_text()
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_broken_budget_ends_the_run_with_1(tmp_path: Path) -> None:
    budgets = tmp_path / "budgets.toml"
    budgets.write_text("[budgets.all]\nmax_errors = 0\nmin_answered = 1\n")
    # The first call only tries whether anything answers.
    with FakeGateway(detections=["the stove", Overloaded("full", code="RESOURCE_EXHAUSTED")]) as fake:
        ended = load(
            tmp_path,
            *("--shape", "steady", "--rate", "10", "--seconds", "1", "--budgets", str(budgets)),
            target=fake.address,
        )
    assert ended.exit_code == 1
    assert "EXCEEDED all: max_errors 0, measured 5" in ended.output
    assert "met      all: min_answered 1, measured 5" in ended.output
    assert "5 × RESOURCE_EXHAUSTED: full" in ended.output
    assert "1 of 2 budgets exceeded" in (tmp_path / "load.html").read_text()


def test_a_trace_is_saved_and_sent_again(fake: FakeGateway, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    mixed = ("--scenario=detect", "--scenario=isq", "--rate", "30", "--seconds", "1")
    assert load(tmp_path, *mixed, "--save-trace", str(trace), target=fake.address).exit_code == 0
    first = written(tmp_path)["summary"]
    assert load(tmp_path, "--trace", str(trace), "--speed", "2", target=fake.address).exit_code == 0
    again = written(tmp_path)
    assert isinstance(first, dict)
    assert isinstance(again["summary"], dict)
    assert again["trace"] == str(trace)
    assert again["summary"]["total"]["requested"] == first["total"]["requested"]
    assert again["summary"]["length_s"] < 0.7 * first["length_s"]


def test_the_api_key_is_sent_and_never_written(tmp_path: Path) -> None:
    with FakeGateway(detections=["the stove"], api_key="key-of-the-test") as fake:
        short = ("--rate", "10", "--seconds", "0.5")
        assert load(tmp_path, *short, target=fake.address, AXIA_API_KEY="key-of-the-test").exit_code == 0
        refused = load(tmp_path, *short, target=fake.address, AXIA_API_KEY="other")
    assert refused.exit_code == 2
    assert "key-of-the-test" not in (tmp_path / "load.json").read_text() + (tmp_path / "load.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "detct"], "there is no scenario 'detct': use one of detect"),
        (["--scenario", "detect=much"], "--scenario detect=much: give a name and a number"),
        (["--rate", "0"], "phases.0.rate: "),
        (["--rate", "0.001", "--seconds", "0.1"], "no call would be sent"),
        (["nightly"], "there is no plan nightly"),
        (["ci", "--rate", "3"], "ci has several phases"),
        (["--trace", "missing.csv"], "can't read the trace missing.csv"),
        (["--pictures", "missing"], "missing has no images"),
        (["--shape", "steady", "--peak", "3"], "a steady has no peak"),
    ],
)
def test_what_cannot_be_run_is_said_with_2(fake: FakeGateway, tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = load(tmp_path, *arguments, target=fake.address)
    assert ended.exit_code == 2
    assert said in ended.output
    assert "Traceback" not in ended.output


def test_a_gateway_that_does_not_answer_is_named(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    ended = load(tmp_path, target=address)
    assert ended.exit_code == 2
    assert address in ended.output
    assert "axia up" in ended.output


def test_an_http_api_that_does_not_answer_is_named(fake: FakeGateway, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = load(tmp_path, "--scenario", "http-detect", "--http", url, target=fake.address)
    assert ended.exit_code == 2
    assert f"POST /v1/detect at {url} failed, so no load was sent" in ended.output


def test_servers_end_with_a_run_that_is_terminated(tmp_path: Path) -> None:
    arguments = ["--start", "scripted", "--seconds", "60", "--rate", "1", "--out", str(tmp_path)]
    run = subprocess.Popen([sys.executable, "-m", "loadtests", *arguments], stderr=subprocess.PIPE)
    with run:
        process = psutil.Process(run.pid)
        servers: list[psutil.Process] = []
        until = time.monotonic() + 60
        while len(servers) < 2 and time.monotonic() < until:  # of them, one was noted a while ago
            time.sleep(0.1)
            servers = process.children(recursive=True)
        run.terminate()
        run.wait(60)
    assert servers
    assert not any(server.is_running() for server in servers)
