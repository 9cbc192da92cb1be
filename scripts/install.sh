#!/usr/bin/env bash
# Makes .venv with the project and everything its tests and demo need: what requirements.lock names,
# each file of the hash that stands there. Nothing is compiled.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
quiet=(--quiet)
[[ -t 2 ]] && quiet=() # on a terminal pip draws its own progress bars
locked=(--no-deps --require-hashes --requirement)
say() { printf 'install: %s\n' "$*" >&2; }

[[ -x $venv/bin/python ]] || {
  say "creating $venv"
  "${PYTHON:-python3}" -m venv "$venv"
}
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || {
  say "Python 3.11.5 or newer is needed: remove $venv and set PYTHON=python3.11"
  exit 1
}

say "installing the packages (about 3 GB on disk)"
"${pip[@]}" install --quiet "${locked[@]}" scripts/torch-cpu.lock 2>/dev/null ||
  say "no CPU build of torch is to be had here (PIP_EXTRA_INDEX_URL may name an index of them): on Linux" \
    "PyPI's build brings CUDA, some gigabytes without hashes"
"${pip[@]}" install "${quiet[@]}" "${locked[@]}" requirements.lock
"${pip[@]}" install "${quiet[@]}" --constraint constraints.txt torch # CUDA, where torch was built for it
"${pip[@]}" install "${quiet[@]}" --no-deps --no-build-isolation --editable .

say "trying the embedded model (the first time its weights are widened, some 20 s)"
"$venv/bin/python" -W ignore -c '
from rag_rec.llm import Message, Request, open_model
schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 1}
reply = open_model("local").generate([Request((Message("user", "1 or 2?"),), schema, max_tokens=8)])[0]
raise SystemExit(str(reply.error) if reply.error else 0)'
say "ready"
