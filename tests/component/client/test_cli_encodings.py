"""The command line on outputs that can't encode every character, and with or without colours."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axia.testing import FakeGateway
from tests.support import pictures

SAID = ["the stöve 火", "a knife"]
COMMAND = (sys.executable, "-m", "axia")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(answers={"needs attention": SAID}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "kitchen.jpg"
    path.write_bytes(pictures.photograph(0))
    return path


def run(*arguments: object, encoding: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_signs_become_ascii_and_nothing_else_is_lost(gateway: FakeGateway, picture: Path, encoding: str) -> None:
    for further in ((), ("--stream",)):
        done = run("detect", picture, "--truth", "a knife", "-n", 2, *further, encoding=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        shown = done.stdout.decode(encoding)
        assert "+ names what annotators named, x does not, ? could not be judged" in shown
        assert ("the st\\xf6ve \\u706b" if encoding == "ascii" else "the stöve \\u706b") in shown
        assert "✓" not in shown
    assert run("detect", "--help", encoding=encoding).returncode == 0
    assert (
        b"kappa" in run("judges", "--help", encoding=encoding).stdout + run("detect", "--help", encoding="ascii").stdout
    )


def test_an_encoding_with_its_own_way_of_errors_keeps_it(gateway: FakeGateway, picture: Path) -> None:
    shown = run("detect", picture, "--truth", "a knife", "-n", 2, encoding="ascii:replace").stdout
    assert b"? names what annotators named" in shown


@pytest.mark.parametrize("further", [(), ("--stream",)])
def test_json_has_the_same_value_in_every_encoding(
    gateway: FakeGateway, picture: Path, further: tuple[str, ...]
) -> None:
    said = []
    for encoding in ("utf-8", "ascii", "latin-1"):
        done = run("detect", picture, "--json", "-n", 2, "--seed", 1, *further, encoding=encoding)
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout.decode(encoding).splitlines()[-1])
        detection = last.get("detection", last)
        said.append([completion["first_sentence"] for completion in detection["completions"]])
    assert said == [SAID] * 3


def test_marks_are_coloured_on_a_terminal_alone_and_not_against_its_users_will(
    gateway: FakeGateway, picture: Path
) -> None:
    command = [*COMMAND, "detect", str(picture), "--truth", "a knife", "-n", "2"]
    environment = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm"}
    for further, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal, behind = pty.openpty()
        subprocess.run(command, env={**environment, **further}, stdout=behind, check=True, timeout=60)
        os.close(behind)
        shown = os.read(terminal, 65536).decode()
        os.close(terminal)
        assert ("\x1b[32m" in shown, "\x1b[31m" in shown) == (coloured, coloured)
    assert b"\x1b" not in run(*command[3:], encoding="utf-8").stdout
