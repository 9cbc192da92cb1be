#!/usr/bin/env bash
# Builds .venv-vllm, the environment of `make test-vllm`: vLLM for the CPU, the project, pytest.
# It is apart from .venv because vLLM pins an older transformers. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-vllm
pins=scripts/vllm-constraints.txt
stamp=$venv/.built-from
wanted=$(cat "$pins" "$0" | sha256sum | cut -d' ' -f1)

say() { printf 'vllm_env: %s\n' "$*" >&2; }

if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
  say "$venv is up to date"
  exit 0
fi

say "creating $venv (about 3 GB; a few minutes the first time)"
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
  say "needs CPython 3.11: remove $venv and set PYTHON=python3.11"
  exit 1
}

pip=("$venv/bin/python" -m pip --disable-pip-version-check)
[[ -t 1 ]] || pip+=(--quiet) # on a terminal pip draws its own progress bars

say "installing $(grep -c == "$pins") pinned packages"
"${pip[@]}" install --no-deps --requirement "$pins"
# An environment resolved by hand may hold them: they do not match torch for the CPU.
"${pip[@]}" uninstall --yes torchvision torchaudio torchcodec 2>/dev/null

say "installing rag_rec itself, editable"
"${pip[@]}" install --no-deps --no-build-isolation --editable .

say "checking that it imports"
"$venv/bin/python" -W ignore -c 'import torch, transformers, vllm; print("vllm_env: vllm", vllm.__version__, "torch", torch.__version__, "transformers", transformers.__version__)' >&2
printf '%s\n' "$wanted" >"$stamp"
say "ready"
