"""The map in docs/README.md names every file of the package, in its folder, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (".py", ".cu", ".cuh", ".toml", ".txt", ".typed", ".html", ".css", ".js")


def files_of_the_map() -> set[str]:
    """Paths that it names: a line that begins with a folder, then lines ``- `FILE`, `FILE`: what is in them``."""
    found, folder = set(), None
    for line in (ROOT / "docs" / "README.md").read_text(encoding="utf-8").splitlines():
        heading = re.match(r"`(tomokit[\w/]*)`", line)
        if heading:
            folder = heading[1]
        elif line.startswith("#"):
            folder = None
        elif folder is not None and line.startswith("- "):
            names, colon, clause = line[2:].partition(": ")
            assert colon, line
            assert len(clause.split()) >= 2 or clause in ("SIRT", "SART"), line
            found |= {f"{folder}/{name}" for name in re.findall(r"`([\w.-]+)`", names)}
    return found


def files_of_the_package() -> set[str]:
    paths = (path for path in (ROOT / "tomokit").rglob("*") if path.suffix in ENDINGS)
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_every_file_of_the_package_stands_in_the_map_and_no_other() -> None:
    named, there = files_of_the_map(), files_of_the_package()
    assert len(there) > 200
    assert named - there == set(), "files that are gone"
    missing = {name for name in there - named if not name.endswith("__init__.py")}
    assert missing == set(), "give each of these a clause in docs/README.md"


def test_an_init_that_is_left_out_of_the_map_has_no_functions() -> None:
    left_out = sorted(files_of_the_package() - files_of_the_map())
    assert left_out
    assert [name for name in left_out if "def " in (ROOT / name).read_text(encoding="utf-8")] == []
