#!/usr/bin/env bash
# The tests, from nothing but Python 3.11 or later: bash scripts/test.sh [pytest arguments]
# Without arguments, the quick ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
ensure_environment dev
[ $# -gt 0 ] || set -- -q -n 2 -m "not slow and not gpu"
echo "running python -m pytest $*"
exec "$venv_python" -m pytest "$@"
