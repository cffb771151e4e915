"""Build wheel and sdist, install each in an environment of its own, and use it from another folder.

python tests/packaging/build_and_install.py [PYTHON]...

A PYTHON is an interpreter, such as python3.12; by default those of 3.11, 3.12 and 3.13 that are found. Needs the
network for dependencies.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MINORS = (11, 12, 13)


def main(given: list[str]) -> int:
    """Try every interpreter with wheel and sdist, print a line for each, and return how many failed."""
    interpreters = given or find_interpreters()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", scratch / "dist"], cwd=REPOSITORY, check=True)
        packages = sorted((scratch / "dist").iterdir())
        for number, (interpreter, package) in enumerate(itertools.product(interpreters, packages)):
            began = time.monotonic()
            problem = try_package(interpreter, package, scratch / f"trial-{number}")
            failures += problem is not None
            print(f"{interpreter} {package.name}: {problem or 'works'}, {time.monotonic() - began:.0f} s", flush=True)
    return failures


def find_interpreters() -> list[str]:
    """Interpreters of the versions that are supported: on the path, or in pyenv's folder."""
    found = []
    for minor in MINORS:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        path = shutil.which(f"python3.{minor}")
        candidates = [*map(str, pyenv), *([path] if path else [])]
        working = [one for one in candidates if subprocess.run([one, "-c", ""], capture_output=True).returncode == 0]
        if working:
            found.append(working[0])
        else:
            print(f"no Python 3.{minor} here")
    return found


def try_package(interpreter: str, package: Path, folder: Path) -> str | None:
    """Install a package and reconstruct with it; what went wrong in one line, or None."""
    folder.mkdir(parents=True)
    python = folder / "venv" / "bin" / "python"
    commands: list[list[str | Path]] = [
        [interpreter, "-m", "venv", folder / "venv"],
        [python, "-m", "pip", "install", "-q", package],
        [python, "-m", "pip", "check"],
        [python.with_name("tomokit"), "simulate", "demo", "--shape", "12,24,24", "--tilts=-60:60:20"],
        [
            python.with_name("tomokit"),
            "reconstruct",
            "demo/tilts.mrc",
            "-o",
            "t.mrc",
            "--thickness",
            "8",
            "--method",
            "wbp",
        ],
        [python.with_name("tomokit"), "plugins", "list"],
        [python, "-c", f"import tomokit; assert tomokit.__file__.startswith({str(folder)!r}), tomokit.__file__"],
    ]
    for command in commands:
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
            return f"{' '.join(map(str, command[1:3]))} failed: {last}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
