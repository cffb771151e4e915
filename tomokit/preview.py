"""Pictures of volumes: central slices, laid out to one scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.io.output import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100
_LONGEST_PX = 1300  # of all panels of one volume, along the longer side
_GAP_PX = 10
_MARGIN_PX = 26
_TITLE_PX = 52
_TEXT_COLOUR = "#222222"


def central_slices(values_zyx: NDArray[np.floating], slab: int = 1) -> dict[str, NDArray[np.float32]]:
    """Cut the three central slices of a volume, averaged over `slab` voxels across.

    Parameters
    ----------
    values_zyx : ndarray, shape (n_z, n_y, n_x)
        Densities ``[z, y, x]``; may be memory-mapped, only the slices are read.
    slab : int
        Thickness in voxels; a volume thinner than that is averaged as a whole.

    Returns
    -------
    dict of str to ndarray of float32
        ``"xy"`` (n_y, n_x), ``"xz"`` (n_z, n_x) and ``"yz"`` (n_y, n_z), the last with y upright, as it lies beside
        ``"xy"``. A slice of one voxel is that of index ``n // 2``.

    Raises
    ------
    InputError
        If the volume has not three axes or no voxel.
    OptionError
        If `slab` is less than 1.
    """
    if values_zyx.ndim != 3 or values_zyx.size == 0:
        raise InputError(f"{values_zyx.shape} is not the shape of a volume", field="shape")
    if slab < 1:
        raise OptionError(f"slab of {slab} voxels", field="slab", remedy="give at least 1")
    z, y, x = (_central_range(n, slab) for n in values_zyx.shape)
    return {
        "xy": values_zyx[z].mean(axis=0, dtype=np.float32),
        "xz": values_zyx[:, y].mean(axis=1, dtype=np.float32),
        "yz": np.ascontiguousarray(values_zyx[:, :, x].mean(axis=2, dtype=np.float32).T),
    }


def write_preview(
    path_png: str | PathLike[str],
    values_zyx: NDArray[np.floating],
    *,
    voxel_size_angstrom: float | None,
    title: str,
    overwrite: bool = False,
    slab: int = 1,
    percentiles: tuple[float, float] = (0.5, 99.5),
    description: str = "",
) -> None:
    """Draw the central slices of a volume: xy, below it xz, to its right yz, all to one scale.

    Parameters
    ----------
    path_png : path-like
        Picture to be written, in PNG format, all or nothing.
    values_zyx : ndarray, shape (n_z, n_y, n_x)
        Densities; may be memory-mapped, only the slices are read.
    voxel_size_angstrom : float or None
        Edge of a voxel in ångström, for the scale bar; None if it is unknown, and the bar is in voxels then.
    title : str
        Headline.
    overwrite : bool
        Whether an existing file may be replaced.
    slab : int
        Voxels across each slice to average over.
    percentiles : tuple of float
        Percentiles of the three slices, 0 to 100, that are drawn black and white.
    description : str
        Text for the ``Description`` in the file's metadata, which the picture does not show.

    Raises
    ------
    InputError, OptionError
        As :func:`central_slices`.
    OutputError
        If the file exists or cannot be written.
    """
    picture = draw_preview(
        values_zyx,
        voxel_size_angstrom=voxel_size_angstrom,
        title=title,
        slab=slab,
        percentiles=percentiles,
        description=description,
    )
    with new_file(path_png, overwrite) as temporary:
        temporary.write_bytes(picture)


def draw_preview(
    values_zyx: NDArray[np.floating],
    *,
    voxel_size_angstrom: float | None,
    title: str,
    slab: int = 1,
    percentiles: tuple[float, float] = (0.5, 99.5),
    description: str = "",
) -> bytes:
    """Draw what :func:`write_preview` writes.

    Parameters
    ----------
    values_zyx, voxel_size_angstrom, title, slab, percentiles, description
        As of :func:`write_preview`.

    Returns
    -------
    bytes
        The picture, in PNG format.

    Raises
    ------
    InputError, OptionError
        As :func:`central_slices`.
    """
    slices = central_slices(values_zyx, slab)
    low, high = _grey_range(slices.values(), percentiles)
    caption = f"{_size_text(values_zyx, voxel_size_angstrom)}, {_slab_text(slab)}, grey {low:.3g} to {high:.3g}"
    # Sizes along x and z add up across, those along y and z upward.
    n_z, n_y, n_x = values_zyx.shape
    zoom = _zoom(n_x + n_z, n_y + n_z)
    canvas = _Canvas(zoom * (n_x + n_z) + _GAP_PX, zoom * (n_y + n_z) + _GAP_PX, title, caption)
    below = zoom * n_z + _GAP_PX
    style = {"cmap": "gray", "vmin": low, "vmax": high}
    canvas.panel(slices["xy"], 0, below, zoom, style, left="xy")
    canvas.panel(slices["xz"], 0, 0, zoom, style, left="xz")
    canvas.panel(slices["yz"], zoom * n_x + _GAP_PX, below, zoom, style, top="yz")
    canvas.scale_bar(n_x, zoom, voxel_size_angstrom)
    return canvas.png(description)


def write_comparison(
    path_png: str | PathLike[str],
    values_zyx: NDArray[np.floating],
    truth_zyx: NDArray[np.floating],
    *,
    voxel_size_angstrom: float | None,
    title: str,
    overwrite: bool = False,
    slab: int = 1,
    percentiles: tuple[float, float] = (0.5, 99.5),
) -> None:
    """Draw a volume, the truth and their difference side by side: xy above, xz below, all to one scale.

    Volume and truth have the truth's contrast; the difference (volume less truth) has its own, symmetric about zero.

    Parameters
    ----------
    path_png : path-like
        Picture to be written, in PNG format, all or nothing.
    values_zyx, truth_zyx : ndarray, shape (n_z, n_y, n_x)
        Densities of the volume and of the truth, in one unit; may be memory-mapped, only the slices are read.
    voxel_size_angstrom : float or None
        Edge of a voxel in ångström, for the scale bar; None if it is unknown, and the bar is in voxels then.
    title : str
        Headline.
    overwrite : bool
        Whether an existing file may be replaced.
    slab : int
        Voxels across each slice to average over.
    percentiles : tuple of float
        Percentiles of the truth's slices, 0 to 100, that are drawn black and white; those of the difference that are
        drawn in full colour.

    Raises
    ------
    InputError
        If the shapes differ; or as :func:`central_slices`.
    OptionError
        As :func:`central_slices`.
    OutputError
        If the file exists or cannot be written.
    """
    if values_zyx.shape != truth_zyx.shape:
        problem = f"a volume of shape {values_zyx.shape} beside a truth of shape {truth_zyx.shape}"
        raise InputError(problem, field="shape")
    slices, truth = central_slices(values_zyx, slab), central_slices(truth_zyx, slab)
    difference = {name: slices[name] - truth[name] for name in slices}
    low, high = _grey_range(truth.values(), percentiles)
    # Blue and red of the same strength are deviations of the same size.
    extent = max(map(abs, _grey_range(difference.values(), percentiles)))
    caption = (
        f"{_size_text(values_zyx, voxel_size_angstrom)}, {_slab_text(slab)}, "
        f"grey {low:.3g} to {high:.3g}, difference blue {-extent:.3g} to red {extent:.3g}"
    )
    n_z, n_y, n_x = values_zyx.shape
    zoom = _zoom(2 * n_x, n_y + n_z)
    canvas = _Canvas(3 * zoom * n_x + 2 * _GAP_PX, zoom * (n_y + n_z) + _GAP_PX, title, caption)
    grey = {"cmap": "gray", "vmin": low, "vmax": high}
    signed = {"cmap": "RdBu_r", "vmin": -extent, "vmax": extent}
    for column, (name, images, style) in enumerate(
        (("volume", slices, grey), ("truth", truth, grey), ("volume - truth", difference, signed))
    ):
        start = column * (zoom * n_x + _GAP_PX)
        first = column == 0
        canvas.panel(images["xy"], start, zoom * n_z + _GAP_PX, zoom, style, left="xy" if first else "", top=name)
        canvas.panel(images["xz"], start, 0, zoom, style, left="xz" if first else "")
    canvas.scale_bar(n_x, zoom, voxel_size_angstrom)
    picture = canvas.png()
    with new_file(path_png, overwrite) as temporary:
        temporary.write_bytes(picture)


class _Canvas:
    """A figure in pixels: title and caption above, panels placed from the lower left, the scale bar beneath them."""

    def __init__(self, width_px: float, height_px: float, title: str, caption: str) -> None:
        # The object interface: no global state, no display, safe in any thread.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width = max(width_px, 640.0) + 2 * _MARGIN_PX
        self.height = height_px + 2 * _MARGIN_PX + _TITLE_PX + 10
        self.figure: Figure = Figure(figsize=(self.width / _DPI, self.height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self._write_text(_MARGIN_PX, self.height - 24, title, 12)
        self._write_text(_MARGIN_PX, self.height - 44, caption, 8.5)

    def panel(
        self,
        image: NDArray[np.float32],
        left_px: float,
        bottom_px: float,
        zoom: float,
        style: dict[str, Any],
        *,
        left: str = "",
        top: str = "",
    ) -> None:
        """Draw one slice at a place in pixels, its first row at the bottom, with labels outside it."""
        n_up, n_across = image.shape
        x, y = _MARGIN_PX + left_px, _MARGIN_PX + 10 + bottom_px
        box = (x / self.width, y / self.height, zoom * n_across / self.width, zoom * n_up / self.height)
        axes = self.figure.add_axes(box)
        axes.imshow(image, origin="lower", aspect="auto", **style)
        axes.set_axis_off()
        if left:
            self._write_text(x - 6, y + zoom * n_up / 2, left, 9, ha="right", va="center", rotation=90)
        if top:
            self._write_text(x + zoom * n_across / 2, y + zoom * n_up + 5, top, 9, ha="center")

    def scale_bar(self, n_x: int, zoom: float, voxel_size_angstrom: float | None) -> None:
        """Draw a bar of a round length, about a quarter of the first panel's width, beneath it."""
        from matplotlib.lines import Line2D

        voxel = 1.0 if voxel_size_angstrom is None else voxel_size_angstrom
        length = _round_length(0.3 * n_x * voxel)
        if voxel_size_angstrom is None:
            length = max(1.0, length)  # a part of a voxel is no measure
        end = _MARGIN_PX + zoom * length / voxel
        xs, ys = np.array([_MARGIN_PX, end]) / self.width, np.array([18, 18]) / self.height
        self.figure.add_artist(Line2D(xs, ys, color=_TEXT_COLOUR, linewidth=3, solid_capstyle="butt"))
        self._write_text(end + 8, 17, _length_text(length, voxel_size_angstrom is not None), 9, va="center")

    def png(self, description: str = "") -> bytes:
        """The picture in PNG format."""
        stream = BytesIO()
        self.figure.savefig(stream, format="png", dpi=_DPI, metadata={"Description": description})
        return stream.getvalue()

    def _write_text(self, x_px: float, y_px: float, text: str, size: float, **style: Any) -> None:
        # A file name may hold a dollar sign, which is no mathematics.
        x, y = x_px / self.width, y_px / self.height
        # And a name that is not UTF-8 has characters that no font can have.
        text = text.encode("utf-8", "replace").decode("utf-8")
        artist = self.figure.text(x, y, text, fontsize=size, color=_TEXT_COLOUR, parse_math=False, **style)
        # Only the drawn text knows its width: it is shortened in proportion until it ends within the picture.
        room = self.width - _MARGIN_PX / 2
        while len(text) > 1 and (excess := artist.get_window_extent().x1 / room) > 1:
            text = text[: min(len(text) - 1, int(len(text) / excess))]
            artist.set_text(text + "…")


def _central_range(n: int, slab: int) -> slice:
    """The middle `slab` voxels of an axis of `n`, or all if there are fewer."""
    thickness = min(slab, n)
    start = n // 2 - thickness // 2
    return slice(start, start + thickness)


def _grey_range(images: Iterable[NDArray[np.float32]], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Values at the percentiles of all finite pixels; never equal."""
    pooled = np.concatenate([image.ravel() for image in images])
    finite = pooled[np.isfinite(pooled)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, percentiles))
    if not high > low:
        # Nearly everything is of one value: show what is not.
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _zoom(n_across: int, n_up: int) -> float:
    """Screen pixels per voxel; whole if above 1, so that voxels stay even."""
    zoom = _LONGEST_PX / max(n_across, n_up)
    return float(math.floor(zoom)) if zoom >= 1 else zoom


def _round_length(greatest: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is at most `greatest`."""
    power = 10.0 ** math.floor(math.log10(greatest))
    return max(step * power for step in (1, 2, 5) if step * power <= greatest * (1 + 1e-9))


def _length_text(length: float, in_angstrom: bool) -> str:
    if not in_angstrom:
        return f"{length:g} voxel{'' if length == 1 else 's'}"
    return f"{length / 10:g} nm" if length >= 10 else f"{length:g} Å"


def _size_text(values_zyx: NDArray[np.floating], voxel_size_angstrom: float | None) -> str:
    n_z, n_y, n_x = values_zyx.shape
    voxel_size = ", voxel size unknown" if voxel_size_angstrom is None else f" of {voxel_size_angstrom:.4g} Å"
    return f"{n_x} x {n_y} x {n_z} voxels (x, y, z){voxel_size}"


def _slab_text(slab: int) -> str:
    return "central slices" if slab == 1 else f"central {slab} slices averaged"
