"""Sample the density of a saved run, or a tomogram, in any box and at any spacing, into a file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import InputError, OptionError, OutputError
from tomokit.io.mrc_write import PLAIN_FORM
from tomokit.io.output_form import OutputForm
from tomokit.io.output_names import volume_format
from tomokit.io.voxel_blocks import Block
from tomokit.pipeline.export_source import ExportSource, open_source
from tomokit.pipeline.memory import check_disk, check_memory
from tomokit.pipeline.outputs import describe_form
from tomokit.pipeline.request import provenance_beside
from tomokit.state.record import previous_path
from tomokit.version import __version__

if TYPE_CHECKING:
    from tomokit.io.output_set import Existing

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

_ROUNDING = 1e-6
_MOST_VOXELS = 10**6
"""Along an axis: no volume that could be held has more, and sizes stay numbers that can be told."""

_BYTES_OF_BLOCKS = 256 << 20
"""A block of samples with its copies, and what compresses it."""


def export(
    path: Path,
    output: Path,
    *,
    box: Box | None = None,
    spacing_angstrom: float | None = None,
    overwrite: bool = False,
    form: OutputForm = PLAIN_FORM,
) -> dict[str, Any]:
    """Write the density of a state, or a tomogram, as a volume with its provenance beside it.

    An OME-Zarr is made block by block: memory does not hold the volume, but where a state's is turned to be level.

    Parameters
    ----------
    path : Path
        The state, whose predecessor is used where it does not verify; or a tomogram in MRC.
    output : Path
        The volume; its name says the format: MRC, compressed MRC, TIFF, or OME-Zarr.
    box : tuple of three pairs of float, optional
        From where to where along z, y and x, in voxels of the tomogram: ``(0, n)`` is all of it, and 0 the outer face
        of its first voxel. It may go beyond. Default: all of it.
    spacing_angstrom : float, optional
        Edge of the voxels that are written; default: those of the tomogram. The last ones may reach beyond the box.
    overwrite : bool
        Whether outputs that exist may be replaced.
    form : OutputForm
        Axes, type and contrast of what is written.

    Returns
    -------
    dict
        What was written, JSON-serializable: ``output``, ``shape`` (``[z, y, x]``), ``voxel_size_angstrom``,
        ``origin_angstrom`` (``[x, y, z]``), ``units``, and where it came from: ``input``, and ``state``, ``method``,
        ``epoch`` and ``epochs``, which are None for a tomogram.

    Raises
    ------
    OptionError
        If box or spacing make no sense.
    OutputError
        If the output may not or cannot be written.
    InputError
        If the state or the tomogram cannot be used, or its density is not finite.
    TomokitError
        If the state needs a plugin that is not installed.
    """
    from tomokit.io.ome_zarr_write import ZarrImage
    from tomokit.io.output import check_file, check_output
    from tomokit.io.output_set import new_outputs
    from tomokit.io.volume_write import add_ome_zarr, add_volume, check_volume_output

    record, inputs = provenance_beside(output), (path, previous_path(path.resolve()))
    check_volume_output(output, overwrite=overwrite, inputs=inputs)
    form.check(output)
    if record is not None:
        # One without its volume may be left of this very export: whether it is, is known when it would be written.
        check_output(record, overwrite=True, inputs=inputs)
    source = open_source(path)
    voxel = source.voxel_size_angstrom
    spacing = voxel if spacing_angstrom is None else spacing_angstrom
    if not (math.isfinite(spacing) and spacing > 0):
        raise OptionError(f"{spacing} is not a positive length", field="--spacing")
    z, y, x = source.shape_zyx
    bounds = np.array(box if box is not None else ((0, z), (0, y), (0, x)), float)
    if not (np.isfinite(bounds).all() and (bounds[:, 1] > bounds[:, 0]).all()):
        raise OptionError("a bound is not above the other", field="--box", remedy="give z0:z1,y0:y1,x0:x1")
    longest = float(np.ptp(bounds, axis=1).max()) * voxel
    if spacing > longest:
        raise OptionError(
            f"{spacing:g} is more than the box's longest side of {longest:g} angstrom",
            field="--spacing",
            remedy="give a smaller one",
        )
    step = spacing / voxel
    with np.errstate(over="ignore", divide="ignore"):
        exact = (bounds[:, 1] - bounds[:, 0]) / np.float64(step)
    if not (exact < _MOST_VOXELS).all():
        given = "--box" if spacing_angstrom is None else "--spacing"
        remedy = (
            "give a smaller one" if given == "--box" else f"give a larger one: the tomogram's is {voxel:g} angstrom"
        )
        raise OptionError(f"it makes more than {_MOST_VOXELS} voxels along an axis", field=given, remedy=remedy)
    count = [max(1, math.ceil(voxels - _ROUNDING)) for voxels in exact]
    needed = 4 * math.prod(count)
    what = f"{count[2]} x {count[1]} x {count[0]} voxels"
    in_blocks = volume_format(output) == "ome-zarr" and not source.in_one_piece
    # The samples, their transposed copy and a slab at work, beside the state and the field made of it.
    work_bytes = _BYTES_OF_BLOCKS if in_blocks else needed + source.bytes_of_sampling(count)
    check_memory(work_bytes + source.held_bytes, what, "give a smaller --box")
    # The levels of a pyramid are a seventh more.
    check_disk(output, needed if volume_format(output) != "ome-zarr" else needed * 8 // 7)
    provenance = {
        **source.provenance,
        "exported": {
            "tomokit": __version__,
            "box_zyx": bounds.tolist(),
            "spacing_angstrom": spacing,
            **({} if form.is_plain else {"form": asdict(form)}),
        },
    }
    text = json.dumps({"output": output.name, **provenance}, indent=2) + "\n"
    if record is not None and record.exists() and not overwrite and record.read_bytes() != text.encode():
        raise OutputError("exists already", file=record, remedy="give --overwrite to replace it")
    # Bounds are faces of voxels; where sampling starts is the centre of the first new voxel, counted from the centre of
    # the tomogram's first.
    start = [low + (step - 1) / 2 for low, _ in bounds]
    lattice = _Lattice(source, start, step, (count[0], count[1], count[2]))
    # Of a tomogram that is a part of a larger one the first voxel lies where it does in the larger one.
    x, y, z = (first + at * voxel for first, at in zip(source.origin_angstrom, reversed(start), strict=True))
    origin = (x, y, z)
    known = source.voxel_size_is_known
    with new_outputs() as outputs:
        if record is not None:
            with outputs.new(record, check_file, "replace" if overwrite else "same") as beside:
                beside.write_text(text, "utf-8")
        existing: Existing = "replace" if overwrite else "refuse"
        if in_blocks:
            image = ZarrImage(output.stem, spacing, origin, known, provenance)
            add_ome_zarr(outputs, output, replace(lattice, invert=form.invert), image, existing)
        else:
            volume = Volume(lattice.all(), spacing, origin_angstrom=origin, provenance=source.labels)
            if not form.is_plain:
                volume, _ = describe_form(volume, form)
            add_volume(outputs, output, volume, existing, provenance=provenance, size_is_known=known, form=form)
    return {
        "output": str(output),
        "provenance_file": None if record is None else str(record),
        "input": str(source.file),
        **source.facts,
        "shape": count,
        "voxel_size_angstrom": spacing,
        "voxel_size_is_known": known,
        "origin_angstrom": list(origin),
        "units": source.units,
        "warnings": source.warnings,
    }


@dataclass(frozen=True)
class _Lattice:
    """The volume that is written: its blocks are sampled when they are asked for."""

    source: ExportSource
    start_zyx: list[float]
    step: float
    shape: tuple[int, int, int]
    invert: bool = False

    def read(self, block: Block) -> NDArray[np.float32]:
        """Sample a block."""
        start = [at + part.start * self.step for at, part in zip(self.start_zyx, block, strict=True)]
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.source.sample(start, self.step, [part.stop - part.start for part in block])
        # Finite densities times a scale that is too large for them.
        if not np.isfinite(values.sum(dtype=np.float64)):
            problem = "its density in the units of the output is not finite"
            raise InputError(problem, file=self.source.file, field="/density")
        return np.negative(values) if self.invert else values

    def all(self) -> NDArray[np.float32]:
        """Sample all of it."""
        z, y, x = (slice(0, size) for size in self.shape)
        return self.read((z, y, x))
