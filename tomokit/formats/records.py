"""What a file of another program said: the value that was made of it, and what became of each of its fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tomokit.data.acquisition import Acquisition
from tomokit.geometry.alignment import Alignment

Use = Literal["used", "read", "not used"]


@dataclass(frozen=True)
class FieldUse:
    """What became of one field of a file.

    Attributes
    ----------
    name : str
        The field, as the file calls it.
    use : {"used", "read", "not used"}
        ``"used"`` if a reconstruction follows it, ``"read"`` if it was checked or is told only, ``"not used"`` if the
        file says it and nothing follows it.
    note : str
        Its value, and why it is not used.
    """

    name: str
    use: Use
    note: str = ""


@dataclass(frozen=True)
class AlignmentFile:
    """An alignment as a file gives it.

    Attributes
    ----------
    path : Path
        The file that was asked for.
    kind : str
        Its format in words.
    alignment : Alignment
        In the convention of tomokit.
    files : tuple of Path
        All files that were read for it, `path` among them.
    fields : tuple of FieldUse
        What became of each field.
    warnings : tuple of str
        What the user should know.
    thickness_px : int or None
        Thickness of the tomogram or the specimen in raw pixels, where the file has one.
    pixel_size_angstrom : float or None
        Edge of a raw pixel in ångström, where the file has one.
    image_files : tuple of str
        Stacks that the file names, raw before aligned, without their folders.
    acquisition : Acquisition or None
        Dose, order and defocus, where the file has them.
    """

    path: Path
    kind: str
    alignment: Alignment
    files: tuple[Path, ...]
    fields: tuple[FieldUse, ...] = ()
    warnings: tuple[str, ...] = ()
    thickness_px: int | None = None
    pixel_size_angstrom: float | None = None
    image_files: tuple[str, ...] = ()
    acquisition: Acquisition | None = None

    def to_json(self) -> dict[str, Any]:
        """Represent the alignment in short, for ``tomokit inspect``.

        Returns
        -------
        dict
            JSON-serializable.
        """
        alignment = self.alignment
        tilt, x_tilt = alignment.tilt_deg, alignment.x_tilt_deg
        return {
            "file": self.path.name,
            "kind": "alignment",
            "format": self.kind,
            "files": [path.name for path in self.files],
            "views": alignment.n_views,
            "excluded_views": [int(view) for view in range(alignment.n_views) if not alignment.used[view]],
            "tilt_deg": [float(tilt.min()), float(tilt.max())],
            "tilt_axis_deg": alignment_axis_deg(alignment),
            "x_tilt_deg": [float(x_tilt.min()), float(x_tilt.max())],
            "tilt_offset_deg": alignment.tilt_offset_deg,
            "thickness_px": self.thickness_px,
            "pixel_size_angstrom": self.pixel_size_angstrom,
            "fields": {f"{item.name}": f"{item.use}{': ' if item.note else ''}{item.note}" for item in self.fields},
            "convention": {
                "sign": "angles as in IMOD's .tlt; x_tilt_deg as XAXISTILT",
                "transform": "raw to aligned about (n - 1) / 2, shifts in raw pixels",
            },
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class AcquisitionFile:
    """Dose, order, defocus and optics as a file gives them.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        Its format in words.
    acquisition : Acquisition
        In the units of tomokit.
    fields : tuple of FieldUse
        What became of each field.
    warnings : tuple of str
        What the user should know.
    tilt_deg : tuple of float
        Tilt angles of the views in degrees where the file has them, else empty: for holding it against the stack.
    """

    path: Path
    kind: str
    acquisition: Acquisition
    fields: tuple[FieldUse, ...] = ()
    warnings: tuple[str, ...] = ()
    tilt_deg: tuple[float, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Represent it in short, for ``tomokit inspect``.

        Returns
        -------
        dict
            JSON-serializable.
        """
        acquisition = self.acquisition
        facts: dict[str, Any] = {
            "file": self.path.name,
            "kind": "acquisition",
            "format": self.kind,
            "views": acquisition.n_views,
        }
        for name in ("dose_e_per_a2", "prior_dose_e_per_a2", "phase_shift_deg"):
            values = getattr(acquisition, name)
            facts[name] = None if values is None else [float(values.min()), float(values.max())]
        defocus = acquisition.defocus_um
        facts["defocus_um"] = None if defocus is None else [float(defocus[:, :2].min()), float(defocus[:, :2].max())]
        facts["order"] = None if acquisition.order is None else acquisition.order.tolist()
        for name in ("voltage_kv", "spherical_aberration_mm", "amplitude_contrast"):
            facts[name] = getattr(acquisition, name)
        facts["fields"] = {item.name: f"{item.use}{': ' if item.note else ''}{item.note}" for item in self.fields}
        facts["warnings"] = list(self.warnings)
        return facts


def alignment_axis_deg(alignment: Alignment) -> float:
    """Tell the angle of the tilt axis in the raw images.

    Parameters
    ----------
    alignment : Alignment

    Returns
    -------
    float
        Median over the views that are used, in degrees from y, counter-clockwise with y up.
    """
    import numpy as np

    a11, a12, a21, a22 = alignment.transform[alignment.used if alignment.used.any() else slice(None), :4].T
    # The transform turns the axis to the vertical, the axis lies at the opposite angle.
    return float(-np.median(np.rad2deg(np.arctan2(a21 - a12, a11 + a22))))
