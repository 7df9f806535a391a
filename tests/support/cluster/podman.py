"""Plays rendered Pods with podman, as a kubelet would: their command, environment, user, volumes and read-only root.

podman knows no Services, Deployments' replicas, gRPC probes or StatefulSets, so a Pod is played for each replica, in a
network in which the name of each Service stands for its Pods, and probes are called from here.
"""

import base64
import copy
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_CONF = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
[network]
network_backend = "netavark"
"""


class Pod(NamedTuple):
    """A Pod that is to run."""

    name: str
    spec: Any
    """As rendered."""
    services: Sequence[str]
    """Names of the Services that stand for it."""
    scraped_as: str
    """The one of them by which Prometheus knows it."""

    @property
    def container(self) -> Any:
        """Its only container, as rendered."""
        (container,) = self.spec["containers"]
        return container


class PodFailed(Exception):
    """A Pod isn't what its rendering says, or doesn't answer; the message says which and how."""


def pods(objects: Sequence[Any]) -> list[Pod]:
    """A Pod for each replica of each Deployment and StatefulSet."""
    services = {
        manifest["metadata"]["name"]: manifest["spec"]["selector"]
        for manifest in objects
        if manifest["kind"] == "Service"
    }
    scraped = {
        manifest["metadata"]["name"]
        for manifest in objects
        if manifest["kind"] == "Service" and manifest["metadata"]["labels"].get("axia/scraped") == "true"
    }
    found = []
    for manifest in objects:
        if manifest["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        template = manifest["spec"]["template"]
        names = [
            name for name, selector in services.items() if selector.items() <= template["metadata"]["labels"].items()
        ]
        spec = copy.deepcopy(template["spec"])
        for claim in manifest["spec"].get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": f"{name}-NAME"}})
        (scraped_as,) = scraped & set(names)
        found += [
            Pod(f"{manifest['metadata']['name']}-{n}", spec, names, scraped_as)
            for n in range(manifest["spec"].get("replicas", 1))
        ]
    return found


def _as_map(secret: Any) -> Any:
    """A ConfigMap in place of a Secret: podman 4.3 ends with a segmentation fault at a volume of a Secret."""
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": secret["metadata"], "data": data}


class Podman:
    """A network of Pods, taken down with everything that it made.

    Args:
        network: Its name.
        objects: All rendered objects, for the ConfigMaps among them, and Secrets that they name.
    """

    def __init__(self, network: str, objects: Sequence[Any]) -> None:
        self._network = network
        self._maps = [
            *(manifest for manifest in objects if manifest["kind"] == "ConfigMap"),
            *(_as_map(manifest) for manifest in objects if manifest["kind"] == "Secret"),
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="axia-chart-"))
        self._files: dict[str, Path] = {}
        self._logs: dict[str, str] = {}
        self._volumes: set[str] = set()
        (self._folder / "containers.conf").write_text(_CONF)
        self._environment = os.environ | {"CONTAINERS_CONF": str(self._folder / "containers.conf")}

    def call(self, *arguments: str, check: bool = True) -> str:
        """Runs podman and returns what it printed."""
        done = subprocess.run(
            ["podman", *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise PodFailed(f"podman {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def up(self) -> None:
        """Makes the network."""
        self.call("network", "create", self._network)

    def play(self, pod: Pod, published: Mapping[int, int]) -> None:
        """Starts a Pod and checks that it runs as it was rendered.

        Args:
            pod: The Pod.
            published: Ports of this machine's loopback address by a port of the Pod's.
        """
        path = self._folder / f"{pod.name}.yaml"
        path.write_text(yaml.safe_dump_all([*self._maps, self._manifest(pod, published)]))
        self._files[pod.name] = path
        aliases = ",".join(f"alias={name}" for name in pod.services)
        self.call("kube", "play", "--network", f"{self._network}:{aliases}", str(path))
        self._check(pod)

    def _manifest(self, pod: Pod, published: Mapping[int, int]) -> Any:
        spec = copy.deepcopy(pod.spec)
        (container,) = spec["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            del container[probe]
        # podman publishes every port that it is told of, on all interfaces.
        ports = [port for port in container.pop("ports") if port["containerPort"] in published]
        container["ports"] = [
            port | {"hostIP": "127.0.0.1", "hostPort": published[port["containerPort"]]} for port in ports
        ]
        # Kubernetes lets everybody write into an emptyDir; podman gives one in place of /dev/shm to root, and its own
        # /dev/shm to everybody.
        shared = {mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"}  # noqa: S108
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] not in shared]
        spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in shared]
        # To podman an emptyDir is a volume of that name, which all Pods would share.
        renamed = {volume["name"]: f"{pod.name}-{volume['name']}" for volume in spec["volumes"] if "emptyDir" in volume}
        for volume in spec["volumes"]:
            volume["name"] = renamed.get(volume["name"], volume["name"])
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]
                claim["claimName"] = claim["claimName"].replace("NAME", pod.name)
                self._volumes.add(claim["claimName"])
            if "configMap" in volume:  # to podman a volume of that name too
                self._volumes.add(volume["configMap"]["name"])
            if "secret" in volume:
                name = volume.pop("secret")["secretName"]
                self._volumes.add(name)
                volume["configMap"] = {"name": name}
        for mount in container["volumeMounts"]:
            mount["name"] = renamed.get(mount["name"], mount["name"])
        self._volumes |= set(renamed.values())
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name}, "spec": spec}

    def _name(self, pod: Pod) -> str:
        return f"{pod.name}-{pod.container['name']}"

    def _check(self, pod: Pod) -> None:
        (seen,) = json.loads(self.call("inspect", self._name(pod)))
        environment = dict(variable.partition("=")[::2] for variable in seen["Config"]["Env"])
        security = pod.spec["securityContext"]
        wanted = {variable["name"]: variable["value"] for variable in pod.container["env"] if "value" in variable}
        # On a Pod's container podman takes the command for the entrypoint.
        command = [*(seen["Config"]["Entrypoint"] or "").split(), *(seen["Config"]["Cmd"] or [])]
        for what, is_so in {
            "user": seen["Config"]["User"] == f"{security['runAsUser']}:{security['runAsGroup']}",
            "read-only root": seen["HostConfig"]["ReadonlyRootfs"],
            "capabilities": not seen["EffectiveCaps"],
            "environment": wanted.items() <= environment.items(),
            "command": " ".join(pod.container["command"]) in " ".join(command),
        }.items():
            if not is_so:
                raise PodFailed(f"{pod.name}: its {what} is not what was rendered")

    def healthy(self, pod: Pod, probe: str) -> bool:
        """Whether a rendered probe succeeds, called in the container by the image's own program."""
        rendered = pod.container[probe]
        ports = {port["name"]: port["containerPort"] for port in pod.container["ports"]}
        if "grpc" in rendered:
            asked = [f"127.0.0.1:{rendered['grpc']['port']}", rendered["grpc"].get("service", "")]
        else:
            scheme = rendered["httpGet"].get("scheme", "HTTP").lower()
            asked = [f"{scheme}://127.0.0.1:{ports[rendered['httpGet']['port']]}{rendered['httpGet']['path']}"]
        program = ["python", "-m", "services.serving.probe", *asked]
        done = subprocess.run(
            ["podman", "exec", self._name(pod), *program], env=self._environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def wait(self, pod: Pod, timeout_s: float) -> float:
        """Waits until a Pod is ready; returns the seconds that it took.

        Raises:
            PodFailed: If it ends, or isn't ready in time.
        """
        began = time.monotonic()
        while not self.healthy(pod, "readinessProbe"):
            if self.call("inspect", "--format", "{{.State.Running}}", self._name(pod)).strip() != "true":
                raise PodFailed(f"{pod.name} has ended:\n{self.log(pod)[-3000:]}")
            if time.monotonic() - began > timeout_s:
                raise PodFailed(f"{pod.name} isn't ready after {timeout_s:.0f} s:\n{self.log(pod)[-3000:]}")
            time.sleep(0.5)
        if not self.healthy(pod, "livenessProbe"):
            raise PodFailed(f"{pod.name} is ready and not alive")
        return time.monotonic() - began

    def log(self, pod: Pod) -> str:
        """What a Pod's container wrote."""
        done = subprocess.run(
            ["podman", "logs", self._name(pod)], env=self._environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.stdout

    def delete(self, pod: Pod) -> float:
        """Stops a Pod as Kubernetes does: SIGTERM, then its grace. Returns the seconds that it took.

        Raises:
            PodFailed: If it didn't end by itself with exit code 0.
        """
        began = time.monotonic()
        self.call("stop", "--time", str(pod.spec["terminationGracePeriodSeconds"]), self._name(pod))
        took = time.monotonic() - began
        code = self.call("inspect", "--format", "{{.State.ExitCode}}", self._name(pod)).strip()
        self._logs[f"{pod.name}, deleted"] = self.log(pod)
        self.call("kube", "down", str(self._files.pop(pod.name)), check=False)
        if code != "0":
            raise PodFailed(
                f"{pod.name} ended with {code} after {took:.1f} s:\n{self._logs[f'{pod.name}, deleted'][-3000:]}"
            )
        return took

    def logs(self, running: Sequence[Pod]) -> Mapping[str, str]:
        """What all Pods wrote, those that were deleted among them."""
        return self._logs | {pod.name: self.log(pod) for pod in running if pod.name in self._files}

    def down(self) -> None:
        """Takes down what is left."""
        for path in self._files.values():
            self.call("kube", "down", str(path), check=False)
        self.call("network", "rm", "--force", self._network, check=False)
        for volume in sorted(self._volumes):
            self.call("volume", "rm", "--force", volume, check=False)
