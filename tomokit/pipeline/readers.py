"""Readers of tilt series: the built-in one, and how one is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tomokit.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomokit.data import TiltSeries


class Reader(Protocol):
    """A reader of tilt series, as registered by the hook ``tomokit_register_readers``.

    Attributes
    ----------
    name, summary : str
        For ``tomokit plugins list``.
    suffixes : tuple of str
        Ends of the file names that it reads, in lower case.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def shape(self, path: Path) -> tuple[int, int, int]:
        """Views, rows and columns of the stack, found without reading its pixels."""
        ...

    def read(self, path: Path, **options: Any) -> TiltSeries:
        """The tilt series; the options are those of :func:`tomokit.io.load_series`."""
        ...


class MrcReader:
    """MRC stacks with their angles beside them."""

    name = "mrc"
    summary = "MRC stacks (.mrc, .mrcs, .st, .ali), angles from .tlt, .rawtlt or .mdoc"
    suffixes = (".mrc", ".mrcs", ".st", ".ali", ".preali")

    def shape(self, path: Path) -> tuple[int, int, int]:
        """Views, rows and columns, from the header."""
        from tomokit.io.mrc_read import open_mrc

        n_views, n_y, n_x = open_mrc(path).values.shape
        return n_views, n_y, n_x

    def read(self, path: Path, **options: Any) -> TiltSeries:
        """Read by :func:`tomokit.io.load_series`."""
        from tomokit.io import load_series

        return load_series(path, **options)


def find_reader(path: Path) -> Reader:
    """The reader for a file, by the longest suffix that its name ends with; MRC where there is none."""
    from tomokit.plugin.manager import get_registry

    best: Any = MrcReader
    length = 0
    for entry in get_registry().entries(("reader",)):
        for suffix in entry.target.suffixes:
            if path.name.lower().endswith(suffix) and len(suffix) > length:
                best, length = entry.target, len(suffix)
    return best()


@hookimpl
def tomokit_register_readers(register: Callable[[type], None]) -> None:
    """The readers that come with tomokit."""
    register(MrcReader)
