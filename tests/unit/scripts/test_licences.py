"""Licences of what the locks install."""

from importlib import metadata
from importlib.util import find_spec

import pytest

from scripts.supply_chain import licences
from scripts.supply_chain.locks import LOCKS, lock

TABLE = licences.table()
parses_licences = pytest.mark.skipif(
    find_spec("license_expression") is None, reason="license-expression comes with the lock of developers"
)


def test_every_locked_package_has_a_licence() -> None:
    packages = {one.name for name in LOCKS for one in lock(name)}
    assert packages - TABLE.keys() == set(), "run python -m scripts.supply_chain.licences --update"
    assert TABLE.keys() - packages == set(), "run python -m scripts.supply_chain.licences --update"


@parses_licences
def test_no_licence_is_one_that_axia_could_not_be_used_with() -> None:
    assert {row.package: bad for row in TABLE.values() if (bad := licences.refused(row.licence))} == {}


def test_every_exception_is_needed() -> None:
    used = " ".join(row.licence for row in TABLE.values())
    assert [licence for licence in licences.EXCEPTIONS if licence not in used] == []


@parses_licences
@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        ("AGPL-3.0-only", ["AGPL-3.0-only"]),
        ("MIT AND SSPL-1.0", ["SSPL-1.0"]),
        ("GPL-2.0-only OR MIT", []),
        ("GPL-2.0-only OR AGPL-3.0-only", ["GPL-2.0-only", "AGPL-3.0-only"]),
        ("CC-BY-NC-4.0", ["CC-BY-NC-4.0"]),
        ("LicenseRef-Somebodys-Own", ["LicenseRef-Somebodys-Own"]),
        ("LGPL-2.1-or-later", []),
        ("Apache-2.0 WITH LLVM-exception", []),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", []),
    ],
)
def test_copyleft_no_commercial_use_and_unknown_terms_are_refused(expression: str, bad: list[str]) -> None:
    assert sorted(licences.refused(expression)) == sorted(bad)


@parses_licences
@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "licence"),
    [
        ("MIT", "", [], "MIT"),
        ("", "BSD-3-Clause", ["BSD License"], "BSD-3-Clause"),
        ("", "Apache 2.0", [], "Apache-2.0"),
        ("", "MIT License\n\nCopyright (c) 2022 Somebody", [], "MIT"),
        ("", "", ["Apache Software License"], "Apache-2.0"),
        ("LicenseRef-NVIDIA-Proprietary", "", [], "LicenseRef-NVIDIA-Proprietary"),
        ("", "BSD", ["BSD License"], None),
        ("", "", ["MIT License", "Apache Software License"], None),
        ("", "", ["Other/Proprietary License", "MIT License"], None),
        ("", "", [], None),
    ],
)
def test_metadata_states_a_licence_or_leaves_it_open(
    expression: str, text: str, classifiers: list[str], licence: str | None
) -> None:
    assert licences.declared(expression, text, classifiers) == licence


@parses_licences
def test_what_is_installed_states_what_the_table_says() -> None:
    differ, compared = {}, 0
    for row in TABLE.values():
        if row.source != licences.METADATA:
            continue
        try:
            stated = licences.installed(row.package)
        except metadata.PackageNotFoundError:
            continue
        compared += 1
        if stated != row.licence:
            differ[row.package] = (stated, row.licence)
    assert compared > 100
    assert differ == {}, "run python -m scripts.supply_chain.licences --update, and look at what changed"


def test_the_page_is_what_the_table_and_the_locks_say() -> None:
    assert licences.PAGE.read_text() == licences.page(), "run python -m scripts.supply_chain.licences"
