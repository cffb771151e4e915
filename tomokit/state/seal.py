"""The seal: the first 512 bytes of a state file, which vouch for every other byte and for themselves.

HDF5 leaves a *user block* at the start of a file alone, so the file is still plain HDF5. Damage is found before the
HDF5 library reads any of the file's structure, since the library does not survive every damaged structure. The seal
is ::

    tomokit state
    format 2
    bytes 123456
    sha256 <of all bytes after the first 512>
    seal <sha256 of the lines above>

in ASCII, filled up with zeros.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tomokit.errors import InputError
from tomokit.io.digest import stream_digest

SEAL_BYTES = 512
FORMAT_VERSION = 2
REMEDY = "use the state before it, or another copy"
"""What a user can do about a damaged state."""
_WRITTEN_BY = {1: "tomokit 0.1", 2: "tomokit 0.2"}

_MAGIC = b"tomokit state\n"
_HDF5 = b"\x89HDF\r\n\x1a\n"


class StateError(InputError):
    """A state file that cannot be used, such as one of another version of the format."""


class DamagedState(StateError):
    """A file that is no whole state: missing, empty, cut off, changed, or something else altogether."""


def seal_of(size: int, digest: str, version: int = FORMAT_VERSION) -> bytes:
    """The seal of a file with the given size and digest.

    Parameters
    ----------
    size : int
        Bytes of the whole file, seal included.
    digest : str
        SHA-256 of all bytes after the seal, in hexadecimal.
    version : int
        Version of the state format.

    Returns
    -------
    bytes
        As many as :data:`SEAL_BYTES`, to stand at the start of the file.
    """
    lines = _MAGIC + f"format {version}\nbytes {size}\nsha256 {digest}\n".encode("ascii")
    return (lines + _seal_line(lines)).ljust(SEAL_BYTES, b"\0")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a state file for reading, once for all that is read: another file may take its name at any moment.

    Parameters
    ----------
    path : Path
        The state file.

    Yields
    ------
    binary file
        Closed when the context ends.

    Raises
    ------
    DamagedState
        If there is no such file.
    StateError
        If it is no regular file, or cannot be opened or read.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # Opening a pipe may wait for good.
            raise StateError("is a pipe or a device, not a state file", file=path, remedy="give the file itself")
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise DamagedState("there is no such file", file=path, remedy="check the path") from None
    except IsADirectoryError:
        raise StateError("is a folder, not a state file", file=path, remedy="give the file itself") from None
    except OSError as error:
        raise StateError(f"cannot be read ({error.strerror or error})", file=path) from error


def check_seal(stream: BinaryIO, path: Path) -> None:
    """Verify every byte of a state file against the file's seal.

    Parameters
    ----------
    stream : binary file
        The file, as :func:`opened` gives it; its position is changed.
    path : Path
        Its name, for error messages.

    Raises
    ------
    DamagedState
        If a bit has changed, the file is cut off, or it is no state at all.
    StateError
        If the state is of another version of the format.
    """
    size = os.fstat(stream.fileno()).st_size
    stream.seek(0)
    version, sealed_size, digest = _read_seal(path, stream.read(SEAL_BYTES))
    if version != FORMAT_VERSION:
        raise StateError(
            f"a state of format {version}, but this version of tomokit reads format {FORMAT_VERSION}",
            file=path,
            remedy=f"continue it with {_WRITTEN_BY.get(version, 'the version that wrote it')}",
        )
    if size != sealed_size:
        what = "cut off" if size < sealed_size else "longer than it was"
        raise DamagedState(f"{what}: {size} bytes in place of {sealed_size}", file=path, remedy=REMEDY)
    if digest_of_rest(stream) != digest:
        raise DamagedState("damaged: its SHA-256 is not the one in its seal", file=path, remedy=REMEDY)


def digest_of_rest(stream: BinaryIO) -> str:
    """SHA-256 of everything in a file after its seal.

    Parameters
    ----------
    stream : binary file
        Read from the end of the seal to the end of the file.

    Returns
    -------
    str
        The digest in hexadecimal.
    """
    stream.seek(SEAL_BYTES)
    return stream_digest(stream)


def looks_like_state(path: Path) -> bool:
    """Whether a file begins as a state does, or as any HDF5 file; it need not be whole.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        False also where the file cannot be read.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)).startswith((_MAGIC, _HDF5))
    except OSError:
        return False


def _seal_line(lines: bytes) -> bytes:
    """The line that vouches for the lines of the seal above it."""
    return f"seal {hashlib.sha256(lines).hexdigest()}\n".encode("ascii")


def _read_seal(path: Path, block: bytes) -> tuple[int, int, str]:
    """Version, size and digest from a seal; it must be exactly what it would be if written anew."""
    if not block:
        raise DamagedState("is empty", file=path, remedy=REMEDY)
    if not block.startswith(_MAGIC):
        what = "HDF5, but no state of tomokit" if block.startswith(_HDF5) else "no state of tomokit"
        raise DamagedState(f"is {what}", file=path, remedy="give the file that --state named")
    try:
        lines = block.decode("ascii").split("\n")
        numbers = [line.partition(" ")[2] for line in lines[1:4]]
        version, size, digest = int(numbers[0]), int(numbers[1]), numbers[2]
        whole = block == seal_of(size, digest, version)
    except (ValueError, IndexError):
        whole = False
    if not whole:
        raise DamagedState("damaged: its seal is not whole", file=path, remedy=REMEDY)
    return version, size, digest
