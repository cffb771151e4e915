"""The command ``tomokit simulate``: a phantom's tilt series and its true volume."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, show


def simulate(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the three files; made if missing.")],
    shape: Annotated[str, typer.Option(metavar="Z,Y,X", help="Size of the specimen in voxels.")] = "64,256,256",
    tilts: Annotated[str, typer.Option(metavar="START:STOP:STEP", help="Tilt angles in degrees.")] = "-70:69.5:1.5",
    noise: Annotated[
        float,
        typer.Option(
            metavar="SIGMA", help="Standard deviation of the noise, relative to projections scaled to [0, 1]."
        ),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the random specimen and noise.")] = 0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Simulate a tilt series of random shells.

    Writes tilts.mrc, tilts.tlt and truth.mrc. The projections are line integrals in density times pixels.
    """
    from tomokit.io import write_stack, write_text, write_volume
    from tomokit.io.output import check_output
    from tomokit.phantom import parse_shape, parse_tilts, simulate_series
    from tomokit.pipeline.memory import check_memory

    shape_zyx, tilt_deg = parse_shape(shape), parse_tilts(tilts)
    n_z, n_y, n_x = shape_zyx
    # Volumes and stacks of float32 that are held at once, on the way included.
    needed = 4 * n_y * n_x * (3 * n_z + 3 * tilt_deg.size)
    check_memory(needed, f"a phantom of {n_x} x {n_y} x {n_z} voxels", "give a smaller --shape")
    images, angles, truth = (out_dir / name for name in ("tilts.mrc", "tilts.tlt", "truth.mrc"))
    is_new = _make_folder(out_dir)
    written: list[Path] = []
    try:
        for path in (images, angles, truth):
            check_output(path, overwrite=overwrite)
        series, volume = simulate_series(shape_zyx, tilt_deg, noise, seed)
        write_stack(images, series, overwrite=overwrite)
        written.append(images)
        write_text(angles, "".join(f"{angle:.10g}\n" for angle in tilt_deg), overwrite=overwrite)
        written.append(angles)
        write_volume(truth, volume, overwrite=overwrite)
    except BaseException:
        # One file of three is of no use, and a folder made for nothing is litter.
        for path in written:
            path.unlink(missing_ok=True)
        if is_new:
            with suppress(OSError):
                out_dir.rmdir()
        raise
    result = {
        "tilts": str(images),
        "angles": str(angles),
        "truth": str(truth),
        "shape": list(shape_zyx),
        "views": int(tilt_deg.size),
        "noise": noise,
        "seed": seed,
        "pixel_size_angstrom": series.pixel_size_angstrom,
        **series.provenance,
    }
    text = (
        f"{images}: {tilt_deg.size} views of {n_x} x {n_y}, noise {noise:g}\n{angles}\n{truth}: {n_x} x {n_y} x {n_z}"
    )
    show(result, text, json, [images, angles, truth])


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
