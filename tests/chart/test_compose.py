"""compose.yaml: its images are targets, its variables settings, its addresses services; nothing is privileged."""

import re

import yaml

from axia.version import __version__
from scripts.settings_doc import page
from tests.support import chart
from tests.support.processes import ROOT

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
KNOWN = set(re.findall(r"`(AXIA_\w+)`", page()))
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_images_are_targets_of_the_release() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    for name, service in SERVICES.items():
        target, _, tag = service["image"].removeprefix("localhost/axia-").partition(":")
        assert target in targets, name
        assert tag == f"${{AXIA_TAG:-{__version__}}}", name


def test_variables_are_settings_and_addresses_are_services() -> None:
    ports = {"gateway": 50050, "inference": 50051, "retrieval": 50052, "scoring": 50053}
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert not variable.startswith("AXIA_") or variable in KNOWN, (name, variable)
            if found := re.fullmatch(r"([a-z]+):(\d+)", value):
                assert found[1] in SERVICES, (name, variable)
                assert ports[found[1]] == int(found[2]), (name, variable)


def test_nothing_is_privileged_and_nothing_listens_beyond_this_machine() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_demo_models_have_the_variables_of_the_chart() -> None:
    (server,) = (
        manifest
        for manifest in chart.rendered("cpu-demo")
        if manifest["kind"] == "Deployment" and "inference" in manifest["metadata"]["name"]
    )
    (container,) = server["spec"]["template"]["spec"]["containers"]
    charted = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert SERVICES["inference"]["environment"].items() <= charted.items()
    assert SERVICES["inference"]["command"] == container["command"]
