"""Two halves of a tomogram: read from their files block by block, on one scale, and what may be wrong with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.digest import file_digest
from tomokit.io.mrc_read import MrcImages, open_volume
from tomokit.io.pixels import pixel_statistics
from tomokit.io.voxel_blocks import Block
from tomokit.metrics.fourier_shells import shell_correlation
from tomokit.pipeline.readers import check_room_to_open
from tomokit.pipeline.request import provenance_beside

Array = NDArray[np.float32]

LEAST_VOXELS = 16
_SAME_VOXELS = 1e-3
_CORRELATED = 0.4
"""Of the finest detail of both halves: weighted back-projections of real series have 0.18 and less, total variation 0.5
(docs/results/halves.md)."""

_NONLINEAR = ("octree", "tv", "sart-tv", "neat", "implicit")
_LOOKED_AT = 96
"""Edge in voxels of the block in the middle that is correlated."""


@dataclass(frozen=True, eq=False)
class Halves:
    """The halves of one tomogram.

    Attributes
    ----------
    images : tuple of two MrcImages
        Memory-mapped where the files allow it.
    digests : tuple of str
        SHA-256 of the files.
    means : tuple of float
        Mean of either half.
    deviations : tuple of float
        Standard deviation of either half.
    tilt_axis : int
        Axis of the arrays along which the tilt axis lies: 1, or 0 in a file with sections along y.
    methods : tuple of str or None
        The method that each was reconstructed by, where that is known.
    """

    images: tuple[MrcImages, MrcImages]
    digests: tuple[str, str]
    means: tuple[float, float]
    deviations: tuple[float, float]
    tilt_axis: int
    methods: tuple[str | None, str | None]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the axes of the files."""
        a, b, c = self.images[0].pixels.shape
        return a, b, c

    @property
    def deviation(self) -> float:
        """Standard deviation of both halves about their means, by which they are scaled."""
        return float(np.sqrt(np.mean(np.square(self.deviations))))

    @property
    def paths(self) -> tuple[Path, Path]:
        """The files of both halves."""
        return self.images[0].path, self.images[1].path

    def read(self, half: int, block: Block) -> Array:
        """Read a block of one half, of mean 0 and standard deviation 1 over the volume.

        Parameters
        ----------
        half : {0, 1}
        block : tuple of three slices

        Returns
        -------
        ndarray of float32
        """
        values = np.asarray(self.images[half].pixels[block], np.float32)
        return (values - np.float32(self.means[half])) / np.float32(self.deviation)


def open_halves(first: Path, second: Path) -> Halves:
    """Open two halves, and refuse those that no network can be trained on.

    Parameters
    ----------
    first, second : Path
        MRC volumes of any mode.

    Returns
    -------
    Halves

    Raises
    ------
    InputError
        If a file cannot be read; if shapes or voxel sizes differ; if both are the same; if a half is constant or too
        small.
    """
    images = []
    for path in (first, second):
        check_room_to_open(path)
        images.append(open_volume(path))
    shapes = [" x ".join(map(str, image.pixels.shape[::-1])) for image in images]
    both = f"{first}, {second}"
    if shapes[0] != shapes[1]:
        raise InputError(
            f"volumes of {shapes[0]} and {shapes[1]} voxels (x, y, z)", file=both, field="shape",
            remedy="give halves of one box and sampling",
        )  # fmt: skip
    if min(images[0].pixels.shape) < LEAST_VOXELS:
        raise InputError(
            f"{shapes[0]} voxels (x, y, z) are too few", file=first, field="shape",
            remedy=f"give at least {LEAST_VOXELS} along every axis",
        )  # fmt: skip
    sizes = [image.pixel_size_angstrom for image in images if image.header.pixel_size_known]
    if len(sizes) == 2 and abs(sizes[0] - sizes[1]) > _SAME_VOXELS * sizes[0]:
        raise InputError(
            f"voxels of {sizes[0]:g} and of {sizes[1]:g} ångström", file=both, field="voxel size",
            remedy="mend the header of one of them",
        )  # fmt: skip
    digests = file_digest(first), file_digest(second)
    if digests[0] == digests[1]:
        raise InputError(
            "are the same: what is noise cannot be told", file=both, field="density",
            remedy="give two halves of different views or frames",
        )  # fmt: skip
    statistics = [pixel_statistics(image.pixels) for image in images]
    for image, found in zip(images, statistics, strict=True):
        if not found.rms > 0:
            raise InputError(
                "is constant: there is nothing to be learned",
                file=image.path,
                field="density",
                remedy="give another file",
            )
    means = statistics[0].mean, statistics[1].mean
    deviations = statistics[0].rms, statistics[1].rms
    methods = _method(images[0]), _method(images[1])
    return Halves((images[0], images[1]), digests, means, deviations, _tilt_axis(images[0]), methods)


def check_targets(halves: Halves, targets: Halves) -> None:
    """Make sure that a network which is given some halves can be held to others.

    Parameters
    ----------
    halves, targets : Halves

    Raises
    ------
    InputError
        If their shapes differ, or what is given to the network is also what it is held to.
    """
    (first, second), both = halves.paths, ", ".join(map(str, targets.paths))
    if halves.shape != targets.shape:
        sizes = [" x ".join(map(str, each.shape[::-1])) for each in (halves, targets)]
        raise InputError(
            f"voxels (x, y, z): {sizes[1]} where {first} has {sizes[0]}", file=both, field="--target",
            remedy="give halves of the same box and sampling",
        )  # fmt: skip
    if halves.digests[0] == targets.digests[1] or halves.digests[1] == targets.digests[0]:
        raise InputError(
            f"are {first} and {second} the other way about", file=both, field="--target",
            remedy="give the halves of the same views in the same order",
        )  # fmt: skip


def doubts(halves: Halves, targets: Halves) -> list[str]:
    """Say what may be wrong with halves that could be opened, before any work is done.

    Parameters
    ----------
    halves, targets : Halves
        What a network is to be given, and held to.

    Returns
    -------
    list of str
        A line each.
    """
    every = {image.path: image.warnings for each in (halves, targets) for image in each.images}
    said = [f"{path}: {text}" for path, texts in every.items() for text in texts]
    for path, method in zip(targets.paths, targets.methods, strict=True):
        if method in _NONLINEAR:
            said.append(
                f"{path} was made by {method}, which is not linear: what it takes for structure it keeps, noise too, "
                "and the network learns that; give halves of wbp or sirt"
            )
    for each in dict.fromkeys((halves, targets)):
        if len(set(each.methods)) == 2 and None not in each.methods:
            said.append(f"the halves are of two methods, {each.methods[0]} and {each.methods[1]}")
    ratio = halves.deviations[0] / halves.deviations[1]
    if not 0.8 < ratio < 1.25:
        said.append(
            f"the first half has {ratio:.2g} times the contrast of the second: they may not be of as many views"
        )
    agreement = finest_agreement(halves, targets)
    if agreement > _CORRELATED:
        said.append(
            f"the halves agree by {agreement:.2f} in the finest detail, where noise should be all: if it is not "
            "independent in them, the network keeps it; give halves of different views, by wbp or sirt"
        )
    elif agreement < -_CORRELATED:
        said.append(
            f"the halves oppose each other, by {agreement:.2f} in the finest detail: one may have its contrast inverted"
        )
    return said


def finest_agreement(halves: Halves, targets: Halves) -> float:
    """Correlate the finest detail of both halves in the middle: the upper fifth of the frequencies to Nyquist's.

    Parameters
    ----------
    halves, targets : Halves
        The first half of one and the second of the other.

    Returns
    -------
    float
        Near 0 for noise that is independent.
    """
    middle = tuple(
        slice((n - min(n, _LOOKED_AT)) // 2, (n - min(n, _LOOKED_AT)) // 2 + min(n, _LOOKED_AT)) for n in halves.shape
    )
    window = np.ones((1, 1, 1), np.float32)
    for axis, part in enumerate(middle):
        n = part.stop - part.start
        taper = np.hanning(n + 2)[1:-1].astype(np.float32)
        window = window * np.expand_dims(taper, tuple({0, 1, 2} - {axis}))
    z, y, x = middle
    values = [halves.read(0, (z, y, x)), targets.read(1, (z, y, x))]
    spectra = [np.fft.rfftn((each - each.mean()) * window) for each in values]
    shells = shell_correlation(spectra[0], spectra[1], values[0].shape)
    finest = shells.frequency > 0.4
    found = shells.correlation[finest]
    return float(np.nanmean(found)) if np.isfinite(found).any() else 0.0


def _tilt_axis(images: MrcImages) -> int:
    """Rows lie along the tilt axis, but where a label or a shape flat along the rows says that sections do."""
    if any("sections along y" in label for label in images.header.labels):
        return 0
    return 0 if images.pixels.shape[1] < images.pixels.shape[0] else 1


def _method(images: MrcImages) -> str | None:
    """The method by the record beside a file of tomokit's, else by its labels."""
    record = provenance_beside(images.path)
    if record is not None and record.is_file() and record.stat().st_size < 1 << 24:
        try:
            told: Any = json.loads(record.read_text("utf-8"))
        except (OSError, ValueError):
            told = None
        if isinstance(told, dict) and isinstance(told.get("method"), str):
            return str(told["method"])
    for label in images.header.labels:
        for entry in label.split("; "):
            if entry.startswith("method: "):
                return entry.removeprefix("method: ")
    return None
