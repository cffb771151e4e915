"""The form in which a volume is written: order of its axes, type of its numbers, contrast and binning.

A volume may be larger than memory: sections are made one at a time, as they are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.io.output_names import Mode, Orientation, volume_format
from tomokit.io.pixels import PixelStatistics, RunningStatistics

_LARGEST = {"int16": 32767, "int8": 127}
_BYTE_DEVIATIONS = 5.0
"""Standard deviations from the mean that 8 bits cover: beads beyond them may saturate."""


@dataclass(frozen=True)
class OutputForm:
    """How a volume ``[z, y, x]`` is written.

    Attributes
    ----------
    orientation : {"xyz", "xzy"}
        Axes of the file, the fastest first: ``"xzy"`` has sections along y and rows along z, as IMOD's ``tilt`` writes
        a ``.rec``. Exchanging two axes makes a mirror image of what is looked at as if it were ``"xyz"``.
    mode : {"float32", "float16", "int16", "int8"}
        Type of the numbers.
    invert : bool
        Whether densities change their sign, so that what is dense is dark.
    bin : int
        Edge of the cubes of voxels that are averaged; what fills none is cut off on both sides.
    """

    orientation: Orientation = "xyz"
    mode: Mode = "float32"
    invert: bool = False
    bin: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether the volume is written as it is."""
        return self == OutputForm()

    def check(self, path: Path) -> None:
        """Refuse a form that the format of a file does not have.

        Parameters
        ----------
        path : Path
            The output; its name says the format.

        Raises
        ------
        OptionError
            If axes or type are not the plain ones and it is no MRC.
        """
        if volume_format(path) in ("mrc", "mrc.gz"):
            return
        for option, asked, plain in (("--orientation", self.orientation, "xyz"), ("--mode", self.mode, "float32")):
            if asked != plain:
                raise OptionError(f"{asked} is for MRC", field=option, remedy="leave it out, or name the output .mrc")

    def binned_shape(self, shape_zyx: tuple[int, ...]) -> tuple[int, int, int]:
        """Voxels of the volume when it is binned.

        Parameters
        ----------
        shape_zyx : tuple of int
            Before.

        Returns
        -------
        tuple of int

        Raises
        ------
        OptionError
            If an axis has fewer voxels than a bin.
        """
        if min(shape_zyx) < self.bin:
            z, y, x = shape_zyx
            remedy = f"give at most {min(shape_zyx)}"
            raise OptionError(f"{self.bin} for {x} x {y} x {z} voxels", field="--output-bin", remedy=remedy)
        n_z, n_y, n_x = (n // self.bin for n in shape_zyx)
        return n_z, n_y, n_x

    def placed(
        self, shape_zyx: tuple[int, ...], voxel_angstrom: float, origin_angstrom: tuple[float, float, float]
    ) -> tuple[float, tuple[float, float, float]]:
        """Voxel size and origin of what is written.

        Parameters
        ----------
        shape_zyx : tuple of int
            Voxels before binning.
        voxel_angstrom : float
        origin_angstrom : tuple of float
            ``(x, y, z)`` of the first voxel before binning.

        Returns
        -------
        voxel_angstrom : float
        origin_angstrom : tuple of float
            In the order of the file's axes.
        """
        first = [n % self.bin // 2 + (self.bin - 1) / 2 for n in reversed(shape_zyx)]
        x, y, z = (at + step * voxel_angstrom for at, step in zip(origin_angstrom, first, strict=True))
        return voxel_angstrom * self.bin, (x, z, y) if self.orientation == "xzy" else (x, y, z)


@dataclass(frozen=True)
class Scaling:
    """How densities become the numbers of a file: ``stored = (density - zero) * factor``, rounded.

    Attributes
    ----------
    mode : str
    zero, factor : float
    clipped : float
        Share of the voxels that is beyond the range of the type.
    """

    mode: Mode
    zero: float = 0.0
    factor: float = 1.0
    clipped: float = 0.0

    def store(self, values: NDArray[np.float32]) -> NDArray[np.number]:
        """Turn densities into numbers of the file.

        Parameters
        ----------
        values : ndarray of float32

        Returns
        -------
        ndarray, little-endian
        """
        if self.mode == "float32":
            return np.ascontiguousarray(values, "<f4")
        scaled = (values - np.float64(self.zero)) * self.factor
        if self.mode == "float16":
            return np.ascontiguousarray(scaled, "<f2")
        largest = _LARGEST[self.mode]
        return np.clip(np.rint(scaled), -largest, largest).astype(f"<i{2 if self.mode == 'int16' else 1}")

    def text(self) -> str:
        """Put the scaling in words, for a label.

        Returns
        -------
        str
        """
        clipped = f", {self.clipped:.2g} of them clipped" if self.clipped else ""
        return f"{self.mode} = (density - {self.zero:.7g}) * {self.factor:.7g}{clipped}"

    def to_json(self) -> dict[str, Any]:
        """Represent it as a dictionary for the provenance.

        Returns
        -------
        dict
        """
        return {"mode": self.mode, "zero": self.zero, "factor": self.factor, "clipped": self.clipped}


class FormedSections:
    """The sections of a volume in the form in which it is written.

    Parameters
    ----------
    density : ndarray of float32, shape (n_z, n_y, n_x)
        ``[z, y, x]``; may be memory-mapped.
    form : OutputForm

    Attributes
    ----------
    shape : tuple of int
        Sections, rows and columns of the file.
    scaling : Scaling
        For whole numbers and float16 the volume is read once more for it.
    """

    ndim = 3

    def __init__(self, density: NDArray[np.float32], form: OutputForm) -> None:
        self._density, self._form = density, form
        n_z, n_y, n_x = self._binned = form.binned_shape(density.shape)
        self.shape = (n_y, n_z, n_x) if form.orientation == "xzy" else self._binned
        self.size = math.prod(self.shape)
        self.scaling = self._choose_scaling()

    def __iter__(self) -> Iterator[NDArray[np.number]]:
        """Give every section, in the order of the file."""
        for values in self._values():
            yield self.scaling.store(values)

    def volume(self) -> NDArray[np.float32]:
        """All densities in memory, ``[z, y, x]``, binned and inverted but neither turned nor scaled.

        Returns
        -------
        ndarray of float32
        """
        volume = np.empty(self._binned, np.float32)
        for z in range(self._binned[0]):
            volume[z] = self._section(z, axis=0)
        return volume

    def _values(self) -> Iterator[NDArray[np.float32]]:
        axis = 1 if self._form.orientation == "xzy" else 0
        for index in range(self.shape[0]):
            yield self._section(index, axis)

    def _section(self, index: int, axis: int) -> NDArray[np.float32]:
        """Densities of a section across z (axis 0) or y (axis 1), with the sign that they are written with."""
        n = self._form.bin
        if n == 1:
            values = self._density[index] if axis == 0 else self._density[:, index]
        else:
            # Whole bins of every axis, those of the section's own axis only its own.
            slices = [slice(size % n // 2, size % n // 2 + size // n * n) for size in self._density.shape]
            first = slices[axis].start + index * n
            slices[axis] = slice(first, first + n)
            part = self._density[tuple(slices)]
            z, y, x = (size // n for size in part.shape)
            cubes = part.reshape(z, n, y, n, x, n).mean(axis=(1, 3, 5), dtype=np.float64)
            values = cubes.astype(np.float32)[0] if axis == 0 else cubes.astype(np.float32)[:, 0]
        return np.negative(values) if self._form.invert else values

    def _choose_scaling(self) -> Scaling:
        mode = self._form.mode
        if mode == "float32":
            return Scaling(mode)
        statistics = RunningStatistics()
        for values in self._values():
            statistics.add(np.ascontiguousarray(values))
        found = statistics.result()
        if mode == "float16":
            largest = max(abs(found.minimum), abs(found.maximum))
            # A power of two takes nothing away, and leaves the smallest densities far from the end of the range.
            return Scaling(mode, 0.0, 2.0 ** -math.floor(math.log2(largest)) if largest > 0 else 1.0)
        low, high = _range(found, mode)
        scaling = Scaling(mode, (low + high) / 2, 2 * _LARGEST[mode] / (high - low) if high > low else 1.0)
        if (low, high) == (found.minimum, found.maximum):
            return scaling
        beyond = sum(int(np.count_nonzero((values < low) | (values > high))) for values in self._values())
        return Scaling(mode, scaling.zero, scaling.factor, beyond / self.size)


def _range(found: PixelStatistics, mode: Mode) -> tuple[float, float]:
    """The densities that the ends of the range stand for."""
    low, high = float(found.minimum), float(found.maximum)
    if mode == "int16":
        return low, high
    reach = _BYTE_DEVIATIONS * float(found.rms)
    return max(low, float(found.mean) - reach), min(high, float(found.mean) + reach)
