#!/usr/bin/env bash
# Resolves the lock files in requirements/ from pyproject.toml. Run it after a change of dependencies: make lock.
#
# One resolution holds for every Python and processor in `tool.uv.environments`. torch's CPU build isn't needed for it: a
# placeholder says what torch asks for, and the locks leave torch and torchvision to requirements/torch-cpu.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-.venv/bin/python}" scripts/locks/torch_placeholder.py "$work" > /dev/null

common=(--universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url
  --no-emit-find-links --quiet)
without_torch=(--no-emit-package torch --no-emit-package torchvision)

# lock FILE EXTRA OPTION...: resolves an extra, and leaves out the marker that every requirement has.
lock() {
  local file=requirements/$1.txt extra=$2
  shift 2
  "$uv" pip compile pyproject.toml --extra "$extra" "${common[@]}" --override "$overrides" -o "$file" "$@"
  "${PYTHON:-.venv/bin/python}" scripts/locks/short_markers.py "$file"
}

# dev is the widest, so the others follow its versions and one environment can hold them all.
export UV_FIND_LINKS=$work
overrides=requirements/overrides.txt
lock dev dev "${without_torch[@]}" "$@"
lock cpu cpu -c requirements/dev.txt "${without_torch[@]}" "$@"
lock base base -c requirements/dev.txt "$@"
lock base-dev base --extra tools -c requirements/dev.txt "$@"
# What each image holds (docker/Dockerfile), no more.
for image in gateway=serving http=http inference-remote=openai scoring=scoring retrieval=retrieval inference-cpu=inference-cpu; do
  lock "images/${image%=*}" "${image#*=}" -c requirements/dev.txt -c requirements/torch-cpu.txt "${without_torch[@]}" "$@"
done
# The chart's tests unpack these and import none of them.
"$uv" pip compile requirements/chart.in --no-deps "${common[@]}" -o requirements/chart.txt "$@"
"${PYTHON:-.venv/bin/python}" scripts/locks/short_markers.py requirements/chart.txt
# In an environment of its own: it pins many packages that developers have in other versions.
"$uv" pip compile requirements/checkov.in "${common[@]}" -o requirements/checkov.txt "$@"
"${PYTHON:-.venv/bin/python}" scripts/locks/short_markers.py requirements/checkov.txt
# A client may run anywhere.
"$uv" pip compile pyproject.toml "${common[@]}" --no-config -c requirements/dev.txt -o requirements/client.txt "$@"
unset UV_FIND_LINKS
# vLLM's CUDA build gets all that it asks for.
grep -v "^torch" requirements/overrides.txt > "$work/overrides.txt"
overrides=$work/overrides.txt
lock gpu gpu "$@"
lock images/inference-cuda inference-cuda -c requirements/gpu.txt "$@"
