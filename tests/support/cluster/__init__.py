"""The rendered chart, Pods played with podman, and a real Prometheus."""
