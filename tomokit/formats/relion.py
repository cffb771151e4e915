"""Tilt series of RELION: the STAR of one series (``rlnTomoYTilt`` and so on), and ``tomograms.star`` that names them.

RELION 5 projects a point X of the specimen, from its centre, to ``Rz(ZRot) Ry(YTilt) Rx(XTilt) X + (XShift, YShift)``
from the centre of the raw image, rotations as usual: ``x' = x cos + z sin``. IMOD has ``x cos - z sin`` at the same
angle, which is what RELION imports into YTilt; the two specimens are mirror images in z. In tomokit's convention then
``A = Rz(-ZRot)`` and, with the mirrored z, ``x_tilt_deg = -XTilt``. RELION counts from pixel ``n // 2``, half a pixel
further than ``(n - 1) / 2`` where the size is even: with the difference h of the raw image ``(DX, DY) = -A ((XShift,
YShift) + h)``. The origin of the specimen is the same then; RELION has it at voxel ``n // 2`` of its tomogram, tomokit
at ``(n - 1) / 2``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile, AlignmentFile, FieldUse
from tomokit.formats.star import StarBlock, read_star
from tomokit.formats.words import PathLike, check_angle, parse_numbers
from tomokit.geometry.alignment import Alignment

_GEOMETRY = ("rlnTomoYTilt", "rlnTomoZRot", "rlnTomoXShiftAngst", "rlnTomoYShiftAngst")
_MATRIX = ("rlnTomoProjX", "rlnTomoProjY")
_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_ANGSTROM_PER_UM = 1e4
_TOMOGRAM = ("rlnTomoName", "rlnTomoTiltSeriesPixelSize", "rlnTomoTiltSeriesStarFile", "rlnTomoSizeZ", "rlnTomoHand")


def looks_like_relion(blocks: list[StarBlock]) -> bool:
    """Whether a STAR file is of a tilt series of RELION, or names some.

    Parameters
    ----------
    blocks : list of StarBlock

    Returns
    -------
    bool
    """
    return any(label.startswith("rlnTomo") or label in _DEFOCUS for block in blocks for label in block.labels)


def read_relion_alignment(
    path: PathLike,
    *,
    name: str | None = None,
    pixel_size_angstrom: float | None = None,
    raw_shape: tuple[int, int] | None = None,
) -> AlignmentFile:
    """Read the alignment of a tilt series from RELION's STAR.

    Parameters
    ----------
    path : path-like
        The STAR of the series, or ``tomograms.star`` beside it.
    name : str, optional
        Of the series, where the file has several: its ``rlnTomoName``.
    pixel_size_angstrom : float, optional
        Edge of a raw pixel in ångström, which turns shifts to pixels; from the file where it says it.
    raw_shape : tuple of int, optional
        ``(n_y, n_x)`` of the raw images in pixels, for RELION's centre; by default even sizes.

    Returns
    -------
    AlignmentFile

    Raises
    ------
    InputError
        If a column is missing, several series are in it and none is named, or the pixel size is not known.
    """
    path = Path(path)
    block, tomogram, files = _series(path, name)
    size = _optional(tomogram, "rlnTomoTiltSeriesPixelSize") or pixel_size_angstrom
    warnings: list[str] = []
    if not any(label in block for label in _GEOMETRY):
        if all(label in block for label in _MATRIX):
            _refuse_matrices(block)
        raise InputError(
            "no alignment (_rlnTomoYTilt, _rlnTomoZRot and shifts)",
            file=block.path,
            field=f"data_{block.name}",
            remedy="give the .star of the job that aligned the series",
        )
    if size is None or not size > 0:
        raise InputError(
            "shifts in ångström, and no pixel size beside them",
            file=path,
            field="rlnTomoTiltSeriesPixelSize",
            remedy="give tomograms.star, or --pixel-size",
        )
    columns = {label: np.array(block.numbers(label)) for label in _GEOMETRY}
    x_tilt = np.array(block.numbers("rlnTomoXTilt")) if "rlnTomoXTilt" in block else np.zeros(len(block.rows))
    for label, values in (("rlnTomoYTilt", columns["rlnTomoYTilt"]), ("rlnTomoXTilt", x_tilt)):
        for value, line in zip(values, block.lines, strict=True):
            check_angle(float(value), file=block.path, field=f"line {line}, _{label}")
    rotation = np.deg2rad(columns["rlnTomoZRot"])
    cos, sin = np.cos(rotation), np.sin(rotation)
    shift = np.stack([columns["rlnTomoXShiftAngst"], columns["rlnTomoYShiftAngst"]], axis=1) / size
    matrix = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    # Detectors have even sizes; of a stack that is known it is its own.
    half = np.array([(n // 2) - (n - 1) / 2 for n in (raw_shape or (2, 2))[::-1]])
    moved = -np.einsum("nij,nj->ni", matrix, shift + half)
    hand = _optional(tomogram, "rlnTomoHand")
    thickness = _optional(tomogram, "rlnTomoSizeZ")
    order = np.argsort(columns["rlnTomoYTilt"], kind="stable")
    if not (np.array_equal(order, np.arange(order.size)) or np.array_equal(order[::-1], np.arange(order.size))):
        warnings.append(f"{block.path.name}: its rows are not in order of tilt; row N is taken as view N of the stack")
    uses = [FieldUse(f"_{label}", "used") for label in _GEOMETRY]
    if "rlnTomoXTilt" in block:
        uses.append(FieldUse("_rlnTomoXTilt", "used", "with its sign changed: RELION's z is mirrored"))
    if hand is not None:
        uses.append(FieldUse("_rlnTomoHand", "read", f"{hand:g}: of the defocus gradient"))
    acquisition, more = _acquisition(block, tomogram)
    return AlignmentFile(
        path=path,
        kind="RELION STAR",
        alignment=Alignment(
            tilt_deg=columns["rlnTomoYTilt"],
            transform=np.concatenate([matrix.reshape(-1, 4), moved], axis=1),
            x_tilt_deg=-x_tilt,
            used=np.ones(len(block.rows), dtype=bool),
            files=tuple(files),
            raw_shape=raw_shape,
        ),
        files=tuple(files),
        fields=(*uses, *more),
        warnings=tuple(warnings),
        thickness_px=None if thickness is None or not 1 <= thickness <= 1e5 else round(thickness),
        pixel_size_angstrom=size,
        acquisition=acquisition,
        image_files=_stacks_of(block),
    )


def _stacks_of(block: StarBlock) -> tuple[str, ...]:
    """Stacks that the views are sections of; single images are none."""
    names = block.words("rlnMicrographName") if "rlnMicrographName" in block else []
    return tuple(dict.fromkeys(name.split("@", 1)[1] for name in names if "@" in name))


def read_relion_acquisition(path: PathLike, *, name: str | None = None) -> AcquisitionFile:
    """Read dose, defocus and optics of a tilt series from RELION's STAR.

    Parameters
    ----------
    path, name
        As of :func:`read_relion_alignment`.

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        If it has none of them, or as :func:`read_relion_alignment`.
    """
    path = Path(path)
    block, tomogram, _ = _series(path, name)
    acquisition, uses = _acquisition(block, tomogram)
    if not any(use.use == "used" for use in uses):
        raise InputError("neither dose nor defocus", file=block.path, remedy="give the .star of a tilt series")
    label = next((key for key in ("rlnTomoYTilt", "rlnTomoNominalStageTiltAngle") if key in block), None)
    tilt = tuple(block.numbers(label)) if label else ()
    return AcquisitionFile(path, "RELION STAR", acquisition, tuple(uses), tilt_deg=tilt)


def _series(path: Path, name: str | None) -> tuple[StarBlock, StarBlock | None, list[Path]]:
    """The block of one series, the row of it in a table of tomograms, and the files that were read."""
    blocks = read_star(path)
    tables = [block for block in blocks if "rlnTomoName" in block and "rlnTomoTiltSeriesPixelSize" in block]
    series = [block for block in blocks if block not in tables and _is_series(block)]
    if not tables:
        if name is not None and len(series) > 1:
            series = [block for block in series if block.name == name]
        if len(series) == 1:
            return series[0], _tomogram_beside(path, series[0].name), [path]
        raise InputError(
            "no tilt series in it" if not series else f"{len(series)} tilt series in it",
            file=path,
            remedy="give the .star of one tilt series",
        )
    table = tables[0]
    names = table.words("rlnTomoName")
    chosen = name or (names[0] if len(names) == 1 else None)
    if chosen is None or chosen not in names:
        listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise InputError(
            f"{len(names)} tomograms: {listed}" if chosen is None else f"no tomogram {chosen}",
            file=path,
            field="rlnTomoName",
            remedy="give the .star of one of the tilt series",
        )
    index = names.index(chosen)
    row = StarBlock(table.path, table.name, table.labels, [table.rows[index]], [table.lines[index]])
    inside = [block for block in series if block.name == chosen]
    if inside:
        return inside[0], row, [path]
    if "rlnTomoTiltSeriesStarFile" not in table:
        raise InputError(f"no block data_{chosen}", file=path, remedy="give the .star of the tilt series")
    relative = Path(row.words("rlnTomoTiltSeriesStarFile")[0].replace("\\", "/"))
    # Paths of RELION start from its project folder, which may be any of those above.
    candidates = [folder / relative for folder in path.resolve().parents][:5]
    candidates += [path.parent / relative.name, path.parent / "tilt_series" / relative.name]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise InputError(
            f"names {relative}, which is not there", file=path, field="rlnTomoTiltSeriesStarFile", remedy="give it"
        )
    inner = [block for block in read_star(found) if _is_series(block)]
    if len(inner) != 1:
        raise InputError(f"{len(inner)} tilt series in it", file=found, remedy="give the .star of one tilt series")
    return inner[0], row, [path, found]


def _tomogram_beside(path: Path, name: str) -> StarBlock | None:
    """The row of the series in the ``tomograms.star`` or ``aligned_tilt_series.star`` of its job."""
    for folder in (path.parent, path.resolve().parent.parent):
        for file in ("tomograms.star", "aligned_tilt_series.star", "tilt_series.star", "tilt_series_ctf.star"):
            if (folder / file).is_file():
                try:
                    blocks = read_star(folder / file)
                except InputError:
                    continue
                for block in blocks:
                    if "rlnTomoName" in block and "rlnTomoTiltSeriesPixelSize" in block:
                        names = block.words("rlnTomoName")
                        if name in names:
                            index = names.index(name)
                            return StarBlock(
                                block.path, block.name, block.labels, [block.rows[index]], [block.lines[index]]
                            )
    return None


def _is_series(block: StarBlock) -> bool:
    per_view = (*_GEOMETRY, *_MATRIX, "rlnMicrographPreExposure", "rlnTomoNominalStageTiltAngle", "rlnDefocusU")
    return any(label in block for label in per_view)


def _optional(block: StarBlock | None, label: str) -> float | None:
    return block.numbers(label)[0] if block is not None and label in block else None


def _refuse_matrices(block: StarBlock) -> None:
    """RELION 4: projection matrices, of which the shifts are needed as well as the rotations."""
    moved = False
    for label in _MATRIX:
        for word, line in zip(block.words(label), block.lines, strict=True):
            numbers = parse_numbers(word.strip("[]"), file=block.path, field=f"line {line}, _{label}")
            if len(numbers) != 4:
                raise InputError("no row of four numbers", file=block.path, field=f"line {line}, _{label}")
            moved |= numbers[3] != 0
    problem = "projection matrices of RELION 4" if moved else "projection matrices without any shift: no alignment"
    raise InputError(
        problem,
        file=block.path,
        field=f"data_{block.name}, _rlnTomoProjX",
        remedy="give the .star of RELION 5, or the .xf and .tlt that it was imported from",
    )


def _acquisition(block: StarBlock, tomogram: StarBlock | None) -> tuple[Acquisition, list[FieldUse]]:
    uses: list[FieldUse] = []
    n_views = len(block.rows)
    values: dict[str, NDArray[np.float64]] = {}
    if "rlnMicrographPreExposure" in block:
        values["prior_dose_e_per_a2"] = np.array(block.numbers("rlnMicrographPreExposure", limit=1e5))
        uses.append(FieldUse("_rlnMicrographPreExposure", "used", "dose before each view"))
    if "rlnDefocusU" in block and "rlnDefocusV" in block:
        u, v = (np.array(block.numbers(label, limit=1e7)) / _ANGSTROM_PER_UM for label in _DEFOCUS[:2])
        angle = np.array(block.numbers(_DEFOCUS[2])) if _DEFOCUS[2] in block else np.zeros(n_views)
        values["defocus_um"] = np.stack([u, v, angle], axis=1)
        uses += [FieldUse(f"_{label}", "used") for label in _DEFOCUS if label in block]
    if "rlnPhaseShift" in block:
        values["phase_shift_deg"] = np.array(block.numbers("rlnPhaseShift"))
        uses.append(FieldUse("_rlnPhaseShift", "used"))
    optics = {
        "voltage_kv": "rlnVoltage",
        "spherical_aberration_mm": "rlnSphericalAberration",
        "amplitude_contrast": "rlnAmplitudeContrast",
    }
    numbers = {name: _optional(tomogram, label) for name, label in optics.items()}
    uses += [FieldUse(f"_{optics[name]}", "used", f"{value:g}") for name, value in numbers.items() if value is not None]
    dose = _dose_per_view(tomogram, values.get("prior_dose_e_per_a2"), uses)
    named = {use.name[1:] for use in uses} | set(_GEOMETRY) | {"rlnTomoXTilt"}
    left = [label for label in block.labels if label not in named]
    if left:
        uses.append(FieldUse(", ".join(f"_{label}" for label in left[:12]), "not used"))
    order = None
    prior = values.get("prior_dose_e_per_a2")
    if prior is not None and np.unique(prior).size == prior.size:
        order = np.argsort(np.argsort(prior))
    acquisition = Acquisition(
        n_views,
        dose_e_per_a2=dose,
        prior_dose_e_per_a2=prior,
        order=order,
        defocus_um=values.get("defocus_um"),
        phase_shift_deg=values.get("phase_shift_deg"),
        voltage_kv=numbers["voltage_kv"],
        spherical_aberration_mm=numbers["spherical_aberration_mm"],
        amplitude_contrast=numbers["amplitude_contrast"],
    )
    return acquisition, uses


def _dose_per_view(
    tomogram: StarBlock | None, prior: NDArray[np.float64] | None, uses: list[FieldUse]
) -> NDArray[np.float64] | None:
    """The dose of each view: the fractional dose of the import times its frames, where the steps of the prior agree."""
    if prior is None or prior.size < 2:
        return None
    steps = np.diff(np.sort(prior))
    step = float(np.median(steps))
    if not step > 0 or np.abs(steps / step - np.round(steps / step)).max() > 0.05:
        return None
    uses.append(FieldUse("dose of a view", "read", f"{step:g}: the step of _rlnMicrographPreExposure"))
    return np.full(prior.size, step)
