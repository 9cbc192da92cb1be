#!/usr/bin/env bash
# Makes .venv with the project and everything its tests and demo need: what requirements.lock names,
# each file of the hash that stands there. llama.cpp is compiled beside the other downloads; that is
# what takes the minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
quiet=(--quiet)
[[ -t 2 ]] && quiet=() # on a terminal pip draws its own progress bars
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log llama=$scratch/llama.txt others=$scratch/others.txt
# an entry ends with the first line that does not go on
sed -n '/^llama-cpp-python==/,/[^\\]$/p' requirements.lock >"$llama"
sed '/^llama-cpp-python==/,/[^\\]$/d' requirements.lock >"$others"
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
  nice "${pip[@]}" wheel --quiet --wheel-dir .cache/wheels "${locked[@]}" "$llama" >"$log" 2>&1 &
  build=$!
fi

say "installing the packages (about 3 GB on disk)"
"${pip[@]}" install --quiet "${locked[@]}" scripts/torch-cpu.lock 2>/dev/null ||
  say "no CPU build of torch is to be had here (PIP_EXTRA_INDEX_URL may name an index of them): on Linux" \
    "PyPI's build brings CUDA, some gigabytes without hashes"
"${pip[@]}" install "${quiet[@]}" "${locked[@]}" "$others"
"${pip[@]}" install "${quiet[@]}" --constraint constraints.txt torch # CUDA, where torch was built for it
"${pip[@]}" install "${quiet[@]}" --no-deps --no-build-isolation --editable .

if [[ -n ${build:-} ]]; then
  say "waiting for llama.cpp"
  wait "$build" || { cat "$log" >&2; say "llama.cpp did not compile; is there a C++ compiler?"; exit 1; }
  version=$(sed -n 's/^llama-cpp-python==\([0-9.]*\).*/\1/p' "$llama")
  "${pip[@]}" install "${quiet[@]}" --no-deps .cache/wheels/llama_cpp_python-"$version"-*.whl
fi

say "checking the embedded model"
if ! runs; then
  say "the cached build of llama.cpp does not run on this processor; compiling it again"
  "${pip[@]}" install "${quiet[@]}" --no-cache-dir --force-reinstall --no-binary llama-cpp-python \
    "${locked[@]}" "$llama"
  runs || { cat "$log" >&2; exit 1; }
fi
say "ready"
