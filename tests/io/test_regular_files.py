"""Pipes, devices and names that a terminal would obey, in the place of inputs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tomokit.errors import InputError
from tomokit.io import describe, load_series, read_angles, read_stack, read_xf
from tomokit.io.digest import file_digest
from tomokit.io.mdoc import read_mdoc

READERS: list[Callable[[Path], object]] = [
    read_stack, read_angles, read_mdoc, read_xf, describe, file_digest, load_series,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "pipe.mrc"
    os.mkfifo(path)
    link = tmp_path / "link.mrc"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(InputError, match=r"cannot be read: it is a named pipe, not a file"):
            read(name)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(read: Callable[[Path], object], device: str) -> None:
    with pytest.raises(InputError, match="it is a device, not a file"):
        read(Path(device))


@pytest.mark.parametrize("read", READERS)
def test_a_socket_a_directory_and_nothing(tmp_path: Path, read: Callable[[Path], object], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.mrc")
        with pytest.raises(InputError, match="it is a socket"):
            read(Path("s.mrc"))
    with pytest.raises(InputError, match="it is a directory"):
        read(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="null byte"):
        read(Path("a\0b.mrc"))


def test_a_name_with_escape_sequences_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;title\x07\x1b[31mred\u202e\udcff.tlt"
    os.close(os.open(os.fsencode(path), os.O_CREAT | os.O_WRONLY))
    with pytest.raises(InputError) as caught:
        read_angles(path)
    line = str(caught.value)
    assert line.isprintable()
    assert r"a\x1b]0;title\x07\x1b[31mred\u202e\udcff.tlt: the file is empty" in line
