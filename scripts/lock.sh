#!/usr/bin/env bash
# Resolves the lock files in requirements/ from pyproject.toml. Run it after a change of dependencies: make lock.
#
# torch's CPU build must be found while resolving: set UV_FIND_LINKS or UV_EXTRA_INDEX_URL if the configured index has none.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
common=(--python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet)
linux=(--python-platform x86_64-manylinux_2_28)
cpu=("${linux[@]}" --generate-hashes --override requirements/overrides.txt --no-emit-package torch --no-emit-package torchvision)

# dev is the widest, so the others follow its versions and one environment can hold them all.
"$uv" pip compile pyproject.toml --extra dev "${common[@]}" "${cpu[@]}" -o requirements/dev.txt "$@"
"$uv" pip compile pyproject.toml --extra cpu "${common[@]}" "${cpu[@]}" -c requirements/dev.txt -o requirements/cpu.txt "$@"
# A client may run anywhere, so this one is for every platform.
"$uv" pip compile pyproject.toml "${common[@]}" --universal --generate-hashes -c requirements/dev.txt -o requirements/client.txt "$@"

# vLLM 0.33.0 wants a newer certificate bundle than some indexes carry. Resolving ignores that bound; the lock keeps it
# as a bound, so an index without such a release refuses the install instead of getting an older bundle unnoticed.
gpu=$(mktemp)
trap 'rm -f "$gpu"' EXIT
{ cat requirements/overrides.txt | grep sentence-transformers; echo certifi; } > "$gpu"
"$uv" pip compile pyproject.toml --extra gpu "${common[@]}" "${linux[@]}" --override "$gpu" \
  --no-emit-package certifi -o requirements/gpu.txt "$@"
echo 'certifi>=2026.10.19' >> requirements/gpu.txt
