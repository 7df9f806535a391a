"""Writes a wheel of torch's CPU build that holds metadata alone: python scripts/locks/torch_placeholder.py FOLDER

Resolving the locks needs to know what torch asks for on every Python and processor, and few indexes carry its CPU
builds for all of them. The locks don't name torch (`--no-emit-package`): requirements/torch-cpu.txt does.
"""

import sys
import zipfile
from pathlib import Path

VERSION = "2.13.0+cpu"
REQUIRES = (
    "filelock", "typing-extensions>=4.10.0", "setuptools>=77.0.3", "sympy>=1.13.3", "networkx>=2.5.1", "jinja2",
    "fsspec>=0.8.5",
)  # fmt: skip


def write(folder: Path) -> Path:
    """Writes the wheel and returns its path."""
    name = f"torch-{VERSION}"
    metadata = "".join(
        (f"Metadata-Version: 2.1\nName: torch\nVersion: {VERSION}\n", *(f"Requires-Dist: {one}\n" for one in REQUIRES))
    )
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.dist-info/METADATA", metadata)
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
    return wheel


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
