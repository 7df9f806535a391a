"""What a server says where a package is missing."""

import json
import subprocess
import sys

import pytest

from services.serving.packages import require_packages


def test_what_is_missing_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        require_packages("inference", "cpu", "json", "no_such_engine")
    assert ended.value.code == 1
    record = json.loads(capsys.readouterr().err)
    assert record["level"] == "ERROR"
    assert record["message"].startswith("missing Python packages: no_such_engine. Run `make setup`")


def test_what_is_there_is_enough() -> None:
    require_packages("inference", "cpu", "json")


@pytest.mark.parametrize(
    ("hidden", "arguments"),
    [
        (("qdrant_edge",), ()),
        (("open_clip", "torch"), ()),
        (("qdrant_edge",), ("check",)),
    ],
)
def test_retrieval_names_what_is_not_installed(hidden: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    # A module that is None in sys.modules can be neither found nor imported.
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({hidden!r})); sys.argv[1:] = {arguments!r}; "
        "runpy.run_module('services.retrieval', run_name='__main__', alter_sys=True)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    record = json.loads(result.stderr)  # one line, and no traceback
    missing = [name for name in ("qdrant_edge", "open_clip", "torch") if name in hidden]
    assert record["message"].startswith(f"missing Python packages: {', '.join(missing)}. Run `make setup`")


def test_commands_of_operators_need_no_encoder() -> None:
    code = (
        "import runpy, sys; sys.modules.update(open_clip=None, torch=None); sys.argv[1:] = ['--help']; "
        "runpy.run_module('services.retrieval', run_name='__main__', alter_sys=True)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, "backup" in result.stdout) == (0, True), result.stderr
