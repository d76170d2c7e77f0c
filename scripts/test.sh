#!/usr/bin/env bash
# The tests, from nothing but Python 3.11 or later: bash scripts/test.sh [pytest arguments]
# Without arguments the quick ones, for work in between; with --thorough every method, recipe and
# option as well, which is what must hold before anything lands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
ensure_environment dev
# Tests start hundreds of Pythons, each of which would compile the package and itself anew.
unset PYTHONDONTWRITEBYTECODE
workers=$("$venv_python" -c 'import os; print(min(8, max(2, os.cpu_count())))')
case "${1:-}" in
"") set -- -q -n "$workers" -m "not thorough and not slow and not gpu" ;;
--thorough) shift && set -- -q -n "$workers" -m "not slow and not gpu" "$@" ;;
esac
echo "running python -m pytest $*"
exec "$venv_python" -m pytest "$@"
