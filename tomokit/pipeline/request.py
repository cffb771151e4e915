"""What a user asks for, as one value: every option of ``tomokit reconstruct``, checked for type and bounds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tomokit.io.output_names import MODES, ORIENTATIONS, Mode, Orientation, path_beside
from tomokit.plugin.options import option

if TYPE_CHECKING:
    from tomokit.io.output_form import OutputForm

FILES = ("stack", "angles", "mask", "xf", "alignment", "mask_beads", "dose", "ctf")
"""Fields that name an input, by which a state finds it again."""


@dataclass(frozen=True)
class ReconstructionRequest:
    """A reconstruction to be done, with every option of ``tomokit reconstruct``.

    Field names are the option names, and the keys of a configuration file. What each means is its help text.

    Attributes
    ----------
    stack : Path
        The tilt series.
    output : Path or None
        The tomogram to be written; its preview lies beside it, ``OUT.png`` for ``OUT.mrc``. None writes nothing.
    overwrite : bool
        Whether existing outputs may be replaced.
    method, backend : str
        Which method, and where it is computed.
    thickness, bin : int
        Extent along z in pixels of the stack as given, and the edge of the squares of pixels that are averaged first.
    angles, mask, xf, alignment : Path or None
        Files beside the stack: tilt angles, mask, transforms, or all that an alignment says.
    mask_beads : Path or None
        A model of beads to be masked, or ``auto`` for those that are found.
    y : str or None
        Rows along the tilt axis that are reconstructed, ``A:B``, before binning; None for all.
    slabs : int or None
        In how many slabs along the tilt axis the volume is reconstructed; None for as many as memory asks for.
    allow_unsorted : bool
        Whether angles may be in order of acquisition.
    aligned : bool
        Whether the stack counts as aligned whatever lies beside it.
    tilt_offset, x_tilt : float or None
        Degrees added to every angle, and the specimen's rotation about x; None for what the alignment says, or 0.
    pixel_size : float or None
        Ångström per pixel; None for the header's.
    x_tilt_error : float
        How far x-axis tilts that vary may misplace the faces of the volume, in pixels.
    center, size : str or None
        Where the volume has its centre, and its extents, ``X,Y,Z``, before binning.
    linearization, percentiles, offsets : str, tuple of float or None, str
        How images become projections, by which percentiles they are scaled, and which views get an offset.
    halves : bool
        Whether two halves of the views are reconstructed too, alike, and compared.
    half, exclude, exclude_from_1, hold_out : str or None, str or None, str or None, int or str or None
        Which views are kept, left out (counted from 0, or from 1), and scored without being fitted.
    refine : str or None
        What of the alignment is refined before the fit.
    keep_views : bool
        Whether views that hold no image are used all the same.
    padding : str
        Whether constant edges of an aligned stack are masked or kept.
    x_rays : str
        Whether isolated extreme pixels are replaced or kept.
    dose, dose_weighting : Path or None, str
        Dose of the views, and whether they are filtered by it.
    ctf, ctf_correction, voltage, cs, amplitude_contrast, defocus_gradient : Path or None, str and float or None
        Defocus of the views; whether phases are flipped by it or views are predicted through it; the microscope; and
        how the tilt changes the defocus.
    view_weights : str
        By what views are weighed in the data term.
    seed, threads : int
        Seed of every random choice; threads, None for all.
    state, state_epochs, state_seconds : Path or None, int or None, float or None
        Where the run is saved, and how often: after so many epochs, or seconds.
    orientation, mode, invert_contrast, output_bin : str, str, bool, int
        The form in which the tomogram is written (:class:`tomokit.io.output_form.OutputForm`).
    naming : str
        The program after whose manner the tomogram is named, in a folder that is given as output.
    preview : bool
        Whether a picture is written beside the tomogram.
    options : dict
        Options of the method, typed or as strings.
    """

    stack: Path
    output: Path | None = None
    overwrite: bool = False
    method: str = option("octree", "Reconstruction method; `tomokit plugins list` shows them.")
    thickness: int | None = option(
        None, "Extent of the tomogram along z, in pixels of the stack as given (before --bin).", minimum=1
    )
    angles: Path | None = option(
        None,
        "File of the tilt angles in degrees, START:STOP:STEP, or `header` for those of the stack's extended header; "
        "default: the .tlt, .rawtlt or .mdoc beside the stack, else the header.",
    )
    allow_unsorted: bool = option(
        False, "Take angles that neither rise nor fall throughout, for a stack in order of acquisition."
    )
    mask: Path | None = option(
        None, "Mask stack, or one image for all views: 1 where a pixel is used, 0 on beads and padding."
    )
    xf: Path | None = option(None, "IMOD transforms that take the raw stack to the aligned one, tilt axis vertical.")
    alignment: Path | None = option(
        None, "Alignment of the raw stack: transforms as of --xf, and all else that the file says of the geometry."
    )
    mask_beads: Path | None = option(
        None,
        "Mask gold beads: those of a model (IMOD's .fid or .mod, or text of model2point), or those that are found in "
        "the aligned views (auto).",
    )
    aligned: bool = option(
        False,
        "Take the stack as aligned, tilt axis vertical, although its header or files beside it say that it is raw.",
    )
    tilt_offset: float | None = option(
        None,
        "Degrees added to every tilt angle, to level a tilted specimen; in place of the offset (OFFSET of tilt.com) "
        "that an alignment says beside its angles.",
    )
    x_tilt: float | None = option(
        None,
        "The specimen's rotation about the x axis in degrees, to level it: IMOD's XAXISTILT; in place of that of an "
        "alignment. The tomogram is reconstructed about the tilt axis, and turned by a cubic spline.",
    )
    x_tilt_error: float = option(
        5.0,
        "Largest error in pixels, at the faces of the volume, that is accepted where the x-axis tilts of an alignment "
        "vary from view to view.",
        minimum=0.0,
    )
    pixel_size: float | None = option(
        None, "Ångström per pixel of the stack as given, in place of the header's.", minimum=1e-6
    )
    linearization: str = option(
        "auto",
        "How images become projections: log (intensities), linear (line integrals), invert (zero-mean, dark specimen), "
        "or as the images themselves suggest (auto).",
        choices=("auto", "log", "linear", "invert"),
    )
    percentiles: tuple[float, float] | None = option(
        None,
        "Scale the images by these percentiles of their pixels, LOW,HIGH, in place of the extremes.",
        minimum=0,
        maximum=100,
    )
    offsets: str = option(
        "auto",
        "Additive intensity offset of each view: fitted, zero, or fitted where the specimen fills the field (auto).",
        choices=("auto", "fit", "zero"),
    )
    y: str | None = option(
        None,
        "Reconstruct only rows A to B - 1 along the tilt axis, A:B, from 0 in the stack as given (before --bin).",
    )
    center: str | None = option(
        None,
        "Centre of the tomogram, X,Y,Z in pixels of the stack (before --bin) from the tilt axis at the middle of the "
        "views; default: 0,0,0, or as the alignment moves it (IMOD's SHIFT with its sign changed).",
    )
    size: str | None = option(
        None,
        "Extents of the tomogram, X,Y,Z in pixels of the stack (before --bin), in place of --thickness and --y; "
        "default: the views' width and height.",
    )
    bin: int = option(
        1, "Average squares of N x N pixels first; the tomogram's voxels are as large.", minimum=1, maximum=64
    )
    half: str | None = option(
        None,
        "Keep only views of even or odd index, for one of two independent half tomograms.",
        choices=("even", "odd"),
    )
    halves: bool = option(
        False,
        "Reconstruct two halves of the views too, every other one, on the same grid and with the same weights; write "
        "both, their Fourier shell correlation, and maps of agreement, noise, coverage and trust.",
    )
    exclude: str | None = option(None, "Views to leave out, counted from 0 in the stack, such as 0,3,7-9.")
    exclude_from_1: str | None = option(
        None, "The same counted from 1, as IMOD's EXCLUDELIST and 3dmod do, such as 1,4,8-10; not with --exclude."
    )
    refine: str | None = option(
        None,
        "Refine the alignment before the fit: some of shifts,angles,rotation,magnification, between commas. Each view "
        "is moved to where the others predict it; OUT_refined.xf and OUT_refined.tlt say how.",
    )
    hold_out: int | str | None = option(
        None,
        "Leave views with index % N == N // 2 out of the fit, or those with index % N == K (N:K), and score how well "
        "they are predicted.",
        minimum=2,
    )
    keep_views: bool = option(
        False, "Use views that are black, constant or far darker than their neighbours, in place of leaving them out."
    )
    padding: str = option(
        "mask",
        "Edges of an aligned stack that are filled with a constant, where there is no image: masked, or kept.",
        choices=("mask", "keep"),
    )
    x_rays: str = option(
        "replace",
        "Isolated extreme pixels, as of x-rays and hot or dead pixels: replaced by the median around them, or kept.",
        choices=("replace", "keep"),
    )
    dose: Path | None = option(
        None,
        "Dose of the views for --dose-weighting: electrons per square ångström of each; an .mdoc, STAR or Warp's .xml; "
        "or a line for each view (dose before it and its own, or one number); default: the .mdoc beside the stack.",
    )
    dose_weighting: str = option(
        "off",
        "Filter each view by how much of every frequency its accumulated dose has left (Grant and Grigorieff 2015).",
        choices=("off", "on"),
    )
    ctf: Path | None = option(
        None,
        "Defocus of the views: a line of micrometres for each, .defocus, CTFFIND's text, STAR or Warp's .xml; phases "
        "are flipped where the CTF is negative.",
    )
    ctf_correction: str = option(
        "flip",
        "What --ctf does: flip phases before the fit, or leave the views as they are and predict them through their "
        "CTF, all of it or from its first peak on (octree, tv and sirt, on the CPU).",
        choices=("flip", "model", "model-from-peak"),
    )
    voltage: float | None = option(
        None, "Acceleration voltage in kV, for --ctf and --dose-weighting; default: the file's.", minimum=1.0
    )
    cs: float | None = option(None, "Spherical aberration in mm, for --ctf; default: the file's, else 2.7.")
    amplitude_contrast: float | None = option(
        None, "Fraction of amplitude contrast, for --ctf; default: the file's, else 0.07.", minimum=0.0, maximum=0.999
    )
    defocus_gradient: str = option(
        "on",
        "How --ctf takes the tilt into account: defocus rising towards +x at positive tilt, as with IMOD (on), falling "
        "(inverted), or the same in the whole view (off).",
        choices=("on", "inverted", "off"),
    )
    view_weights: str = option(
        "off",
        "Weigh views in the data term by the inverse variance of their measured noise, by the cosine of their tilt, or "
        "equally (off).",
        choices=("off", "noise", "tilt"),
    )
    seed: int = option(
        0, "Seed of every random choice; the same seed gives the same tomogram.", minimum=0, maximum=2**63 - 1
    )
    backend: str = option(
        "auto",
        "Where to compute: CPU (cpu), NVIDIA GPU (cuda), a GPU if one runs the method (auto), or slowly in double "
        "precision (reference).",
        choices=("auto", "cpu", "cuda", "reference"),
    )
    state: Path | None = option(
        None, "Save the run in this HDF5 file as it goes on; `tomokit resume` continues it after a stop or a crash."
    )
    state_epochs: int | None = option(None, "Save the state after every N epochs too.", minimum=1)
    state_seconds: float | None = option(
        None, "Save the state when S seconds have passed since the last time; default: 600.", minimum=0.0
    )
    threads: int | None = option(
        None, "Threads of the CPU to use; default: all. Changes no bit of the tomogram.", minimum=1
    )
    slabs: int | None = option(
        None,
        "Reconstruct the volume in N slabs along the tilt axis, one in memory at a time; default: as many as memory "
        "asks for, where the method can. Changes no bit of the tomogram.",
        minimum=1,
    )
    orientation: str = option(
        "xyz",
        "Axes of the MRC that is written, the fastest first: xyz, or xzy with sections along y, as IMOD's tilt writes "
        "a .rec; exchanging two axes makes a mirror image to a program that expects xyz.",
        choices=ORIENTATIONS,
    )
    mode: str = option(
        "float32",
        "Type of the numbers in the MRC: float32; float16, times a power of two; int16, from the lowest density to the "
        "highest; or int8, 5 standard deviations about the mean. The scaling stands in label and provenance.",
        choices=tuple(MODES),
    )
    invert_contrast: bool = option(False, "Write densities with their sign changed, so that what is dense is dark.")
    output_bin: int = option(
        1, "Average cubes of N x N x N voxels of the finished tomogram before it is written.", minimum=1, maximum=64
    )
    naming: str = option(
        "none",
        "Take --output for a folder, and name the tomogram after the stack as a program of the field does: aretomo "
        "(NAME_Vol.mrc), relion (rec_NAME.mrc) or warp (NAME_10.00Apx.mrc).",
        choices=("none", "aretomo", "relion", "warp"),
    )
    preview: bool = option(True, "Write a picture of the central slices beside the tomogram.")
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def form(self) -> OutputForm:
        """The form in which the tomogram is written."""
        from tomokit.io.output_form import OutputForm

        orientation, mode = cast(Orientation, self.orientation), cast(Mode, self.mode)
        return OutputForm(orientation, mode, self.invert_contrast, self.output_bin)

    @property
    def preview_path(self) -> Path | None:
        """Where the picture of the central slices goes; None if none is wanted."""
        if self.output is None or not (self.preview and self.output.name):
            return None
        return path_beside(self.output, ".png")

    @property
    def provenance_path(self) -> Path | None:
        """Where the record of how the tomogram came about goes; None if it goes into the tomogram, or nowhere."""
        return None if self.output is None else provenance_beside(self.output)

    @property
    def refined_paths(self) -> tuple[Path, ...]:
        """Where the refined transforms and angles go; nowhere if none are refined or nothing is written."""
        if self.output is None or self.refine is None:
            return ()
        return path_beside(self.output, "_refined.xf"), path_beside(self.output, "_refined.tlt")

    def settings(self) -> dict[str, Any]:
        """Collect the settings that the summary records: all but stack, outputs and options of the method.

        Returns
        -------
        dict
            JSON-serializable; paths as texts.
        """
        left_out = ("stack", "output", "overwrite", "options", "preview")
        settings = {}
        for item in dataclasses.fields(self):
            if item.name not in left_out:
                value = getattr(self, item.name)
                settings[item.name] = str(value) if isinstance(value, Path) else value
        return settings


def provenance_beside(output: Path) -> Path | None:
    """Name the record of provenance that lies beside an output: ``OUT.provenance.json`` for ``OUT.mrc``.

    Parameters
    ----------
    output : Path

    Returns
    -------
    Path or None
        None for an OME-Zarr, which has room for the record in itself.
    """
    return None if output.suffix.lower() == ".zarr" else path_beside(output, ".provenance.json")
