"""Volumes that are reconstructed in slabs along the tilt axis: which may be, and the files that hold the density."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from tomokit.data.levelling import mean_density
from tomokit.errors import OptionError
from tomokit.io.clean_end import clean_end
from tomokit.io.volume_file import VolumeFile
from tomokit.methods.interface import Method
from tomokit.methods.slabs import ReconstructsInSlabs, Rows, RunInSlabs
from tomokit.pipeline.box import VolumeBox


def can_use_slabs(method: Method, backend: str) -> bool:
    """Tell whether a method reconstructs in slabs on a backend.

    Parameters
    ----------
    method : Method
    backend : {"cpu", "cuda", "reference"}
        The reference computes in double precision, which the files do not hold.

    Returns
    -------
    bool
    """
    return isinstance(method, ReconstructsInSlabs) and backend != "reference"


def check_slabs(asked: int | None, method: Method, backend: str, rows: int) -> None:
    """Refuse a number of slabs that makes no sense.

    Parameters
    ----------
    asked : int or None
        What the user asked for.
    method : Method
    backend : {"cpu", "cuda", "reference"}
    rows : int
        Rows of the volume.

    Raises
    ------
    OptionError
        If the method takes the volume as a whole, or there are fewer rows than slabs.
    """
    if asked is None or asked == 1:
        return
    if not isinstance(method, ReconstructsInSlabs):
        raise OptionError(
            f"method {method.name} takes the volume as a whole", field="--slabs", remedy="leave it out, or use wbp"
        )
    if not can_use_slabs(method, backend):
        raise OptionError(f"not on backend {backend}", field="--slabs", remedy="leave it out")
    if asked > rows:
        raise OptionError(f"{asked} slabs of {rows} rows", field="--slabs", remedy=f"give at most {rows}")


class SlabFiles:
    """The files of a volume in slabs; those that have not become a tomogram are removed at the end.

    Parameters
    ----------
    output : Path or None
        The tomogram, beside which they lie; None: in the folder for temporary files.
    """

    def __init__(self, output: Path | None) -> None:
        self._target = Path(tempfile.gettempdir()) / "tomokit-volume" if output is None else output
        self._files: list[VolumeFile] = []
        self._volume: VolumeFile | None = None
        self._turned: VolumeFile | None = None
        self._box: VolumeBox | None = None
        self._held = ExitStack()

    def __enter__(self) -> SlabFiles:
        """The files themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        """Remove what is left; a signal that ends the process does so after it."""
        for file in self._files:
            file.discard()
        return self._held.__exit__(kind, error, at)

    def make_store(self, box: VolumeBox, width: int, n_x: int, n_z: int, bounds: Sequence[Rows]) -> SlabsInFile:
        """Make the store of a run (see :class:`tomokit.methods.slabs.Slabs`), and the file of the volume.

        Parameters
        ----------
        box : VolumeBox
            How the tomogram is made of the volume.
        width : int
            Voxels of the volume across the tilt axis.
        n_x, n_z : int
            Voxels across the tilt axis, margins included, and along the beam.
        bounds : sequence of (int, int)
            Rows of each slab.

        Returns
        -------
        SlabsInFile
        """
        # Signals that stop a run whose state is saved have their handlers already.
        self._held.enter_context(clean_end())
        rows = bounds[-1][1] - bounds[0][0]
        self._box = box
        # All now: a disk without room for the next one is told before the fit.
        self._volume = self._new_file(box.levelling.shape_zyx)
        upright = self._volume
        if box.levelling.x_tilt_deg != 0:
            upright = self._turned = self._new_file((n_z, rows, width))
        # Without a margin the file is the volume itself, and in the end each section is written over itself.
        return SlabsInFile(upright if n_x == upright.shape_zyx[2] else self._new_file((n_z, rows, n_x)), bounds)

    def make_volume(self, run: RunInSlabs, units_scale: np.float32) -> VolumeFile:
        """Bring a finished run's density into the units of the output, without its margin, and level it.

        Parameters
        ----------
        run : RunInSlabs
            Its store was made here. Nothing can be read from it afterwards.
        units_scale : float32
            What the run's densities are multiplied by.

        Returns
        -------
        VolumeFile
            All voxels ``[z, y, x]``, with their statistics.

        Raises
        ------
        TypeError
            If the run's store was made elsewhere.
        """
        store = run.store
        if self._volume is None or self._box is None or not isinstance(store, SlabsInFile):
            raise TypeError("the run's store was made elsewhere")
        factors, levelling = (run.density_scale, units_scale), self._box.levelling
        if self._turned is None:
            self._volume.fill(store.file, run.margin_px + levelling.first_column, factors)
            return self._volume
        self._turned.fill(store.file, run.margin_px, factors)
        upright = self._turned.mapped()
        for first, block in levelling.blocks(upright, mean_density(upright)):
            self._volume.write_block(first, block)
        self._volume.measure()
        return self._volume

    def _new_file(self, shape_zyx: tuple[int, int, int]) -> VolumeFile:
        file = VolumeFile(self._target, shape_zyx)
        self._files.append(file)
        return file


class SlabsInFile:
    """The store of a run, in a file (see :class:`tomokit.methods.slabs.SlabStore`).

    Parameters
    ----------
    file : VolumeFile
    bounds : sequence of (int, int)
        Rows of each slab.
    """

    def __init__(self, file: VolumeFile, bounds: Sequence[Rows]) -> None:
        self.file, self._bounds = file, bounds

    def read(self, slab: int) -> NDArray[np.float32]:
        """Read one slab (see :class:`tomokit.methods.slabs.SlabStore`)."""
        return self.file.read_rows(*self._bounds[slab])

    def write(self, slab: int, density: NDArray[np.float32]) -> None:
        """Write one slab (see :class:`tomokit.methods.slabs.SlabStore`)."""
        self.file.write_rows(self._bounds[slab][0], density)
