"""What only another interpreter can show: what an import loads, and that a hash seed changes no picture."""

import hashlib
import os
import subprocess
import sys

from demo.world.frames import draw_frame
from demo.world.paint import paint

HEAVY = ("pydantic", "grpc", "rich", "typer", "PIL", "numpy", "torch", "vllm", "circus", "zmq")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a statement loads in a fresh interpreter."""
    report = f"{statement}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def test_importing_the_package_and_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import axia, suite.restarts, axia.v1.gateway_pb2") == set()
    assert loaded_by("import axia.cli") <= {"typer"}


def test_importing_the_clients_loads_what_a_call_needs_and_no_more() -> None:
    assert loaded_by("import axia.client, axia.aio") == {"grpc", "pydantic"}
    assert loaded_by("import axia.testing") <= {"grpc", "pydantic", "PIL"}


def test_another_process_with_another_hash_seed_paints_the_same() -> None:
    code = "import hashlib; from demo.world.paint import paint; from demo.world.frames import draw_frame; "
    code += "print(hashlib.sha256(paint(draw_frame('x').picture, 112).tobytes()).hexdigest())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    here = hashlib.sha256(paint(draw_frame("x").picture, 112).tobytes()).hexdigest()
    assert other.stdout.strip() == here
