"""Machine code kept between processes: used again while it fits its sources, never when it does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import warm_start

from tomokit.kernels.cache import _remove_stale, _write
from tomokit.kernels.notice import COMPILING
from tomokit.kernels.sources import source_digest

CALLEE = """
from tomokit.kernels.decorator import compiled
from sample.codes import FACTOR

@compiled(inlined=True)
def scaled(value):
    return FACTOR * value
"""
CALLER = """
from tomokit.kernels.decorator import compiled
from sample.callee import scaled

@compiled()
def total(values):
    result = 0.0
    for value in values:
        result += scaled(value)
    return result
"""
RUN = """
import sys
sys.dont_write_bytecode = True
import numpy as np
from tomokit.kernels.notice import listen
listen(print)
from sample.caller import total
print(total(np.ones(3)))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "sample"
    folder.mkdir()
    for name, text in (("__init__", ""), ("codes", "FACTOR = 2.0\n"), ("callee", CALLEE), ("caller", CALLER)):
        (folder / f"{name}.py").write_text(text)
    return folder


def run(package: Path, **variables: str) -> list[str]:
    """Lines of a process that says what it compiles, and calls the sample's function."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(package.parent / "kept"), **variables}
    done = warm_start.run(["-c", RUN], path=[str(package.parent)], env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_machine_code_is_kept_and_follows_its_sources(package: Path) -> None:
    assert run(package) == [COMPILING, "6.0"]
    assert run(package) == ["6.0"]
    # Neither a callee in another file nor a constant in a third is what Numba's own cache looks at.
    (package / "codes.py").write_text("FACTOR = 3.0\n")
    assert run(package) == [COMPILING, "9.0"]
    (package / "callee.py").write_text(CALLEE.replace("FACTOR * value", "FACTOR + value"))
    assert run(package) == [COMPILING, "12.0"]
    # That of the former sources is still there.
    (package / "callee.py").write_text(CALLEE)
    assert run(package) == ["9.0"]


def test_damaged_machine_code_is_compiled_anew(package: Path) -> None:
    run(package)
    kept = list((package.parent / "kept" / "tomokit").glob("sample.*"))
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(path.read_bytes()[:100])
    assert run(package) == [COMPILING, "6.0"]
    assert run(package) == ["6.0"]


@pytest.mark.long
def test_without_a_place_for_it_machine_code_is_made_for_each_run(package: Path) -> None:
    (package.parent / "kept").write_text("a file where a folder is needed")
    for _ in range(2):
        told, result = run(package, TMPDIR=str(package.parent))[-3:-1], run(package)[-1]
        assert any("machine code cannot be kept" in line and "NUMBA_CACHE_DIR" in line for line in told)
        assert result == "6.0"
    assert not list(package.parent.glob("tomokit-kernels-*"))


def test_a_folder_that_cannot_be_looked_into_costs_the_machine_code_alone(tmp_path: Path) -> None:
    # A name that no file system takes fails for every user, as a folder without permissions does for all but root.
    folder = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="too long"):
        folder.stat()
    _write(folder / "sample.caller.total-now-1", b"machine code")
    _remove_stale(folder, "sample.caller.total-now")


def test_old_machine_code_of_other_sources_is_removed(tmp_path: Path) -> None:
    names = {"sample.total-then-1": 100, "sample.total-then-2": 1, "sample.total-now-1": 100, "sample.sum-then-1": 100}
    for name, age_days in names.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - age_days * 86400))
    _remove_stale(tmp_path, "sample.total-now")
    assert {path.name for path in tmp_path.iterdir()} == set(names) - {"sample.total-then-1"}


def test_the_digest_is_of_the_text_of_all_imports(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package.parent)
    digest = source_digest("tomokit.regularizers.tv_kernel")
    assert digest is not None
    assert len(digest) == 64
    assert digest == source_digest("tomokit.regularizers.tv_kernel") != source_digest("tomokit.projector.rows")
    assert source_digest("sample.no_such_module") is None
