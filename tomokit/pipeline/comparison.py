"""A volume against the truth: :func:`tomokit.compare`."""

from __future__ import annotations

from typing import Any

from tomokit.errors import InputError
from tomokit.metrics import compare_arrays, parse_box
from tomokit.pipeline.volumes import VolumeLike, as_volume, volume_path


def compare(
    volume: VolumeLike, truth: VolumeLike, *, scale: str | float = "none", box: str | None = None
) -> dict[str, Any]:
    """Measure how close a volume comes to the truth.

    Parameters
    ----------
    volume, truth : Volume, ndarray or path-like
        Densities ``[z, y, x]`` of one shape; a path is that of an MRC file.
    scale : {"none", "fit", "affine"} or float
        What the volume is multiplied by first: nothing, the least-squares scale, the least-squares scale with an
        offset, or a given number.
    box : str, optional
        Where ``ssim_global`` is taken, in voxels as ``"z0:z1,y0:y1,x0:x1"``; default: everywhere.

    Returns
    -------
    dict
        JSON-serializable: ``psnr_db`` (``20 log10(max(truth) / rmse)``, in dB), ``ssim`` (mean over windows of 7
        voxels), ``ssim_global``, ``rmse`` (in the truth's units), ``scale``, ``offset`` and ``box``, and isolated
        extreme voxels in each thousand, ``isolated_per_thousand`` and ``isolated_per_thousand_truth``. A measure that
        is infinite or undefined is None.

    Raises
    ------
    InputError
        If a file cannot be read, the shapes differ, or a value is NaN or infinite.
    OptionError
        If `scale` or `box` makes no sense.

    Examples
    --------
    >>> import numpy as np, tomokit
    >>> truth = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
    >>> round(tomokit.compare(2 * truth, truth, scale="fit")["scale"], 3)
    0.5
    """
    where = None if box is None else parse_box(box)
    judged, true = as_volume(volume), as_volume(truth)
    try:
        return compare_arrays(judged.density, true.density, scale=scale, box=where)
    except InputError as error:
        # The measures see arrays; which files they are of is known here.
        files = [str(path) for path in map(volume_path, (volume, truth)) if path is not None]
        error.file = error.file or ", ".join(files) or None
        raise
