"""The command ``tomokit simulate``: a specimen's tilt series and its true volume."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands import completion
from tomokit.commands.output import AsJson, Overwrite, show

_NOISE_OF_SHELLS = 0.1
_SNR_OF_CROWDED = 0.7
_IMAGING, _ALIGNMENT, _DOSE = "Contrast and intensity", "Misalignment", "Dose and detector"


def _option(metavar: str, help_text: str, panel: str | None = None) -> Any:
    complete = completion.one_of(*metavar.split("|")) if "|" in metavar else None
    return typer.Option(
        metavar=metavar, help=help_text, rich_help_panel=panel, show_default=False, autocompletion=complete
    )


def simulate(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the files; made if missing.")],
    specimen: Annotated[
        str,
        typer.Option(
            metavar="shells|crowded",
            help="Shells that every view holds, or a slab as crowded as a cell that goes on beyond the field.",
            autocompletion=completion.one_of("shells", "crowded"),
        ),
    ] = "shells",
    shape: Annotated[str, typer.Option(metavar="Z,Y,X", help="Size of the specimen in voxels.")] = "64,256,256",
    tilts: Annotated[str, typer.Option(metavar="START:STOP:STEP", help="Tilt angles in degrees.")] = "-70:69.5:1.5",
    pixel_size: Annotated[float, typer.Option(metavar="A", help="Edge of a pixel in ångström.")] = 10.0,
    noise: Annotated[
        float | None,
        _option("SIGMA", "Standard deviation of the noise, relative to projections scaled to [0, 1]; shells: 0.1."),
    ] = None,
    snr: Annotated[
        float | None,
        _option("RATIO", "In its place: variance of the noise-free views over that of the noise; crowded: 0.7."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random specimen, noise and faults.")] = 0,
    gold: Annotated[int, _option("N", "Gold beads in the field, on a crowded slab.")] = 0,
    offsets: Annotated[
        float, _option("SIGMA", "Standard deviation of what is added to each view, in contrasts.", _IMAGING)
    ] = 0.0,
    drift: Annotated[
        float, _option("D", "Rise of the intensity from the first view taken to the last, in contrasts.", _IMAGING)
    ] = 0.0,
    gain: Annotated[float, _option("SIGMA", "Standard deviation of the factor of each view about 1.", _IMAGING)] = 0.0,
    defocus: Annotated[
        float | None, _option("UM", "Underfocus in micrometres: contrast transfer is applied.", _IMAGING)
    ] = None,
    voltage: Annotated[float | None, _option("KV", "Acceleration voltage; default 300.", _IMAGING)] = None,
    cs: Annotated[float | None, _option("MM", "Spherical aberration; default 2.7.", _IMAGING)] = None,
    amplitude_contrast: Annotated[float | None, _option("A", "Amplitude contrast; default 0.07.", _IMAGING)] = None,
    defocus_gradient: Annotated[
        str | None, _option("on|inverted|off", "How the tilt changes the defocus; default on.", _IMAGING)
    ] = None,
    shift_error: Annotated[
        float, _option("PX", "Standard deviation of each view's shift along each axis, at most 16.", _ALIGNMENT)
    ] = 0.0,
    tilt_error: Annotated[
        float, _option("DEG", "Standard deviation of the tilt angles' errors, at most 1.", _ALIGNMENT)
    ] = 0.0,
    axis_rotation: Annotated[
        float, _option("DEG", "Angle of the tilt axis from y, counter-clockwise.", _ALIGNMENT)
    ] = 0.0,
    dose: Annotated[float | None, _option("E", "Electrons per square ångström of each view.", _DOSE)] = None,
    order: Annotated[
        str, _option("dose-symmetric|sequential", "Order of acquisition; default dose-symmetric.", _DOSE)
    ] = "dose-symmetric",
    fading: Annotated[
        bool, typer.Option("--fading", help="High frequencies fade with the dose.", rich_help_panel=_DOSE)
    ] = False,
    counting: Annotated[
        bool, typer.Option("--counting", help="Views are counts of electrons.", rich_help_panel=_DOSE)
    ] = False,
    mean_free_path: Annotated[
        float | None, _option("A", "With --counting: of electrons in ice, in ångström; default 3000.", _DOSE)
    ] = None,
    mtf: Annotated[
        float, _option("M", "With --counting: modulation transfer of the detector at Nyquist.", _DOSE)
    ] = 1.0,
    hot_pixels: Annotated[int, _option("N", "Pixels of each view that are far too bright.", _DOSE)] = 0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Simulate a tilt series of a known specimen.

    Writes tilts.mrc, tilts.tlt and truth.mrc, and what is true of each fault. Without --counting the projections are
    line integrals in density times pixels.
    """
    from tomokit.data.ctf import Optics
    from tomokit.errors import OptionError
    from tomokit.phantom import Faults, parse_shape, parse_tilts, simulate_experiment
    from tomokit.phantom.crowded import Reach, needed_bytes
    from tomokit.phantom.files import check_simulation, names_of, write_simulation
    from tomokit.pipeline.memory import check_memory

    shape_zyx, tilt_deg = parse_shape(shape), parse_tilts(tilts)
    if noise is None and snr is None and not counting:
        noise, snr = (None, _SNR_OF_CROWDED) if specimen == "crowded" else (_NOISE_OF_SHELLS, None)
    for given, option in (
        (cs, "--cs"),
        (amplitude_contrast, "--amplitude-contrast"),
        (defocus_gradient, "--defocus-gradient"),
    ):
        if given is not None and defocus is None:
            raise OptionError("without --defocus", field=option, remedy="give --defocus, or leave it out")
    if voltage is not None and defocus is None and not fading:
        raise OptionError(
            "without --defocus or --fading", field="--voltage", remedy="give one of them, or leave it out"
        )
    if mean_free_path is not None and not counting:
        raise OptionError("without --counting", field="--mean-free-path", remedy="give --counting, or leave it out")
    faults = Faults(
        noise=noise,
        snr=snr,
        offsets=offsets,
        drift=drift,
        gain=gain,
        defocus_um=defocus,
        optics=Optics(
            300.0 if voltage is None else voltage,
            2.7 if cs is None else cs,
            0.07 if amplitude_contrast is None else amplitude_contrast,
        ),
        defocus_gradient="on" if defocus_gradient is None else defocus_gradient,
        shift_error_px=shift_error,
        tilt_error_deg=tilt_error,
        axis_rotation_deg=axis_rotation,
        dose_e_per_a2=dose,
        order=order,
        fading=fading,
        counting=counting,
        mean_free_path_angstrom=3000.0 if mean_free_path is None else mean_free_path,
        mtf=mtf,
        hot_pixels=hot_pixels,
    )
    n_z, n_y, n_x = shape_zyx
    # Volumes and stacks of float32 that are held at once, on the way included.
    needed = 4 * n_y * n_x * (3 * n_z + 3 * tilt_deg.size)
    if specimen == "crowded":
        needed += needed_bytes(shape_zyx, Reach.of_views(shape_zyx, tilt_deg), pixel_size)
    check_memory(needed, f"a phantom of {n_x} x {n_y} x {n_z} voxels", "give a smaller --shape")
    names = names_of(
        settings=specimen != "shells" or not faults.none or snr is not None,
        misaligned=faults.misaligned,
        dose=dose is not None,
        defocus=defocus is not None,
    )
    is_new = _make_folder(out_dir)
    try:
        check_simulation(out_dir, names, overwrite=overwrite)
        found = simulate_experiment(
            shape_zyx, tilt_deg, seed, specimen=specimen, gold=gold, faults=faults, pixel_size_angstrom=pixel_size
        )
        paths = write_simulation(out_dir, names, found, overwrite=overwrite)
    except BaseException:
        # A folder made for nothing is litter.
        if is_new:
            with suppress(OSError):
                out_dir.rmdir()
        raise
    result = {
        **{what: str(path) for what, path in paths.items()},
        "shape": list(shape_zyx),
        "views": int(tilt_deg.size),
        "noise": noise or 0.0,
        "seed": seed,
        "pixel_size_angstrom": found.series.pixel_size_angstrom,
        **found.series.provenance,
    }
    how = "counts" if counting else f"noise {noise:g}" if noise is not None else f"signal to noise {snr:g}"
    lines = {
        "tilts": f"{paths['tilts']}: {tilt_deg.size} views of {n_x} x {n_y}, {how}",
        "truth": f"{paths['truth']}: {n_x} x {n_y} x {n_z}",
    }
    text = "\n".join(lines.get(what, str(path)) for what, path in paths.items())
    show(result, text, json, list(paths.values()))


def _make_folder(folder: Path) -> bool:
    """Make `folder` if it is missing; whether it was."""
    from tomokit.errors import OutputError

    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise OutputError("is not a folder", file=folder, remedy="give another name") from None
        return False
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", file=folder, remedy="give another folder") from error
    return True
