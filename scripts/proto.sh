#!/usr/bin/env bash
# Generates axia/v1 from proto/. With --check, fails if that would change anything.
#
# The generator is old on purpose: generated code runs with its own or any newer protobuf and grpcio, never with older
# ones, so its release sets the oldest that a client may have. It lives in an environment of its own because it asks
# for an older protobuf than the suite runs.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.proto-tools
if [ ! -e "$tools/.ready" ]; then
  "${PYTHON:-.venv/bin/python}" -m venv "$tools"
  "$tools/bin/pip" install --quiet grpcio-tools==1.71.2 mypy-protobuf==3.6.0 protobuf==5.29.5 "setuptools<81"
  touch "$tools/.ready"
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$tools/bin/python" -m grpc_tools.protoc -I proto --plugin="protoc-gen-mypy=$tools/bin/protoc-gen-mypy" \
  --plugin="protoc-gen-mypy_grpc=$tools/bin/protoc-gen-mypy_grpc" \
  --python_out="$out" --grpc_python_out="$out" --mypy_out=quiet:"$out" --mypy_grpc_out=quiet:"$out" proto/axia/v1/*.proto
echo '"""Messages and stubs generated from proto/axia/v1. Nothing here is written by hand."""' > "$out/axia/v1/__init__.py"

if [ "${1:-}" = --check ]; then
  diff --recursive --exclude=__pycache__ "$out/axia/v1" axia/v1 || {
    echo "axia/v1 differs from what proto/ generates: run make proto and commit the result" >&2
    exit 1
  }
else
  mkdir -p axia/v1
  find axia/v1 -type f -delete
  cp "$out"/axia/v1/* axia/v1/
fi
