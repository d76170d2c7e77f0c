#!/usr/bin/env bash
# Proves on one GPU, in at most 12 minutes, what only a GPU can; see scripts/gpu_check.py.
#     bash scripts/gpu_check.sh [--output FOLDER] [--seconds 700] [--only norm methods ...]
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" CONTSEMI_NO_REEXEC=1
exec "${PYTHON:-python3}" -u scripts/gpu_check.py "$@"
