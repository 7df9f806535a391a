"""Fixtures of all tests."""

import atexit
import gc
import os
import signal
from collections.abc import Generator
from importlib.util import find_spec

import pytest

# gRPC's core tells of every connection that ends, between the dots of the test runner.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

# Tests in a shell's background ignore Ctrl-C, and so would the commands that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what is marked as long."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Takes what was imported out of the collector's sight: a collection then looks at what tests made, and is quick.

    Tests that call `gc.collect`, and statsmodels, which does so in each call, would look through all of torch's and
    scipy's objects otherwise.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or objects of extension modules are reported as leaked


WITHOUT_ENGINE = (
    "imagehash",
    "onnx",
    "open_clip",
    "qdrant_client",
    "qdrant_edge",
    "safetensors",
    "torch",
    "transformers",
    "vllm",
)
"""What `make setup ENGINE=none` leaves out."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips the tests of a file that can't be imported where the suite was set up without an engine."""
    report = yield
    if report.failed and find_spec("torch") is None:
        for name in WITHOUT_ENGINE:
            if f"No module named '{name}" in str(report.longrepr):
                report.outcome = "skipped"
                report.longrepr = (str(collector.path), 1, f"needs {name}, which a set-up without an engine leaves out")
    return report
