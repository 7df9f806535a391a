"""Fixtures of all tests."""

import atexit
import gc
import os
import signal

# gRPC's core tells of every connection that ends, between the dots of the test runner.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

# Tests in a shell's background ignore Ctrl-C, and so would the commands that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Takes what was imported out of the collector's sight: a collection then looks at what tests made, and is quick.

    Tests that call `gc.collect`, and statsmodels, which does so in each call, would look through all of torch's and
    scipy's objects otherwise.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or objects of extension modules are reported as leaked
