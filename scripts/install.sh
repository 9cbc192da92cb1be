#!/usr/bin/env bash
# Makes .venv with the project and everything its tests and demo need: what requirements.lock names,
# each file of the hash that stands there. Nothing is compiled.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet)
uv=("$venv/bin/uv" pip install --quiet --python "$venv/bin/python")
locked=(--no-deps --require-hashes --requirement)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
say() { printf 'install: %s\n' "$*" >&2; }
# the entries of the lock of some packages, or of all others; an entry ends with the first line that
# does not go on
only() { sed -n "/^$1==/,/[^\\\\]\$/p" requirements.lock; }
without() { sed "/^$1==/,/[^\\\\]\$/d" requirements.lock; }

[[ -x $venv/bin/python ]] || {
  say "creating $venv"
  "${PYTHON:-python3}" -m venv "$venv"
}
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || {
  say "Python 3.11.5 or newer is needed: remove $venv and set PYTHON=python3.11"
  exit 1
}

say "installing the packages (about 3 GB on disk)"
without torch >"$scratch/others"
"${pip[@]}" "${locked[@]}" scripts/torch-cpu.lock 2>/dev/null || {
  say "no CPU build of torch is to be had here (PIP_EXTRA_INDEX_URL may name an index of them): on Linux" \
    "PyPI's build brings CUDA, some gigabytes without hashes"
  cp requirements.lock "$scratch/others"
}
only uv >"$scratch/uv"
"${pip[@]}" "${locked[@]}" "$scratch/uv"
"${uv[@]}" "${locked[@]}" "$scratch/others" || {
  say "uv cannot reach the packages; pip tries, which takes minutes longer"
  "${pip[@]}" "${locked[@]}" "$scratch/others"
}
"$venv/bin/python" -c 'import importlib.metadata as m, sys; sys.exit("+cpu" not in m.version("torch"))' ||
  "${pip[@]}" --constraint constraints.txt torch # CUDA, where torch was built for it
"${uv[@]}" --no-deps --no-build-isolation --editable .
say "ready"
