"""Prints the coverage of each package from coverage's JSON report: python scripts/coverage_by_package.py FILE"""

import json
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

DEPTH = 2
"""Names of a package that are told apart: services.scoring, gateway.rpc."""


def by_package(report: dict[str, object]) -> dict[str, tuple[int, int]]:
    """For each package its statements, and those that ran."""
    statements: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for file, found in report["files"].items():  # type: ignore[attr-defined] # coverage's own schema
        package = ".".join(PurePosixPath(file).parts[:-1][:DEPTH])
        statements[package] += found["summary"]["num_statements"]
        covered[package] += found["summary"]["covered_lines"]
    return {package: (statements[package], covered[package]) for package in sorted(statements)}


def main(path: Path) -> None:
    """Prints a line a package and one for all."""
    packages = by_package(json.loads(path.read_text(encoding="utf-8")))
    everything = tuple(map(sum, zip(*packages.values(), strict=True)))
    for package, (statements, covered) in [*packages.items(), ("all", everything)]:
        if statements:
            print(f"  {package:<24} {statements:>6} statements {covered / statements:>7.1%} covered")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
