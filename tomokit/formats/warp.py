"""Tilt series of Warp and M: the ``.xml`` of a series, and the ``.tomostar`` that it was imported from.

Warp projects a point X of the specimen, from its centre and in ångström, to ``Rz(AxisAngle) (x cos - z sin, y)`` plus
``(AxisOffsetX, AxisOffsetY)`` from the centre of the raw image, with ``LevelAngleY`` added to each angle and the
specimen turned by ``LevelAngleX`` about x first. So ``A = Rz(-AxisAngle)``, ``(DX, DY) = -A (AxisOffset / size)`` with
the size of a pixel, ``tilt_offset_deg = LevelAngleY`` and ``x_tilt_deg = LevelAngleX``. Warp imports IMOD's ``.xf`` by
the same formula.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile, AlignmentFile, FieldUse
from tomokit.formats.star import read_star
from tomokit.formats.words import MOST_VIEWS, PathLike, check_angle, parse_number, parse_numbers
from tomokit.geometry.alignment import Alignment
from tomokit.io.regular import open_regular

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_BYTES = 64 << 20
_PER_VIEW = ("AxisAngle", "AxisOffsetX", "AxisOffsetY")
_NOT_USED = ("GridMovementX", "GridMovementY", "GridVolumeWarpX", "GridVolumeWarpY", "GridVolumeWarpZ", "GridAngleX",
             "GridAngleY", "GridAngleZ")  # fmt: skip
_UNIT = "1, 0, 0, 1"


def read_warp_alignment(path: PathLike, *, pixel_size_angstrom: float | None = None) -> AlignmentFile:
    """Read the alignment of a tilt series from Warp's ``.xml``.

    Parameters
    ----------
    path : path-like
    pixel_size_angstrom : float, optional
        Edge of a raw pixel in ångström. Warp's file has offsets in ångström, and no pixel size to rely on: one of
        exactly 1 in it is its default.

    Returns
    -------
    AlignmentFile

    Raises
    ------
    InputError
        If it is no tilt series, lists differ in length, or the pixel size is not known.
    """
    path = Path(path)
    root = _root(path)
    tilt = _numbers(root, "Angles", path)
    if tilt is None:
        raise InputError("no Angles", file=path, remedy="give the .xml of a tilt series")
    for view, value in enumerate(tilt):
        check_angle(float(value), file=path, field=f"Angles, view {view}")
    columns = {}
    for name in _PER_VIEW:
        values = _numbers(root, name, path)
        if values is None:
            raise InputError(f"no {name}: the series is not aligned", file=path, remedy="align it, or give an .xf")
        if values.size != tilt.size:
            raise InputError(f"{values.size} values for {tilt.size} views", file=path, field=name)
        columns[name] = values
    inside = _parameters(root).get("PixelSize", "")
    own = parse_number(inside, file=path, field="CTF PixelSize") if inside else 1.0
    size = pixel_size_angstrom or (own if own > 0 and own != 1.0 else None)
    if size is None:
        raise InputError(
            "offsets in ångström, and the pixel size of the stack is not known",
            file=path,
            field="AxisOffsetX",
            remedy="give --pixel-size, or a stack whose header has it",
        )
    rotation = np.deg2rad(columns["AxisAngle"])
    cos, sin = np.cos(rotation), np.sin(rotation)
    matrix = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    offset = np.stack([columns["AxisOffsetX"], columns["AxisOffsetY"]], axis=1) / size
    used = _used(root, tilt.size, path)
    level_x, level_y = (_attribute(root, name, path) for name in ("LevelAngleX", "LevelAngleY"))
    acquisition, uses = _acquisition(root, tilt.size, path)
    warnings = [
        f"{path.name}: {name} is not used (local movements)" for name in _NOT_USED if _is_nonzero(root, name, path)
    ]
    magnification = root.get("MagnificationCorrection", _UNIT)
    if parse_numbers(magnification, file=path, field="MagnificationCorrection") != [1, 0, 0, 1]:
        warnings.append(f"{path.name}: MagnificationCorrection {magnification[:40]} is not applied")
    normal = root.get("PlaneNormal", "0, 0, 0")
    uses = [
        *(FieldUse(name, "used", f"{tilt.size} views") for name in ("Angles", *_PER_VIEW)),
        FieldUse("UseTilt", "used", f"{int((~used).sum())} views left out"),
        FieldUse("LevelAngleX, LevelAngleY", "used", f"{level_x:g}, {level_y:g} degrees"),
        FieldUse("AreAnglesInverted", "read", root.get("AreAnglesInverted", "False") + ": of the defocus gradient"),
        FieldUse("PlaneNormal", "not used", normal),
        FieldUse("Grid...", "not used", "local movements and warps"),
        *uses,
    ]
    return AlignmentFile(
        path=path,
        kind="Warp XML",
        alignment=Alignment(
            tilt_deg=tilt,
            transform=np.concatenate([matrix.reshape(-1, 4), -np.einsum("nij,nj->ni", matrix, offset)], axis=1),
            x_tilt_deg=np.full(tilt.size, level_x),
            used=used,
            files=(path,),
            tilt_offset_deg=level_y,
        ),
        files=(path,),
        fields=tuple(uses),
        warnings=tuple(warnings),
        pixel_size_angstrom=size,
        acquisition=acquisition,
    )


def read_warp_acquisition(path: PathLike) -> AcquisitionFile:
    """Read dose, defocus and optics from Warp's ``.xml`` or ``.tomostar``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        If it has none of them.
    """
    path = Path(path)
    if path.suffix.lower() == ".tomostar":
        return _tomostar(path)
    root = _root(path)
    tilt = _numbers(root, "Angles", path)
    if tilt is None:
        raise InputError("no Angles", file=path, remedy="give the .xml of a tilt series")
    acquisition, uses = _acquisition(root, tilt.size, path)
    return AcquisitionFile(path, "Warp XML", acquisition, tuple(uses), tilt_deg=tuple(map(float, tilt)))


def _tomostar(path: Path) -> AcquisitionFile:
    blocks = [block for block in read_star(path) if "wrpAngleTilt" in block]
    if len(blocks) != 1:
        raise InputError("no table with _wrpAngleTilt", file=path, remedy="give the .tomostar of a tilt series")
    block = blocks[0]
    tilt = block.numbers("wrpAngleTilt", limit=90)
    uses = [FieldUse("_wrpAngleTilt", "read", f"{len(tilt)} views")]
    dose = np.array(block.numbers("wrpDose", limit=1e5)) if "wrpDose" in block else None
    if dose is not None:
        uses.append(FieldUse("_wrpDose", "used", "dose before each view"))
    if "wrpAxisAngle" in block:
        axes = block.numbers("wrpAxisAngle", limit=360)
        uses.append(FieldUse("_wrpAxisAngle", "read", f"{axes[0]:g}"))
    named = {use.name[1:] for use in uses}
    left = [f"_{label}" for label in block.labels if label not in named]
    if left:
        uses.append(FieldUse(", ".join(left[:12]), "not used"))
    acquisition = Acquisition(len(tilt), prior_dose_e_per_a2=dose, order=_order(dose))
    return AcquisitionFile(path, "Warp .tomostar", acquisition, tuple(uses), tilt_deg=tuple(tilt))


def _root(path: Path) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        with open_regular(path) as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
    if len(raw) > _MOST_BYTES:
        raise InputError("too large for the .xml of a tilt series", file=path)
    try:
        root: Element = fromstring(raw)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        place = getattr(error, "position", None)
        raise InputError(
            "is no XML that can be read", file=path, field=f"line {place[0]}" if place else None,
            remedy="give the whole file as Warp wrote it",
        ) from error  # fmt: skip
    if root.tag != "TiltSeries":
        raise InputError(f"XML of {root.tag[:40]!r}, not of a TiltSeries", file=path, remedy="give Warp's .xml")
    return root


def _numbers(root: Element, name: str, path: Path) -> NDArray[np.float64] | None:
    element = root.find(name)
    if element is None or not (element.text or "").strip():
        return None
    words = (element.text or "").split()
    if len(words) > MOST_VIEWS:
        raise InputError(f"{len(words)} values", file=path, field=name, remedy="give the .xml of one tilt series")
    return np.array([parse_number(word, file=path, field=f"{name}, view {i}") for i, word in enumerate(words)])


def _used(root: Element, n_views: int, path: Path) -> NDArray[np.bool_]:
    element = root.find("UseTilt")
    words = ((element.text if element is not None else "") or "").split()
    if not words:
        return np.ones(n_views, dtype=bool)
    truth = {"true": True, "false": False, "1": True, "0": False}
    unknown = next((word for word in words if word.lower() not in truth), None)
    if unknown is not None or len(words) != n_views:
        problem = f"{len(words)} values for {n_views} views" if unknown is None else f"{unknown[:40]!r} is no truth"
        raise InputError(problem, file=path, field="UseTilt", remedy="write True or False for each view")
    used = np.array([truth[word.lower()] for word in words])
    if not used.any():
        raise InputError("no view is used", file=path, field="UseTilt", remedy="select some in Warp")
    return used


def _attribute(root: Element, name: str, path: Path) -> float:
    value = parse_number(root.get(name, "0"), file=path, field=name)
    return check_angle(value, file=path, field=name)


def _parameters(root: Element) -> dict[str, str]:
    return {item.get("Name", ""): item.get("Value", "") for item in root.findall("CTF/Param")}


def _grid(root: Element, name: str, n_views: int, path: Path) -> NDArray[np.float64] | None:
    """A grid of one value, or one value a view, as values of the views; None if it is another one."""
    grid = root.find(name)
    if grid is None:
        return None
    nodes = [(node.get("Z", "0"), node.get("Value", "")) for node in grid.findall("Node")]
    values = [parse_number(value, file=path, field=f"{name}, node {i}") for i, (_, value) in enumerate(nodes)]
    if len(values) == 1:
        return np.full(n_views, values[0])
    if len(values) != n_views:
        return None
    places = [parse_number(z, file=path, field=f"{name}, node {i}") for i, (z, _) in enumerate(nodes)]
    return np.array(values)[np.argsort(places, kind="stable")]


def _is_nonzero(root: Element, name: str, path: Path) -> bool:
    grid = root.find(name)
    if grid is None:
        return False
    values = [parse_number(node.get("Value", "0"), file=path, field=name) for node in grid.findall("Node")]
    return any(value != 0 for value in values)


def _acquisition(root: Element, n_views: int, path: Path) -> tuple[Acquisition, list[FieldUse]]:
    uses: list[FieldUse] = []
    dose = _numbers(root, "Dose", path)
    if dose is not None:
        if dose.size != n_views:
            raise InputError(f"{dose.size} values for {n_views} views", file=path, field="Dose")
        uses.append(FieldUse("Dose", "used", "dose before each view"))
    parameters = _parameters(root)
    defocus = _defocus(root, n_views, path, uses)
    names = {"voltage_kv": "Voltage", "spherical_aberration_mm": "Cs", "amplitude_contrast": "Amplitude"}
    optics = {
        key: parse_number(parameters[name], file=path, field=f"CTF {name}")
        for key, name in names.items()
        if parameters.get(name)
    }
    uses += [FieldUse(f"CTF {names[key]}", "used", f"{value:g}") for key, value in optics.items()]
    acquisition = Acquisition(
        n_views,
        prior_dose_e_per_a2=dose,
        order=_order(dose),
        defocus_um=defocus,
        voltage_kv=optics.get("voltage_kv"),
        spherical_aberration_mm=optics.get("spherical_aberration_mm"),
        amplitude_contrast=optics.get("amplitude_contrast"),
    )
    return acquisition, uses


def _defocus(root: Element, n_views: int, path: Path, uses: list[FieldUse]) -> NDArray[np.float64] | None:
    """Warp's defocus in micrometres: the mean of both axes, their difference, and the angle of the first."""
    mean = _grid(root, "GridCTF", n_views, path)
    if mean is None or not mean.any():
        # A grid of zeros is a series whose defocus has not been fitted.
        uses.append(FieldUse("GridCTF", "not used", "no defocus of each view"))
        return None
    delta, angle = (_grid(root, f"GridCTFDefocus{name}", n_views, path) for name in ("Delta", "Angle"))
    half = np.zeros(n_views) if delta is None else delta / 2
    uses.append(FieldUse("GridCTF, GridCTFDefocusDelta, GridCTFDefocusAngle", "used", "defocus of each view"))
    return np.stack([mean + half, mean - half, np.zeros(n_views) if angle is None else angle], axis=1)


def _order(dose: NDArray[np.float64] | None) -> NDArray[np.int_] | None:
    if dose is None or np.unique(dose).size != dose.size:
        return None
    return np.argsort(np.argsort(dose))
