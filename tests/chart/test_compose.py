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
    for name, own in SERVICES.items():
        target, _, tag = own["image"].removeprefix("localhost/axia-").partition(":")
        assert target in targets, name
        assert tag == f"${{AXIA_TAG:-{__version__}}}", name


def test_variables_are_settings_and_addresses_are_services() -> None:
    ports = {"gateway": 50050, "inference": 50051, "retrieval": 50052, "scoring": 50053}
    for name, own in SERVICES.items():
        for variable, value in own.get("environment", {}).items():
            assert not variable.startswith("AXIA_") or variable in KNOWN, (name, variable)
            if found := re.fullmatch(r"([a-z]+):(\d+)", value):
                assert found[1] in SERVICES, (name, variable)
                assert ports[found[1]] == int(found[2]), (name, variable)


def test_nothing_is_privileged_and_nothing_listens_beyond_this_machine() -> None:
    for name, own in SERVICES.items():
        assert own["read_only"] is True, name
        assert own["cap_drop"] == ["ALL"], name
        assert own["security_opt"] == ["no-new-privileges:true"], name
        assert own["mem_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in own.get("ports", [])), name


def test_the_demo_models_have_the_variables_of_the_chart() -> None:
    (server,) = (
        own
        for own in chart.rendered("cpu-demo")
        if own["kind"] == "Deployment" and "inference" in own["metadata"]["name"]
    )
    (container,) = server["spec"]["template"]["spec"]["containers"]
    charted = {own["name"]: own.get("value") for own in container["env"]}
    assert SERVICES["inference"]["environment"].items() <= charted.items()
    assert SERVICES["inference"]["command"] == container["command"]
