#!/usr/bin/env bash
# Builds the images of docker/Dockerfile with docker, podman or buildah: scripts/images.sh [TARGET…]; all without names.
#
# BUILDER names the program, IMAGE_PREFIX what comes before a target's name (default localhost/axia-), TAG the tag
# (default the version of axia). Prints each image's time and size.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' axia/version.py)
prefix=${IMAGE_PREFIX:-localhost/axia-}
tag=${TAG:-$version}
targets=("$@")
[ $# -gt 0 ] || targets=(gateway http scoring inference-remote retrieval inference-cpu demo inference-cuda)

builder=${BUILDER:-}
if [ -z "$builder" ]; then
  # docker may be installed where its daemon doesn't run.
  if docker info > /dev/null 2>&1; then builder=docker
  elif command -v buildah > /dev/null; then builder=buildah
  elif command -v podman > /dev/null; then builder=podman
  else
    echo "make images needs docker, podman or buildah; install one of them (apt-get install buildah)" >&2
    exit 1
  fi
fi

options=(--file docker/Dockerfile --build-arg "VERSION=$version"
  --build-arg "REVISION=$(git rev-parse HEAD 2> /dev/null || echo unknown)")
if [ "$builder" != docker ]; then
  options+=(--format docker --layers)   # OCI's own format has no HEALTHCHECK
  # Without systemd no cgroup can be made for a build.
  [ -d /run/systemd/system ] || options+=(--isolation chroot --network host --ulimit nofile=20000:20000)
  # A machine's own certificates and folder of wheels are lent to the build and stay out of the image.
  pip_conf=$(mktemp)
  trap 'rm -f "$pip_conf"' EXIT
  echo "[global]" > "$pip_conf"
  if [ -n "${PIP_CERT:-}" ]; then
    echo "cert = $PIP_CERT" >> "$pip_conf"
    options+=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
  fi
  if [ -d "${PIP_FIND_LINKS:-}" ]; then
    echo "find-links = $PIP_FIND_LINKS" >> "$pip_conf"
    options+=(--volume "$PIP_FIND_LINKS:$PIP_FIND_LINKS:ro")
  fi
  options+=(--volume "$pip_conf:/etc/pip.conf:ro")
fi
case $builder in
  docker) build=(docker build) ;;
  podman) build=(podman build) ;;
  buildah) build=(buildah bud) ;;
  *) echo "BUILDER is docker, podman or buildah, not $builder" >&2; exit 1 ;;
esac

size() {
  case $builder in
    docker) docker image inspect --format '{{.Size}}' "$1" ;;
    podman) podman image inspect --format '{{.Size}}' "$1" ;;
    buildah) buildah images --json "$1" | sed -n 's/.*"size": "\(.*\)".*/\1/p' ;;
  esac
}

for target in "${targets[@]}"; do
  began=$(date +%s)
  "${build[@]}" "${options[@]}" --target "$target" --tag "$prefix$target:$tag" . > "/tmp/axia-image-$target.log" 2>&1 || {
    tail -30 "/tmp/axia-image-$target.log" >&2
    echo "$prefix$target could not be built; the whole log is /tmp/axia-image-$target.log" >&2
    exit 1
  }
  echo "$prefix$target:$tag built in $(($(date +%s) - began)) s, $(size "$prefix$target:$tag")"
done
