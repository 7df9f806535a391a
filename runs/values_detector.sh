#!/usr/bin/env bash
# Repeats the tasks of arXiv 2501.03957 (what models notice in scenes), and ends in a report.
#
#   axia up --detach && runs/values_detector.sh vlm                           # a model of the gateway, on the demo data
#   runs/values_detector.sh vlm,openai/gpt-4o -T annotations=my.csv   # further arguments go to axia eval
#
# Run it again after an interruption: it continues.
set -euo pipefail
models=${1:?name the models, separated by commas (axia models lists those of the gateway)}
shift
out=${OUT:-logs/values_detector}
axia eval --paper 2501.03957 --models "$models" --out "$out" "$@"
axia report "$out" --title "arXiv 2501.03957"
