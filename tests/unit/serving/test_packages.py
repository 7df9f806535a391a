"""What a server says where a package is missing."""

import json

import pytest

from services.serving.packages import require_packages


def test_what_is_missing_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        require_packages("inference", "cpu", "json", "no_such_engine")
    assert ended.value.code == 1
    record = json.loads(capsys.readouterr().err)
    assert record["level"] == "ERROR"
    assert record["message"].startswith("no_such_engine not installed: run `make setup`")


def test_what_is_there_is_enough() -> None:
    require_packages("inference", "cpu", "json")
