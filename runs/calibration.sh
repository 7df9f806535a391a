#!/usr/bin/env bash
# Calibrates the agreement from which on a model may answer, on scenes that are drawn anew, and ends in a report.
#
#   axia up --detach && runs/calibration.sh vlm        # 400 scenes of the demo world; SCENES=… for another number
#
# Run it again after an interruption: it continues.
set -euo pipefail
models=${1:?name the models, separated by commas (axia models lists those of the gateway)}
out=${OUT:-logs/calibration}
scenes=$out-scenes
python -m demo.world --out "$scenes" --kind scenes --count "${SCENES:-400}" --split held-out
python -m demo.study --scenes "$scenes"
axia eval abstention --models "$models" -T "annotations=$scenes/annotations.jsonl" --out "$out"
axia report "$out" --title "Abstention"
axia calibrate "$out" --bound "${BOUND:-0.1}" --out "$out.toml"
