"""Values that make no sense are refused, with a sentence that says what to set."""

import pytest

from tests.support.cluster import chart

A = ("models[0].name=a", "models[0].engine=vllm", "models[0].model=org/a")
S = ("models[0].name=a", "models[0].engine=scripted", "models[0].answers=x")
REMOTE = ("models[0].name=a", "models[0].engine=openai", "models[0].model=m")
R = ("retrieval.enabled=true", "retrieval.encoder=e/p")


REFUSED = [
    (("foo=1",), "additional properties 'foo' not allowed"),
    (("gateway.replica=2",), "at '/gateway': additional properties 'replica' not allowed"),
    ((*S, "models[0].replica=2"), "at '/models/0': additional properties 'replica' not allowed"),
    (("gateway.replicas=-1",), "at '/gateway/replicas': minimum: got -1, want 0"),
    (("gateway.replicas=two",), "at '/gateway/replicas': got string, want integer"),
    (("scoring.resources.limits=null",), "missing property 'limits'"),
    (("models=null",), "models: list at least one model"),
    ((*S[:1],), "missing property 'engine'"),
    ((*S[:1], "models[0].engine=tgi"), "value must be one of 'vllm', 'openai', 'scripted'"),
    ((*S[:2],), "models[0] (a): set answers to the answers of the scripted engine"),
    (
        (*S, "models[1].name=A", "models[1].engine=scripted", "models[1].answers=x"),
        "models[1] (A): the name is used twice, or its first 20 characters differ from those of a only in",
    ),
    (
        (
            *S,
            "models[0].default=true",
            "models[1].name=b",
            "models[1].engine=scripted",
            "models[1].answers=x",
            "models[1].default=true",
        ),
        "models: only one can be the default",
    ),
    (
        ("telemetry.otlp.endpoint=collector:4317",),
        "telemetry.otlp: endpoint is collector:4317; set it to a collector's address",
    ),
    (
        ("telemetry.otlp.endpoint=http://collector",),  # gRPC would take 443
        "endpoint is http://collector; set it to a collector's address for OTLP over gRPC with its port",
    ),
    (
        ("telemetry.otlp.endpoint=http://axia:secret@collector:4317",),
        "telemetry.otlp: endpoint is http://…@collector:4317; set it to",
    ),
    ((f"image.digests.gatway=sha256:{'0' * 64}",), "additional properties 'gatway' not allowed"),
    (("image.digests.gateway=sha256:1",), "at '/image/digests/gateway'"),
    (
        ("telemetry.otlp.endpoint=http://collector:4317",),
        "telemetry.otlp: network policies are on, so nothing could reach the collector; set namespace",
    ),
    (("telemetry.otlp.namespace=monitoring",), "telemetry.otlp: set endpoint to the collector's address"),
    (
        ("telemetry.otlp.endpoint=http://c:4317", "telemetry.otlp.namespace=a", "telemetry.otlp.caSecret=b"),
        "telemetry.otlp: endpoint is http://c:4317, which doesn't use TLS; start it with https://",
    ),
    (("telemetry.sampling.percent=101",), "at '/telemetry/sampling/percent': maximum: got 101, want 100"),
    (
        ("loadTest.enabled=true", "keys.existingSecret=k"),
        "loadTest: the gateway requires an API key; set loadTest.existingSecret to a Secret with",
    ),
    (A, "models[0] (a): set gpus to the number of GPUs that one replica needs, or to 0"),
    ((*A[:2], "models[0].gpus=1"), "models[0] (a): set model to a hub id or a folder, or image.demo to true"),
    ((*A, "models[0].gpus=1", "models[0].tensorParallelism=2"), "tensorParallelism is 2 and gpus is 1; set gpus"),
    ((*A, "models[0].gpus=4", "models[0].tensorParallelism=2"), "2 of 4 GPUs would be unused"),
    ((*S, "models[0].gpus=1"), "models[0] (a): the engine scripted doesn't use GPUs; remove gpus"),
    ((*A, "models[0].gpus=1", "models[0].cache.predownload=true"), "set cache.enabled to true"),
    (
        (*A, "models[0].gpus=1", "models[0].cache.enabled=true", "models[0].replicas=2"),
        "2 replicas can't share a ReadWriteOnce volume; set cache.accessMode to ReadWriteMany",
    ),
    (REMOTE, "models[0] (a): set openai.baseUrl"),
    ((*REMOTE, "models[0].openai.baseUrl=https://e/v1"), "set egress to its CIDR and port"),
    ((*S, "models[0].autoscaling.enabled=true"), "set monitoring.prometheusUrl"),
    (
        (
            *S,
            "models[0].autoscaling.enabled=true",
            "monitoring.prometheusUrl=http://p",
            "models[0].autoscaling.min=9",
        ),
        "autoscaling.min is 9 and autoscaling.max is 4; set max to at least min",
    ),
    (
        (
            *S,
            "monitoring.prometheusUrl=http://p:9090",
            "models[0].autoscaling.enabled=true",
            "models[0].limits.replica_completions=48",
        ),
        "models[0] (a): the gateway sends at most 48 completions to a replica, so more than",
    ),
    (
        (
            *S,
            "monitoring.prometheusUrl=http://p:9090",
            "models[0].autoscaling.enabled=true",
            "models[0].autoscaling.completionsPerReplica=128",
        ),
        "set completionsPerReplica below limits.replica_completions",
    ),
    ((*S, "models[0].inferencePool.enabled=true"), "set inferencePool.endpointPicker"),
    (
        ("gateway.autoscaling.enabled=true", "gateway.autoscaling.max=1"),
        "gateway.autoscaling: min is 2 and max is 1",
    ),
    (("image.tag=latest",), 'image.tag: "latest" can change at any time'),
    (("retrieval.enabled=true",), "retrieval: set encoder"),
    ((*R, "retrieval.replicas=2"), "the embedded store supports only one replica"),
    (
        (*R, "retrieval.externalUrl=http://q:6334"),
        "store is embedded, but externalUrl is only used with store external",
    ),
    ((*R, "retrieval.store=external"), "retrieval: set externalUrl"),
    ((*R, "retrieval.store=qdrant"), "set retrieval.pictures to its URL, such as s3://bucket/pictures"),
    (
        (*R, "retrieval.store=qdrant", "retrieval.pictures=s3://b/p", "qdrant.replicas=1"),
        "replicationFactor is 2 and there are 1 peers",
    ),
    (("tls.enabled=true",), "tls: set existingSecret to a Secret with tls.crt, tls.key and ca.crt"),
    (("tls.enabled=true", "tls.existingSecrets.gateway=a"), "existingSecrets for each component (http, scoring"),
    (
        ("tls.enabled=true", "tls.existingSecrets.gate=a"),
        "there is no component gate; name gateway, http, inference",
    ),
    (
        ("tls.enabled=true", "tls.existingSecret=a", "tls.certManager.enabled=true", "tls.certManager.issuer=b"),
        "tls: cert-manager makes a Secret for each component",
    ),
    (("tls.enabled=true", "tls.certManager.enabled=true"), "tls: set certManager.issuer"),
    (("expose.ingress.enabled=true",), "expose.ingress: set host"),
    (("expose.ingress.enabled=true", "expose.ingress.host=a"), "expose.ingress: set tlsSecret"),
    (("expose.gatewayApi.enabled=true",), "expose.gatewayApi: set gateway"),
]
"""Values, and part of what is said against them."""


@pytest.mark.parametrize(("sets", "message"), REFUSED)
def test_it_is_refused(sets: tuple[str, ...], message: str) -> None:
    done = chart.template(sets=sets)
    assert done.code != 0
    assert message in done.error, done.error


def test_an_old_kubernetes_is_refused() -> None:
    assert "kubeVersion" in chart.template(version="1.24").error


def test_an_entry_may_turn_off_what_the_defaults_turn_on() -> None:
    defaults = ("modelDefaults.cache.enabled=true", "modelDefaults.gpus=2", "modelDefaults.shm=9Gi")
    done = chart.template(sets=(*A, *defaults, "models[0].cache.enabled=false", "models[0].gpus=0"))
    (server,) = (
        manifest
        for manifest in done.objects
        if manifest["kind"] == "Deployment" and "inference" in manifest["metadata"]["name"]
    )
    spec = server["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"].startswith("localhost/axia-inference-cpu:")
    assert "nvidia.com/gpu" not in spec["containers"][0]["resources"]["limits"]
    assert {volume["name"]: volume for volume in spec["volumes"]}["shm"]["emptyDir"]["sizeLimit"] == "9Gi"
    assert "cache" not in {volume["name"] for volume in spec["volumes"]}
