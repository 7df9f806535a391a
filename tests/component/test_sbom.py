"""Bills of materials of the locks, made by CycloneDX's own tool."""

import json

import pytest

from scripts.supply_chain import sbom
from scripts.supply_chain.locks import LOCKS, lock


@pytest.mark.parametrize("name", LOCKS)
def test_a_bill_of_materials_has_every_package_of_its_lock_with_hashes_and_licence(name: str) -> None:
    pytest.importorskip("cyclonedx_py", reason="cyclonedx-bom isn't installed; it comes with the lock of developers")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    made = sbom.document(name)
    components = made["components"]
    found = sorted((one["name"], one["version"]) for one in components)
    assert found == sorted((one.name, one.version) for one in lock(name))
    hashes = {
        (one["name"], one["version"]): {
            digest["content"] for place in one.get("externalReferences", ()) for digest in place.get("hashes", ())
        }
        for one in components
    }
    assert all(hashes[one.name, one.version] == set(one.hashes) for one in lock(name))
    assert [one["name"] for one in components if "licenses" not in one] == []
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is None
