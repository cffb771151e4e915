"""Dose and order of acquisition from SerialEM's ``.mdoc``, beside the angles that :mod:`tomokit.io.mdoc` reads."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile, FieldUse
from tomokit.formats.words import PathLike
from tomokit.io.mdoc import read_mdoc
from tomokit.io.mdoc_text import Entry, MdocSection, as_number, as_whole, split_mdoc

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"(\d{1,4})-([A-Za-z]{3})-(\d{1,4})\s+(\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_MOST_DOSE = 1e4


def read_mdoc_acquisition(path: PathLike) -> AcquisitionFile:
    """Read dose, dose before each view and order of acquisition from an ``.mdoc``, in the order of the images.

    ExposureDose is the dose of the view, PriorRecordDose what came before it; where that is absent it is summed in the
    order of acquisition. The order is that of PriorRecordDose, or of DateTime, or of the sections.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        If it describes no tilt series, or as :func:`tomokit.io.mdoc.read_mdoc`.
    """
    path = Path(path)
    facts = read_mdoc(path)
    if facts.kind != "tilt series":
        raise InputError(f"describes a {facts.kind}, not a tilt series", file=path, remedy="give that of the series")
    text = split_mdoc(path)
    in_file = [section for section in text.sections if section.kind == "ZValue"]
    places = {as_whole(section.name.text): index for index, section in enumerate(in_file)}
    sections = [in_file[places[z]] for z in facts.z_values]
    n_views, warnings, uses = len(sections), list(facts.warnings), list[FieldUse]()
    dose = _column(sections, "ExposureDose", uses, warnings, path)
    if dose is not None and not dose.any():
        uses[-1] = FieldUse("ExposureDose", "not used", "0 throughout: the dose was not calibrated")
        dose = None
    prior = _column(sections, "PriorRecordDose", uses, warnings, path)
    order, by = _order(sections, [places[z] for z in facts.z_values], prior, warnings, path)
    uses.append(FieldUse("order of acquisition", "used", f"by {by}"))
    if prior is None and dose is not None:
        prior = np.zeros(n_views)
        prior[np.argsort(order)] = np.concatenate([[0.0], np.cumsum(dose[np.argsort(order)])[:-1]])
        warnings.append(f"{path.name}: no PriorRecordDose; the dose before each view is summed by {by}")
    elif prior is not None and not prior.any():
        prior = None
    voltage = _first(text.head, sections, "Voltage")
    if voltage is not None:
        uses.append(FieldUse("Voltage", "used", f"{voltage:g} kV"))
    uses.append(FieldUse("TiltAngle", "used", f"{n_views} views"))
    target = _first(text.head, sections, "TargetDefocus")
    if target is not None:
        uses.append(FieldUse("TargetDefocus, Defocus", "not used", f"{target:g} micrometres, not measured"))
    acquisition = Acquisition(n_views, dose_e_per_a2=dose, prior_dose_e_per_a2=prior, order=order, voltage_kv=voltage)
    tilt = tuple(map(float, facts.tilt_deg)) if np.isfinite(facts.tilt_deg).all() else ()
    return AcquisitionFile(path, "SerialEM .mdoc", acquisition, tuple(uses), tuple(warnings), tilt_deg=tilt)


def _column(
    sections: list[MdocSection], key: str, uses: list[FieldUse], warnings: list[str], path: Path
) -> NDArray[np.float64] | None:
    """A number of each section; None where a section has none, which is told if others have."""
    numbers, commas = [], False
    for section in sections:
        entries = section.entries.get(key, [])
        if len({entry.text for entry in entries}) > 1:
            warnings.append(f"{path.name}: {section.place} has two values of {key}: it is not used")
            return None
        number, comma = as_number(entries[-1].text) if entries else (None, False)
        commas |= comma
        if number is not None and not 0 <= number <= _MOST_DOSE:
            warnings.append(f"{path.name}: {section.place}: {key} {number:g} is no dose: it is not used")
            return None
        numbers.append(number)
    missing = sum(number is None for number in numbers)
    if missing == len(numbers):
        return None
    if missing:
        warnings.append(f"{path.name}: {missing} of {len(numbers)} sections have no {key}: it is not used")
        return None
    if commas:
        warnings.append(f"{path.name}: {key} has decimal commas, read as points")
    uses.append(FieldUse(key, "used", f"{min(n for n in numbers if n is not None):g} and more e/Å^2"))
    return np.array(numbers, dtype=np.float64)


def _order(
    sections: list[MdocSection],
    places: list[int],
    prior: NDArray[np.float64] | None,
    warnings: list[str],
    path: Path,
) -> tuple[NDArray[np.int_], str]:
    by_time = _times(sections)
    time_order = None if by_time is None else np.argsort(np.argsort(by_time))
    if prior is not None and np.unique(prior).size == prior.size:
        order = np.argsort(np.argsort(prior))
        if time_order is not None and not np.array_equal(order, time_order):
            warnings.append(
                f"{path.name}: PriorRecordDose and DateTime give different orders; that of the dose is used"
            )
        return order, "PriorRecordDose"
    if time_order is not None:
        return time_order, "DateTime"
    return np.argsort(np.argsort(places)), "the order of the sections"


def _times(sections: list[MdocSection]) -> NDArray[np.float64] | None:
    """Seconds of each section; None unless all have one, each another."""
    times = []
    for section in sections:
        entries: list[Entry] = section.entries.get("DateTime", [])
        match = _DATE.search(entries[-1].text) if entries else None
        if match is None or match[2].lower() not in _MONTHS:
            return None
        first, second = int(match[1]), int(match[3])
        # 30-May-21 and 2021-May-30 are both written.
        year, day = (first, second) if first > 31 else (second, first)
        try:
            moment = datetime(
                year + 2000 if year < 100 else year,
                _MONTHS.index(match[2].lower()) + 1,
                day,
                int(match[4]),
                int(match[5]),
                int(match[6]),
            )
        except ValueError:
            return None
        times.append((moment - datetime(2000, 1, 1)).total_seconds())
    array = np.array(times)
    return array if np.unique(array).size == array.size else None


def _first(head: MdocSection, sections: list[MdocSection], key: str) -> float | None:
    for section in (head, *sections):
        for entry in section.entries.get(key, []):
            number, _ = as_number(entry.text)
            if number is not None and abs(number) < _MOST_DOSE:
                return number
    return None
