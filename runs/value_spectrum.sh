#!/usr/bin/env bash
# Repeats the tasks of arXiv 2411.11479 (what models prefer, role-play, and pictures against descriptions), and ends in a report.
#
#   axia up --detach && runs/value_spectrum.sh vlm                           # a model of the gateway, on the demo data
#   runs/value_spectrum.sh vlm,openai/gpt-4o --limit 50   # further arguments go to axia eval
#
# Run it again after an interruption: it continues.
set -euo pipefail
models=${1:?name the models, separated by commas (axia models lists those of the gateway)}
shift
out=${OUT:-logs/value_spectrum}
axia eval --paper 2411.11479 --models "$models" --out "$out" "$@"
axia report "$out" --title "arXiv 2411.11479"
