#!/usr/bin/env bash
# Makes the images' base from Debian's packages, where no registry can be reached: scripts/base-image.sh BUILDER NAME
#
# BUILDER is docker, podman or buildah. Needs mmdebstrap, as root.
set -euo pipefail
builder=$1
name=$2
command -v mmdebstrap > /dev/null || {
  echo "$name is neither here nor in a registry that can be reached, and without mmdebstrap it can't be made" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# As Debian's own slim images: the least that apt runs on, without documentation.
mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*' \
  bookworm "$work/base.tar"
case $builder in
  buildah)
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$work/base.tar" / > /dev/null
    buildah config --cmd bash "$container"
    buildah commit --quiet --rm "$container" "$name" > /dev/null
    ;;
  *) "$builder" import --change "CMD bash" "$work/base.tar" "$name" > /dev/null ;;
esac
