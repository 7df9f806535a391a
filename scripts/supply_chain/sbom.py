"""Writes a bill of materials for each lock: python -m scripts.supply_chain.sbom FOLDER. `make sbom` runs it.

A document in CycloneDX's JSON names every package that the lock installs, with its version, the SHA-256 of each file
that may be installed, and its licence (requirements/licences.csv). cyclonedx-py, CycloneDX's own tool for Python, reads
the lock, which doesn't say what asks for what, so there is no graph of dependencies. The tool takes licences from an
installed environment only, and none has every lock installed, so they are added here.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from scripts.supply_chain import licences
from scripts.supply_chain.locks import LOCKS, REQUIREMENTS, ROOT, lock

_SPEC = "1.6"


def document(name: str) -> dict[str, Any]:
    """The CycloneDX document of one of `LOCKS`.

    Raises:
        subprocess.CalledProcessError: If cyclonedx-py can't read the lock; it says why on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        joined = Path(folder) / f"{name}.txt"
        joined.write_text("\n".join((REQUIREMENTS / file).read_text(encoding="utf-8") for file in LOCKS[name]))
        result = subprocess.run(
            [
                sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", str(joined),
                "--of", "JSON", "--sv", _SPEC, "--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"),
            ],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
    made: dict[str, Any] = json.loads(result.stdout)
    known = licences.table()
    markers = {(one.name, one.version): one.marker for one in lock(name)}
    for component in made["components"]:
        package = canonicalize_name(component["name"])
        component.pop("description", None)  # the lines of the lock, with all hashes once more
        if package in known:
            component["licenses"] = [{"expression": known[package].licence}]
        if marker := markers.get((package, component["version"])):
            component["properties"] = [{"name": "axia:marker", "value": marker}]
    return made


def main(arguments: list[str]) -> int:
    """Writes the documents into a folder and says which."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOCKS:
        made = document(name)
        file = folder / f"axia-{name}.cdx.json"
        file.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        without = sum("licenses" not in component for component in made["components"])
        print(f"wrote {file}: {len(made['components'])} packages" + (f", {without} without a licence" * (without > 0)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["dist"]))
