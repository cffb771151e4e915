"""Names that a user may have meant by one that does not exist: misspelt, or another program's word for the thing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# Each row is one thing, by the words of this and of other programs. What a method has of a row is what was meant.
_SAME_THING: tuple[tuple[str, ...], ...] = (
    ("epochs", "iterations", "iters", "n_iter", "niter", "n_iterations", "num_iterations", "sweeps", "passes"),
    ("weight", "strength", "lambda", "lambd", "alpha", "mu", "regularization", "reg", "smoothing", "tv_weight",
     "tv_lambda"),
    ("lr", "learning_rate", "step_size", "rate"),
    ("relaxation", "relax", "omega", "step", "relaxation_factor"),
    ("nonnegative", "non_negative", "nonneg", "positive", "positivity", "nonnegativity", "min_constraint"),
    ("filter", "window", "filter_name", "weighting"),
    ("cutoff", "cut_off", "lowpass", "low_pass", "radial"),
    ("margin", "padding", "pad", "border"),
    ("views_per_step", "batch_size", "batch", "subset_size", "views_per_batch"),
    ("max_leaves", "max_nodes", "leaves", "max_blocks"),
    ("spacing_px", "spacing", "resolution"),
    ("pixel_size", "apix", "angpix", "pixelsize", "pixel_spacing", "voxel_size", "voxelsize", "pixel_size_angstrom"),
    ("thickness", "height", "depth", "z_size", "vol_z", "alignz"),
    ("angles", "tilts", "tlt", "tilt_angles", "tiltfile", "angle_file", "rawtlt"),
    ("xf", "transforms", "alignment", "xform", "aln"),
    ("linearization", "transform", "contrast", "log"),
    ("offsets", "exposure", "offset", "background"),
    ("bin", "binning", "bin_factor", "downsample", "binby"),
    ("exclude", "exclude_views", "skip", "excludelist", "drop", "dark_views"),
    ("hold_out", "holdout", "held_out", "validation", "test_views", "leave_out"),
    ("threads", "cpus", "cores", "n_threads", "num_threads", "jobs", "nproc", "workers"),
    ("backend", "device", "gpu", "cuda", "use_gpu"),
    ("output", "out", "outfile", "output_file"),
    ("overwrite", "force", "clobber"),
    ("state", "checkpoint", "save_state"),
    ("config", "configuration", "settings", "parameters"),
    ("method", "algorithm", "mode"),
    ("seed", "random_seed", "rng"),
    ("half", "halves", "even_odd", "split"),
    ("tilt_offset", "angle_offset", "offset_deg", "tilt_angle_offset"),
)  # fmt: skip

_SURE, _LIKELY = 0.8, 0.6


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """Find which of the names that exist were meant by one that does not.

    Parameters
    ----------
    name : str
        What was given, with underscores or hyphens.
    names : iterable of str
        Those that exist, in the spelling in which they are to be told; a dotted one such as
        ``"regularizers.tv.weight"`` counts by its last part too.

    Returns
    -------
    list of str
        The best first, at most two; empty if nothing comes near.
    """
    wanted = name.strip("-").replace("-", "_").lower()
    ends: dict[str, list[str]] = {}
    for known in names:
        spelt = known.strip("-").replace("-", "_").lower()
        for end in {spelt, spelt.rpartition(".")[2]}:
            ends.setdefault(end, []).append(known)
    for found in (
        difflib.get_close_matches(wanted, ends, n=1, cutoff=_SURE),
        _same_thing(wanted, ends),
        difflib.get_close_matches(wanted, ends, n=1, cutoff=_LIKELY),
    ):
        if found:
            return list(dict.fromkeys(known for end in found for known in ends[end]))[:2]
    return []


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Ask for the name that was meant, in the words with which a remedy begins.

    Parameters
    ----------
    name, names
        As for :func:`near_names`.

    Returns
    -------
    str
        Such as ``"did you mean epochs? "``; empty if nothing comes near.
    """
    near = near_names(name, names)
    return f"did you mean {' or '.join(near)}? " if near else ""


def _same_thing(wanted: str, ends: Iterable[str]) -> Sequence[str]:
    """Names that exist for what another program calls `wanted`, or nearly so."""
    known = set(ends)
    words = [word for row in _SAME_THING for word in row]
    for word in difflib.get_close_matches(wanted, words, n=3, cutoff=_SURE):
        for row in _SAME_THING:
            if word in row and (found := [other for other in row if other in known]):
                return found
    return []
