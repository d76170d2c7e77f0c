#!/usr/bin/env bash
# From nothing but Python 3.11 or later to a result: bash scripts/quickstart.sh [key=value ...]
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
ensure_environment hub
cd "$here" # a relative folder on the command line means what it says
echo "running python -m contsemi.run $*"
exec "$venv_python" -m contsemi.run "$@"
