"""The files of a simulation: the series as a microscope leaves it, and beside it what is true."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tomokit.io import write_stack, write_text, write_volume
from tomokit.io.output import check_output, write_json
from tomokit.phantom.simulate import Simulation

_PLAIN = {"tilts": "tilts.mrc", "angles": "tilts.tlt", "truth": "truth.mrc"}
_MORE = {
    "settings": "simulation.json",
    "true_angles": "truth.tlt",
    "true_transforms": "truth.xf",
    "mdoc": "tilts.mrc.mdoc",
    "defocus": "defocus.txt",
}


def names_of(*, settings: bool, misaligned: bool, dose: bool, defocus: bool) -> dict[str, str]:
    """Say which files a simulation has.

    Parameters
    ----------
    settings : bool
        Whether it is more than shells in white noise, so that all settings are recorded.
    misaligned, dose, defocus : bool
        Whether the views are misaligned, have a dose, and have a defocus.

    Returns
    -------
    dict of str to str
        Names by what they hold.
    """
    wanted = {
        "settings": settings,
        "true_angles": misaligned,
        "true_transforms": misaligned,
        "mdoc": dose or misaligned,
        "defocus": defocus,
    }
    return _PLAIN | {what: name for what, name in _MORE.items() if wanted[what]}


def check_simulation(folder: Path, names: dict[str, str], *, overwrite: bool) -> None:
    """Make sure that all files of a simulation can be written.

    Parameters
    ----------
    folder : Path
        There already.
    names : dict of str to str
        As of :func:`names_of`.
    overwrite : bool
        Whether what is there may be replaced.

    Raises
    ------
    OutputError
        If one is there, or cannot be written.
    """
    for name in names.values():
        check_output(folder / name, overwrite=overwrite)


def write_simulation(
    folder: Path, names: dict[str, str], simulation: Simulation, *, overwrite: bool
) -> dict[str, Path]:
    """Write the files of a simulation, or none; those of an earlier one that it does not replace are removed.

    Parameters
    ----------
    folder : Path
        There already.
    names : dict of str to str
        As of :func:`names_of`.
    simulation : Simulation
    overwrite : bool
        Whether what is there may be replaced.

    Returns
    -------
    dict of str to Path
        The files by what they hold.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    series, true = simulation.series, simulation.misalignment
    stale = _files_of_earlier(folder) - set(names.values()) if overwrite else set()
    paths = {what: folder / name for what, name in names.items()}
    transforms = "".join(
        " ".join(f"{number:12.7f}" for number in row[:4])
        + " "
        + " ".join(f"{number:11.4f}" for number in row[4:])
        + "\n"
        for row in true.transforms()
    )
    texts = {
        "angles": _column(series.geometry.tilt_deg),
        "true_angles": _column(true.tilt_deg),
        "true_transforms": transforms,
        "mdoc": mdoc_text(simulation, names["tilts"]),
    }
    if simulation.acquisition.defocus_um is not None:
        texts["defocus"] = _column(simulation.acquisition.defocus_um[:, 0])
    written: list[Path] = []
    try:
        for what, path in paths.items():
            if what == "tilts":
                write_stack(path, series, overwrite=overwrite, aligned="true_transforms" not in names)
            elif what == "truth":
                write_volume(path, simulation.truth, overwrite=overwrite)
            elif what == "settings":
                write_json(path, _record(simulation, names), overwrite=overwrite)
            else:
                write_text(path, texts[what], overwrite=overwrite)
            written.append(path)
    except BaseException:
        # Some files of a set are of no use.
        for path in written:
            path.unlink(missing_ok=True)
        raise
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    return paths


def mdoc_text(simulation: Simulation, stack: str) -> str:
    """Write a series' ``.mdoc`` as SerialEM does: angles, dose, and order by the dose before each view.

    Parameters
    ----------
    simulation : Simulation
    stack : str
        Name of the stack.

    Returns
    -------
    str
    """
    series, acquisition = simulation.series, simulation.acquisition
    lines = [
        f"PixelSpacing = {series.pixel_size_angstrom:g}",
        f"Voltage = {acquisition.voltage_kv:g}",
        f"ImageFile = {stack}",
        f"ImageSize = {series.geometry.n_u} {series.geometry.n_v}",
        "DataMode = 2",
        "",
        f"[T = Simulated by tomokit {series.provenance['simulation']['tomokit']}]",
    ]
    if simulation.misalignment.axis_rotation_deg:
        lines.append(f"[T = Tilt axis angle = {simulation.misalignment.axis_rotation_deg:g}, binning = 1]")
    for view, angle in enumerate(series.geometry.tilt_deg):
        lines += ["", f"[ZValue = {view}]", f"TiltAngle = {angle:.10g}"]
        if acquisition.dose_e_per_a2 is not None and acquisition.prior_dose_e_per_a2 is not None:
            lines += [
                f"ExposureDose = {acquisition.dose_e_per_a2[view]:.10g}",
                f"PriorRecordDose = {acquisition.prior_dose_e_per_a2[view]:.10g}",
            ]
        if acquisition.defocus_um is not None:
            lines.append(f"TargetDefocus = {-acquisition.defocus_um[view, 0]:g}")
    return "\n".join(lines) + "\n"


def _column(numbers: Any) -> str:
    return "".join(f"{number:.10g}\n" for number in numbers)


def _record(simulation: Simulation, names: dict[str, str]) -> dict[str, Any]:
    series = simulation.series
    acquisition = simulation.acquisition
    found: dict[str, Any] = {
        "pixel_size_angstrom": series.pixel_size_angstrom,
        "tilt_deg": series.geometry.tilt_deg.tolist(),
        **series.provenance["simulation"],
        "files": names,
    }
    if acquisition.order is not None:
        found["order"] = acquisition.order.tolist()
    return found


def _files_of_earlier(folder: Path) -> set[str]:
    """Files beside the three that every simulation has, if the folder says that a simulation made them."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads((folder / _MORE["settings"]).read_text(encoding="utf-8"))
        return set(record["files"].values()) & set(_MORE.values())
    return set()
