# Sourced by quickstart.sh and test.sh, from the repository's root. Makes .venv where it is missing,
# old or half made, installs contsemi with one of its extras, and sets $venv_python.
# A stamp in .venv says what was installed, so that the next start only compares it.

fail() {
    echo "error: $*" >&2
    exit 2
}

# A name on PATH may be a shim for a version that is not there: only what runs counts.
runs() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        runs "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of version 3.11 or later; unset it"
        python=$PYTHON
        return
    fi
    for python in python3.12 python3.11 python3.13 python3.14 python3 python; do
        if runs "$python"; then return; fi
    done
    python=
}

make_venv() {
    find_python
    rm -rf .venv
    if [ -n "$uv" ]; then
        echo "making .venv with uv"
        "$uv" venv --quiet --python "${python:->=3.11}" .venv || fail "uv finds no Python 3.11 or later; install one"
    else
        [ -n "$python" ] || fail "no Python 3.11 or later found; install one, or set PYTHON to it"
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$python cannot make environments; install its venv package (Debian: apt install python3-venv)"
        echo "making .venv with $("$python" --version)"
        "$python" -m venv .venv
    fi
    touch .venv/.contsemi-incomplete
}

# The repository's place belongs to it: an environment that was moved points to where it was.
fingerprint() {
    "$venv_python" - "$PWD" <<'PY'
import hashlib, pathlib, sys
parts = (pathlib.Path("pyproject.toml").read_bytes(), sys.version.encode(), sys.argv[1].encode())
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
}

# $1: the extra, hub or dev; dev contains hub.
ensure_environment() {
    uv=$(command -v uv || true)
    venv_python="$PWD/.venv/bin/python"
    if [ -e .venv/.contsemi-incomplete ] || ! runs "$venv_python"; then
        make_venv
    fi
    local now stamp
    now=$(fingerprint)
    for stamp in ".venv/.contsemi-$1" .venv/.contsemi-dev; do
        if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then return; fi
    done
    echo "installing contsemi[$1] into .venv (some minutes the first time)"
    if [ -n "$uv" ]; then
        "$uv" pip install --quiet --python "$venv_python" -e ".[$1]"
    else
        "$venv_python" -m pip --version >/dev/null 2>&1 || "$venv_python" -m ensurepip >/dev/null
        "$venv_python" -m pip install --quiet --disable-pip-version-check -e ".[$1]"
    fi || fail "the installation failed; mend what stands above, then run this again"
    echo "$now" >".venv/.contsemi-$1"
    rm -f .venv/.contsemi-incomplete
}
