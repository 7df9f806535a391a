"""The suite that users start in their own tests."""

from pathlib import Path

import pytest

import axia
from axia import testing
from tests.support import pictures, processes


def test_the_real_suite_of_a_checkout_answers_from_a_file(tmp_path: Path) -> None:
    suite = testing.suite(processes.ROOT, processes.ANSWERS, logs=tmp_path)
    with suite as running, axia.Client(running.address) as client:
        assert client.detect(pictures.photograph(), n=1, temperature=0).completions_done == 1
    assert (tmp_path / "gateway.log").read_text()


def test_a_suite_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a checkout"), testing.suite(tmp_path, processes.ANSWERS):
        pass
    bad = tmp_path / "bad.yaml"
    bad.write_text("answers: 3")
    with pytest.raises(testing.SuiteFailed, match="inference ended with"), testing.suite(processes.ROOT, bad):
        pass
