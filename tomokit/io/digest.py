"""SHA-256 digests of files, by which a later run knows whether its inputs are still the same."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from tomokit.io.regular import open_regular

_BLOCK_BYTES = 1 << 22


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 digest of a file, read block by block.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If it is no file with a content of its own, or cannot be opened.
    """
    with open_regular(path) as stream:
        return stream_digest(stream)


def stream_digest(stream: BinaryIO) -> str:
    """SHA-256 digest of the bytes of an open file, from its position to its end.

    Parameters
    ----------
    stream : binary file
        Opened for reading; left at its end.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
