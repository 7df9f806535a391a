"""Fixtures of all tests."""

import os
import sys
from pathlib import Path

# gRPC's core tells of every connection that ends, between the dots of the test runner.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

# Tests import their own helpers (processes, pictures) from this folder.
sys.path.insert(0, str(Path(__file__).parent))
