#!/usr/bin/env bash
# Builds the images of docker/Dockerfile with docker, podman or buildah: scripts/images.sh [TARGET…]; all without names.
#
# BUILDER names the program, BASE the image that all are built on, IMAGE_PREFIX what comes before a target's name (default localhost/axia-), TAG the tag
# (default the version of axia). Prints each image's time and size.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' axia/version.py)
prefix=${IMAGE_PREFIX:-localhost/axia-}
tag=${TAG:-$version}
targets=("$@")
[ $# -gt 0 ] || targets=(gateway http scoring inference-remote loadtests retrieval inference-cpu demo inference-cuda)

base=${BASE:-docker.io/library/debian:bookworm-slim}

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

options=(--file docker/Dockerfile --build-arg "BASE=$base" --build-arg "VERSION=$version"
  --build-arg "REVISION=$(git rev-parse HEAD 2> /dev/null || echo unknown)")
if [ "$builder" != docker ]; then
  options+=(--format docker --layers)   # OCI's own format has no HEALTHCHECK
  # Without systemd no cgroup can be made for a build.
  [ -d /run/systemd/system ] || options+=(--isolation chroot --network host --ulimit nofile=20000:20000)
  # A machine's own certificates and folder of wheels are lent to the build and stay out of the image.
  lent=$(mktemp -d)
  trap 'rm -rf "$lent"' EXIT
  echo "[global]" > "$lent/pip.conf"
  certificates=${PIP_CERT:-$(python3 -m pip config get global.cert 2> /dev/null || true)}
  if [ -n "$certificates" ]; then
    cp "$certificates" "$lent/certificates.crt"
    echo "cert = /mnt/certificates.crt" >> "$lent/pip.conf"
  fi
  wheels=${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links 2> /dev/null || true)}
  if [ -d "$wheels" ]; then
    echo "find-links = $wheels" >> "$lent/pip.conf"
    options+=(--volume "$wheels:$wheels:ro")
  fi
  options+=(--volume "$lent:/mnt:ro" --volume "$lent/pip.conf:/etc/pip.conf:ro")
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

there() {
  case $builder in
    buildah) buildah inspect --type image "$1" > /dev/null 2>&1 ;;
    *) "$builder" image inspect "$1" > /dev/null 2>&1 ;;
  esac
}
there "$base" || "$builder" pull --quiet "$base" > /dev/null 2>&1 || {
  began=$(date +%s)
  scripts/base-image.sh "$builder" "$base"
  echo "$base made from Debian's packages in $(($(date +%s) - began)) s, $(size "$base")"
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
