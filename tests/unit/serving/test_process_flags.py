"""A process that crashes leaves no memory on disk, and others of its user can't read it."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

CRASHING = """
import ctypes, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
if sys.argv[1] == "forbidden":
    from services.serving.process_flags import forbid_core_dumps
    forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3), flush=True)
os.abort()
"""


def crash(folder: Path, how: str) -> tuple[str, bool]:
    """What a process says of its limits, and whether it left a core dump when it crashed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "said").open("w+") as said:
        arguments = [sys.executable, "-c", CRASHING, how]
        pid = os.posix_spawn(
            sys.executable, arguments, environment, file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1)]
        )
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        return said.read().strip(), os.WCOREDUMP(status)


@pytest.mark.skipif(sys.platform != "linux", reason="core dumps are forbidden on Linux")
def test_a_crash_leaves_no_core_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said, dumped = crash(tmp_path, "forbidden")
    assert said == "1 0"  # one byte, and not dumpable
    assert not dumped
    assert {path.name for path in tmp_path.iterdir()} == {"said"}
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        assert crash(tmp_path, "allowed")[0].endswith(" 1")  # it was the call that made the difference


def test_processes_that_it_starts_write_none_either() -> None:
    code = (
        "import subprocess, sys\n"
        "from services.serving.process_flags import forbid_core_dumps\n"
        "forbid_core_dumps()\n"
        "sys.exit(subprocess.call(['sh', '-c', 'ulimit -c; ulimit -H -c']))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.split() == ["0", "0"]  # blocks of 512 bytes


def test_a_process_that_may_not_raise_a_limit_of_0_keeps_it() -> None:
    """As in containers that were started with `--ulimit core=0`, and under systemd with `LimitCORE=0`."""
    code = (
        "import ctypes, os, resource\n"
        "from services.serving.process_flags import forbid_core_dumps\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65534)\n"
        "forbid_core_dumps()\n"
        "print(*resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.split()[:2] == ["0", "0"]
    if sys.platform == "linux":
        assert ended.stdout.split()[2] == "0"  # not dumpable
