"""What `import axia` offers."""

import inspect
import re

import pytest

import axia


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


def test_the_async_client_has_the_calls_of_the_client_and_refers_to_each() -> None:
    names = {name for name in dir(axia.Client) if not name.startswith("_")}
    assert {name for name in dir(axia.AsyncClient) if not name.startswith("_")} == names
    for name in names - {"close"}:
        assert inspect.getdoc(getattr(axia.AsyncClient, name)) == f"See `Client.{name}`."
