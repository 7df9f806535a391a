#!/usr/bin/env bash
# Installs the CPU builds of torch and torchvision into the environment of the given Python.
#
# The configured package index or wheel folder is tried first. Few indexes carry CPU builds, so PyTorch's own is added
# next. Never falls back to plain `torch`: that brings gigabytes of CUDA libraries.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
pip=("$python" -m pip install --quiet --no-deps -r requirements/torch-cpu.txt)

if ! "${pip[@]}" 2>/dev/null; then
  echo "The configured index has no CPU build of torch; adding PyTorch's"
  "${pip[@]}" --extra-index-url https://download.pytorch.org/whl/cpu || {
    echo "No CPU build of torch could be installed. Point pip at an index or folder that has torch 2.13.0+cpu" >&2
    echo "(pip config set global.find-links /path/to/wheels) and run make setup again. For models behind" >&2
    echo "OpenAI-compatible endpoints alone, torch isn't needed: run make setup ENGINE=none." >&2
    exit 1
  }
fi
