"""What `import axia` offers, and what it costs."""

import re
import subprocess
import sys

import pytest

import axia

HEAVY = ("pydantic", "grpc", "rich", "typer", "PIL", "numpy", "torch", "vllm", "circus", "zmq")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a statement loads in a fresh interpreter."""
    report = f"{statement}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def test_the_module_docstring_lists_exactly_what_is_exported() -> None:
    sections = (axia.__doc__ or "").partition("Clients\n")[2].partition("\nThe parts")[0]
    names = re.findall(r"^    .*", sections, re.MULTILINE)
    assert sorted(re.findall(r"\w+", " ".join(names))) == sorted(axia.__all__)


@pytest.mark.parametrize("name", axia.__all__)
def test_every_exported_name_exists_and_is_documented(name: str) -> None:
    member = getattr(axia, name)
    assert isinstance(member, str) or member.__doc__
    assert name in dir(axia)


def test_all_errors_are_exported() -> None:
    errors = axia.AxiaError.__subclasses__()
    errors += [further for error in errors for further in error.__subclasses__()]
    assert {error.__name__ for error in errors} < set(axia.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'axia' has no attribute 'Klient'"):
        _ = axia.Klient


def test_importing_the_package_and_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import axia, axia.suite.restarts, axia.v1.gateway_pb2") == set()
    assert loaded_by("import axia.cli") <= {"typer"}


def test_importing_the_clients_loads_what_a_call_needs_and_no_more() -> None:
    assert loaded_by("import axia.client, axia.aio") == {"grpc", "pydantic"}
    assert loaded_by("import axia.testing") <= {"grpc", "pydantic", "PIL"}
