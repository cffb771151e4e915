"""The search for the files of one series in a folder: what is taken, what is ignored, and what every step asks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.pipeline.folder_files import FolderFile
from tomokit.pipeline.folder_found import Piece

if TYPE_CHECKING:
    from tomokit.io.mrc_read import MrcImages


class FolderSearch:
    """What was found so far of one series.

    Parameters
    ----------
    folder : Path
    stack : FolderFile
        The stack that is reconstructed.
    files : list of FolderFile
        All files of the folder.
    angles : Path or None
        Angles that the user gives.
    given : frozenset of str
        Fields of the request that the user gives.

    Attributes
    ----------
    n_views : int
        Views of the stack.
    raw_shape : tuple of int
        ``(n_y, n_x)`` of the stack.
    taken, ignored : list of Piece
        What becomes of the files.
    settings, instead : dict
        See :class:`~tomokit.pipeline.folder_found.FoundSeries`.
    warnings, warnings_of_alignment : list of str
        Likewise.
    order_of : ndarray of float64 or None
        Angles of the alignment in the order of the stack.
    done : set of str
        Names of the files that are told.
    """

    def __init__(
        self,
        folder: Path,
        stack: FolderFile,
        files: list[FolderFile],
        angles: Path | None,
        given: frozenset[str] = frozenset(),
    ) -> None:
        self.folder, self.stack, self.files, self.angles, self.given = folder, stack, files, angles, given
        assert stack.shape is not None
        self.n_views = stack.shape[0]
        self.raw_shape = (stack.shape[1], stack.shape[2])
        self.taken: list[Piece] = []
        self.ignored: list[Piece] = []
        self.settings: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.warnings_of_alignment: list[str] = []
        self.instead: dict[str, Any] = {}
        self.order_of: NDArray[np.float64] | None = None
        self.done = {stack.name}

    def take(self, what: str, file: FolderFile | Path, used_for: str, note: str = "") -> None:
        """Record that a file is used.

        Parameters
        ----------
        what : str
            What it is.
        file : FolderFile or Path
        used_for : str
            What it is used for.
        note : str
            What it says.
        """
        self.taken.append(Piece(what, file.name, used_for, note))
        self.done.add(file.name)

    def ignore(self, what: str, file: FolderFile | Path, why: str) -> None:
        """Record that a file is not used, unless it is told already.

        Parameters
        ----------
        what : str
            What it is.
        file : FolderFile or Path
        why : str
            The reason.
        """
        if file.name not in self.done:
            self.ignored.append(Piece(what, file.name, "", why))
            self.done.add(file.name)

    def of_role(self, *roles: str) -> list[FolderFile]:
        """List files of some roles, those that bear the series' name first.

        Parameters
        ----------
        *roles : str
            As in :class:`~tomokit.pipeline.folder_files.FolderFile`.

        Returns
        -------
        list of FolderFile
        """
        found = [file for file in self.files if file.role in roles]
        return sorted(found, key=lambda file: (file.series != self.stack.series, file.name))

    @property
    def aligns_itself(self) -> bool:
        """Whether the user says by what the views are aligned, so that nothing of the folder has to."""
        return bool(self.given & {"xf", "alignment"})

    @cached_property
    def _stack_header(self) -> MrcImages:
        """The stack without its pixels, opened once for all that is asked of it."""
        from tomokit.io.mrc_read import open_mrc

        return open_mrc(self.stack.path, with_pixels=False)

    def stage_angles(self) -> NDArray[np.float64] | None:
        """Read the angles before refinement, to hold an alignment against.

        Returns
        -------
        ndarray of float64, shape (n_views,), or None
            In degrees; NaN where angles are of another number of views, None where nothing says them.
        """
        from tomokit.io.angle_sources import angles_of_stack
        from tomokit.io.angles import read_angles

        if self.angles is not None:
            given = angles_of_stack(self._stack_header, self.angles).tilt_deg
            return given if given.size == self.n_views else np.full(self.n_views, np.nan)
        raw = [
            f for f in self.of_role("angles") if f.path.suffix.lower() == ".rawtlt" and f.series == self.stack.series
        ]
        try:
            angles = read_angles(raw[0].path) if raw else angles_of_stack(self._stack_header).tilt_deg
        except (InputError, OptionError):
            return np.full(self.n_views, np.nan) if self.stack.role == "raw stack" else None
        return angles if angles.size == self.n_views else np.full(self.n_views, np.nan)

    def pixel_size(self) -> float | None:
        """Read the size of the stack's pixels.

        Returns
        -------
        float or None
            In ångström; None where nothing says it.
        """
        from tomokit.io.pixel_size import pixel_size_of

        size = pixel_size_of(self._stack_header)
        return None if size.source == "none" else size.angstrom

    def lacks_angles(self) -> bool:
        """Tell whether neither an alignment nor a file or header has angles.

        Returns
        -------
        bool
        """
        from tomokit.io.angle_sources import angles_of_stack

        if self.angles is not None or {"alignment", "angles"} & set(self.settings):
            return False
        try:
            angles_of_stack(self._stack_header)
        except InputError:
            return True
        return False


def name_of(file: FolderFile) -> str:
    """Name what a file is, for the table.

    Parameters
    ----------
    file : FolderFile

    Returns
    -------
    str
    """
    return {"copy": "copy of the stack", "half": "half stack", "other": "file"}.get(file.role, file.role)


def size_of(file: FolderFile) -> str:
    """Say the size of a stack.

    Parameters
    ----------
    file : FolderFile

    Returns
    -------
    str
        Empty for what is no stack.
    """
    return "" if file.shape is None else f"{file.shape[0]} views of {file.shape[2]} x {file.shape[1]}"
