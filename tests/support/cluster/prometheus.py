"""Prometheus itself, which reads the metrics of servers, and its tool, which checks rules and queries."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from axia.testing import free_port

_INSTALL = "install it by apt-get install prometheus"


class Target(NamedTuple):
    """A server's metrics port on this machine, and the labels that Kubernetes would give it."""

    port: int
    labels: Mapping[str, str]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Prometheus' tool."""
    found = shutil.which("promtool")
    assert found, f"the tests of alerts need promtool; {_INSTALL}"
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def with_values(query: str) -> str:
    """A dashboard's query as Grafana asks it with everything chosen."""
    return query.replace("$namespace", ".*").replace("$model", ".*").replace("$__rate_interval", "30s")


class Prometheus:
    """A running Prometheus, on this machine's loopback address alone.

    Args:
        folder: An empty folder for its files.
        targets: What it reads, every second.
        rules: A file of rules.
        tls: Whether the targets speak TLS. Their certificates aren't checked, as in the chart's ServiceMonitor.
    """

    def __init__(self, folder: Path, targets: list[Target], rules: Path, *, tls: bool = False) -> None:
        found = shutil.which("prometheus")
        assert found, f"playing the chart needs prometheus; {_INSTALL}"
        address = f"127.0.0.1:{free_port()}"
        static = [{"targets": [f"127.0.0.1:{target.port}"], "labels": dict(target.labels)} for target in targets]
        job: dict[str, Any] = {"job_name": "axia", "honor_labels": True, "static_configs": static}
        if tls:
            job |= {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [job],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self._log = (folder / "prometheus.log").open("w")
        self._address = f"http://{address}"
        self._process = subprocess.Popen(
            [
                found, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def ask(self, path: str, **parameters: str) -> Any:
        """Calls its HTTP API; retries until it answers."""
        address = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(address, timeout=30) as response:  # noqa: S310 - it is http://127.0.0.1
                    return json.load(response)["data"]
            except urllib.error.HTTPError as error:
                if error.code == HTTPStatus.SERVICE_UNAVAILABLE and time.monotonic() < deadline:
                    time.sleep(0.3)  # it listens before it has read its files
                    continue
                raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.3)

    def query(self, text: str) -> list[Any]:
        """The series that a query gives now."""
        found: list[Any] = self.ask("query", query=text)["result"]
        return found
