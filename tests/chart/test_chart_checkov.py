"""checkov's rules for Kubernetes hold for every rendering, but for those that are listed with the reason."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import chart
from tests.support.processes import ROOT

EXCEPTIONS = {
    "CKV_K8S_15": "Images have fixed tags (`latest` is refused), so pulling them at each start would fetch what is "
    "there, and keep Pods from starting while the registry is away; image.pullPolicy can say Always.",
    "CKV_K8S_35": "The hub's token, an endpoint's key, Qdrant's key and the collector's metadata are read from the "
    "environment by the libraries that use them. API keys and certificates are files.",
    "CKV_K8S_40": "Qdrant's own image has files of user 1000. All of axia's containers run as 10001.",
    "CKV_K8S_43": "Digests are known once images are in the user's registry; image.digests and qdrant.image take them.",
}
"""Rules that the chart doesn't follow, by their ids."""
DIGEST = f"sha256:{'0' * 64}"


def program() -> str:
    """The checkov that CHECKOV names, or the one that `make chart` installs."""
    path = Path(os.environ.get("CHECKOV", "") or ROOT / ".axia" / "tools" / "checkov" / "bin" / "checkov")
    assert path.exists(), (
        f"there is no checkov at {path}: run `make .axia/tools/checkov`, or set CHECKOV to another one"
    )
    return str(path)


def failed(folder: Path) -> list[Any]:
    """What checkov says against the files of a folder."""
    options = [
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--quiet",
        "--compact",
        "--soft-fail",
        "--skip-download",
    ]
    done = subprocess.run(
        [program(), "--directory", str(folder), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    found: list[Any] = report["results"]["failed_checks"]
    return found


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("rendered")
    for name in chart.renderings():
        if name == "own-objects":  # what users add is theirs
            continue
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(chart.rendered(name)))
    return failed(folder)


def test_no_rule_is_broken_but_those_that_are_listed(findings: list[Any]) -> None:
    broken = {(found["check_id"], found["check_name"], found["resource"]) for found in findings}
    assert {one for one in broken if one[0] not in EXCEPTIONS} == set()


def test_each_exception_is_needed(findings: list[Any]) -> None:
    assert {found["check_id"] for found in findings} == set(EXCEPTIONS)


def test_only_qdrant_runs_as_a_low_user(findings: list[Any]) -> None:
    low = {found["resource"] for found in findings if found["check_id"] == "CKV_K8S_40"}
    assert low
    assert all("qdrant" in resource for resource in low)


def test_digests_and_always_pulling_leave_no_finding_about_images(tmp_path: Path) -> None:
    names = ("gateway", "http", "scoring", "inference-remote")
    sets = ("image.pullPolicy=Always", *(f"image.digests.{name}={DIGEST}" for name in names))
    done = chart.template(sets=sets)
    for name, pod in chart.pods(done.objects):
        assert pod["spec"]["containers"][0]["image"].endswith(f"@{DIGEST}"), name
    (tmp_path / "pinned.yaml").write_text(done.text)
    assert failed(tmp_path) == []


def test_it_finds_what_is_wrong(tmp_path: Path) -> None:
    (server,) = (
        one
        for one in chart.template().objects
        if one["metadata"]["name"] == "t-axia-scoring" and one["kind"] == "Deployment"
    )
    server["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    (tmp_path / "scoring.yaml").write_text(yaml.safe_dump(server))
    assert "CKV_K8S_20" in {found["check_id"] for found in failed(tmp_path)}
