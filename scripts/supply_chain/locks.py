"""Reads lock files: the packages that they pin, with hashes."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = {"base": ("base.txt",), "cpu": ("cpu.txt", "torch-cpu.txt"), "gpu": ("gpu.txt",)}
"""What `make setup` can install, and the files that pin it. torch-cpu.txt has no hashes, because its wheels come from
another index on some machines."""


@dataclass(frozen=True)
class Locked:
    """A package at the version that a lock pins; one lock may pin several versions, with markers."""

    name: str
    """As PyPI normalises it."""
    version: str
    marker: str
    """For which environments; empty for all."""
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed, as 64 hexadecimal digits."""


def read(file: Path) -> list[Locked]:
    """The packages of a lock file in its order.

    Raises:
        ValueError: If a line isn't a package pinned with `==`.
    """
    lines = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8")).splitlines()
    return [_locked(line, file) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _locked(line: str, file: Path) -> Locked:
    requirement = Requirement(re.split(r"\s+(?:--hash|#)", line, maxsplit=1)[0])
    pins = list(requirement.specifier)
    if len(pins) != 1 or pins[0].operator != "==":
        raise ValueError(f"{file.name}: {requirement} isn't pinned with ==; resolve the locks again with make lock")
    hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    marker = str(requirement.marker) if requirement.marker else ""
    return Locked(canonicalize_name(requirement.name), pins[0].version, marker, hashes)


def lock(name: str) -> list[Locked]:
    """All packages of one of `LOCKS`."""
    return [package for file in LOCKS[name] for package in read(REQUIREMENTS / file)]


@cache
def versions(package: str) -> dict[str, set[str]]:
    """The versions at which a package is pinned, by lock; locks without it are left out."""
    pinned = {name: {one.version for one in lock(name) if one.name == package} for name in LOCKS}
    return {name: found for name, found in pinned.items() if found}
