"""Readers of tilt series: the built-in one, and how one is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tomokit.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomokit.data import TiltSeries
    from tomokit.io.alignment import AlignmentFacts


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
        """Find the size of a stack without reading its pixels.

        Parameters
        ----------
        path : Path

        Returns
        -------
        tuple of int
            Views, rows and columns.
        """
        ...

    def read(self, path: Path, **options: Any) -> TiltSeries:
        """Read the views of a tilt series that are not excluded.

        Parameters
        ----------
        path : Path
        **options : object
            ``angles``, ``mask``, ``xf``, ``exclude``, ``tilt_offset_deg`` and ``pixel_size_angstrom``, ``alignment``
            where one is given, and ``x_rays`` where there is that or an ``xf``, as of
            :func:`tomokit.io.series.load_series`.

        Returns
        -------
        TiltSeries
            Its images may be changed by the caller, unless they are read-only.
        """
        ...


@runtime_checkable
class KnowsAlignment(Protocol):
    """A reader that can tell whether a stack is aligned, before its pixels are read."""

    def alignment(self, path: Path) -> AlignmentFacts:
        """Weigh what speaks for and against a stack's being aligned.

        Parameters
        ----------
        path : Path

        Returns
        -------
        AlignmentFacts
        """
        ...


class MrcReader:
    """The built-in reader: MRC stacks with their angles beside them (see :class:`Reader`)."""

    name: ClassVar[str] = "mrc"
    summary: ClassVar[str] = "MRC stacks (.mrc, .mrcs, .st, .ali), angles from .tlt, .rawtlt or .mdoc"
    suffixes: ClassVar[tuple[str, ...]] = (".mrc", ".mrcs", ".st", ".ali", ".preali")

    def shape(self, path: Path) -> tuple[int, int, int]:
        """Find views, rows and columns from the header (see :class:`Reader`)."""
        from tomokit.io.mrc_read import read_header

        return read_header(path)[0].shape

    def read(self, path: Path, **options: Any) -> TiltSeries:
        """Read the series by :func:`tomokit.io.series.load_series` (see :class:`Reader`)."""
        from tomokit.io import load_series

        check_room_to_open(path)
        return load_series(path, **options)

    def alignment(self, path: Path) -> AlignmentFacts:
        """Judge by header, name and neighbouring files (see :class:`KnowsAlignment`)."""
        from tomokit.io.alignment import judge_alignment
        from tomokit.io.mrc_read import open_mrc

        return judge_alignment(open_mrc(path, with_pixels=False))


def check_room_to_open(path: Path) -> None:
    """Refuse an MRC file whose pixels have to be in memory, as those of a compressed one, and do not fit there.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it is no MRC file.
    ResourceError
        With what it needs and what there is.
    """
    from tomokit.io.mrc_read import read_header
    from tomokit.pipeline.memory import check_memory

    in_memory_bytes = read_header(path)[1]
    if in_memory_bytes:
        check_memory(in_memory_bytes, f"{path}: opening it", "decompress it on the disk, then it is read in parts")


def find_reader(path: Path) -> Reader:
    """Choose the reader of a file by the longest suffix that its name ends with; MRC where none fits.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Reader
    """
    from tomokit.plugin.manager import get_registry

    best: type[Reader] = MrcReader
    length = 0
    for entry in get_registry().entries(("reader",)):
        for suffix in entry.target.suffixes:
            if path.name.lower().endswith(suffix) and len(suffix) > length:
                best, length = entry.target, len(suffix)
    return best()


@hookimpl
def tomokit_register_readers(register: Callable[[type], None]) -> None:
    """Register the readers that come with tomokit."""
    register(MrcReader)
