"""Backend, threads, memory and disk: known before any work is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tomokit.errors import OptionError, OutputError, ResourceError
from tomokit.pipeline.backend import choose_backend, use_threads
from tomokit.pipeline.memory import available_bytes, check_disk, check_memory, peak_bytes, readable


def test_names_are_kept() -> None:
    assert [choose_backend(name) for name in ("cpu", "reference")] == ["cpu", "reference"]


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(OptionError, match="tpu"):
        choose_backend("tpu")


def test_threads_are_set_and_bounded() -> None:
    most = use_threads(None)
    try:
        assert use_threads(1) == 1
        assert use_threads(None) == 1
        with pytest.raises(OptionError, match="--threads"):
            use_threads(100_000)
    finally:
        use_threads(most)


def test_memory_is_refused_with_the_estimate() -> None:
    check_memory(1 << 20, "little")
    with pytest.raises(ResourceError, match=r"this needs about 8\.0 PiB of memory, .* is available; give a smaller"):
        check_memory(8 << 50, "this")


def test_the_limit_of_the_address_space_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from tomokit.pipeline.memory import available_bytes; print(available_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 1 << 30


def test_what_is_available_is_less_than_what_there_is() -> None:
    assert 0 < available_bytes() < 1 << 60
    assert peak_bytes() > 1 << 20


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    check_disk(tmp_path / "a.mrc", 1)
    with pytest.raises(OutputError, match=r"a\.mrc: needs 4\.0 EiB|a\.mrc: needs 4096\.0 PiB"):
        check_disk(tmp_path / "a.mrc", 1 << 62)


@pytest.mark.parametrize(("count", "text"), [(5, "5 bytes"), (2048, "2.0 KiB"), (3 << 30, "3.0 GiB")])
def test_bytes_for_a_reader(count: int, text: str) -> None:
    assert readable(count) == text
