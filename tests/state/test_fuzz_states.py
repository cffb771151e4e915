"""Mangled states behind a valid seal through every command that reads one: each is used, or refused in one line."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import h5py
import mrcfile
import numpy as np
import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st
from mangled_states import TEXTS, change_array, change_json, change_storage, make_states, mangle, spoil_text

from tomokit.pipeline.export import export
from tomokit.pipeline.inspection import describe
from tomokit.pipeline.resume import resume

_MOST_BYTES = 2 << 30


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


@pytest.fixture(scope="module")
def states(series: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small states of every method at several moments; of the octree at length only."""
    octrees = "TOMOKIT_FUZZ" in os.environ
    return list(make_states(tmp_path_factory.mktemp("states"), series, octrees).values())


@contextmanager
def no_more_memory_than(n_bytes: int) -> Iterator[None]:
    """Let this process have so much address space more than it has: what asks for more gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def finite_or_absent(path: Path) -> None:
    """Make sure that a tomogram, if one was written, has numbers only."""
    if path.exists():
        with mrcfile.open(path, permissive=True) as file:
            assert np.isfinite(file.data).all()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mangled")


@fuzz_settings(40)
@given(number=st.integers(0, 2**64 - 1))
def test_a_mangled_state_is_used_or_refused(states: list[Path], place: Path, tally: Tally, number: int) -> None:
    for left in place.iterdir():
        left.unlink()
    random = Random(number)
    state, exported, resumed = (place / name for name in ("run.h5", "exported.mrc", "resumed.mrc"))
    done = mangle(random.choice(states), state, random)
    print(done)  # shown where the test fails
    reads: dict[str, Callable[[], object]] = {
        "inspect": lambda: describe(state),
        "export": lambda: export(state, exported),
        "resume": lambda: resume(state, resumed),
    }
    for name, read in reads.items():
        with no_more_memory_than(_MOST_BYTES):
            tally.run(name, read)
    finite_or_absent(exported)
    finite_or_absent(resumed)


@pytest.mark.parametrize("harm", [change_json, spoil_text, change_array, change_storage])
def test_a_harm_leaves_alone_what_another_made_huge(harm: Callable[[Path, Random], str], tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        for name in (*TEXTS, "arrays/density"):
            # A gibibyte of nothing: it can be read here where it is not refused, and then there is no MemoryError.
            file.create_dataset(name, (1 << 28,), "f4").attrs["sha256"] = "0"
    with pytest.raises(MemoryError):
        harm(path, Random(0))
