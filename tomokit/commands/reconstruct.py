"""``tomokit reconstruct``: the main job."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, Overwrite, complain, show
from tomokit.run.request import ReconstructionRequest

_HELP = {item.name: item.metadata.get("help", "") for item in dataclasses.fields(ReconstructionRequest)}


def _option(field: str, metavar: str | None = None) -> Any:
    """An option named after a field of the request, with the field's help. Not given is None: another layer decides."""
    return typer.Option(f"--{field.replace('_', '-')}", metavar=metavar, help=_HELP[field], show_default=False)


def reconstruct(
    tilts: Annotated[Path, typer.Argument(metavar="TILTS", help="Tilt series, an MRC stack.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.mrc", help="The tomogram.")],
    method: Annotated[str | None, _option("method", "NAME")] = None,
    thickness: Annotated[int | None, _option("thickness", "PX")] = None,
    angles: Annotated[Path | None, _option("angles", "F")] = None,
    allow_unsorted: Annotated[bool, typer.Option("--allow-unsorted", help=_HELP["allow_unsorted"])] = False,
    mask: Annotated[Path | None, _option("mask", "F")] = None,
    xf: Annotated[Path | None, _option("xf", "F")] = None,
    tilt_offset: Annotated[float | None, _option("tilt_offset", "DEG")] = None,
    pixel_size: Annotated[float | None, _option("pixel_size", "A")] = None,
    transform: Annotated[str | None, _option("transform", "auto|log|linear|invert")] = None,
    percentiles: Annotated[str | None, _option("percentiles", "LOW,HIGH")] = None,
    exposure: Annotated[str | None, _option("exposure", "auto|fit|zero")] = None,
    bin: Annotated[int | None, _option("bin", "N")] = None,
    half: Annotated[str | None, _option("half", "even|odd")] = None,
    exclude: Annotated[str | None, _option("exclude", "0,3,7-9")] = None,
    hold_out: Annotated[int | None, _option("hold_out", "N")] = None,
    seed: Annotated[int | None, _option("seed", "N")] = None,
    backend: Annotated[str | None, _option("backend", "auto|cpu|cuda|reference")] = None,
    threads: Annotated[int | None, _option("threads", "N")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of the method, as in `tomokit plugins list --verbose`; repeatable.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Start from these settings.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="C.toml", help="Settings laid over the preset.", show_default=False)
    ] = None,
    no_preview: Annotated[bool, typer.Option("--no-preview", help="Write no picture beside the tomogram.")] = False,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Reconstruct a tomogram from a tilt series.

    Settings come from the preset, then the configuration file, then the command line, then --set: the last one wins.
    """
    from tomokit.commands.progress import TerminalProgress
    from tomokit.run.config import build_request
    from tomokit.run.driver import reconstruct as run

    given = {
        "stack": tilts, "output": output, "method": method, "thickness": thickness, "angles": angles, "mask": mask,
        "xf": xf, "tilt_offset": tilt_offset, "pixel_size": pixel_size, "transform": transform,
        "percentiles": percentiles, "exposure": exposure, "bin": bin, "half": half, "exclude": exclude,
        "hold_out": hold_out, "seed": seed, "backend": backend, "threads": threads,
        "preview": False if no_preview else None, "allow_unsorted": allow_unsorted or None, "overwrite": overwrite,
    }  # fmt: skip
    request = build_request(given, settings=set_ or (), config=config, preset=preset)
    with TerminalProgress() as progress:
        summary = run(request, progress)
    show(summary, _text(summary), json, [path for path in (request.output, request.preview_path) if path])
    for warning in summary["warnings"]:
        complain(f"warning: {warning}")


def _text(summary: dict[str, Any]) -> str:
    n_z, n_y, n_x = summary["shape"]
    transform = summary["transform"]
    epochs = f"{summary['epochs']} epoch{'' if summary['epochs'] == 1 else 's'}"
    known = summary["provenance"].get("pixel_size_source") != "none"
    size = f" of {summary['voxel_size_angstrom']:g} angstrom" if known else ", voxel size unknown"
    lines = [
        f"{summary['output']}: {n_x} x {n_y} x {n_z} voxels{size}",
        f"method {summary['method']} on {summary['backend']}: {epochs}, loss {summary['loss']:.4g}, "
        f"{summary['seconds']:.1f} s, peak memory {summary['peak_memory_bytes'] / 2**30:.2f} GiB",
        f"transform {transform['kind']}{', ' + transform['reason'] if transform['reason'] else ''}",
    ]
    if summary["held_out"] is not None:
        held = summary["held_out"]
        lines.append(
            f"held-out views {', '.join(map(str, held['views']))}: correlation {held['correlation']:.4f}, "
            f"residual {held['residual']:.4f}, best at epoch {summary['best_epoch']}"
        )
    if summary["preview"]:
        lines.append(f"{summary['preview']}: central slices")
    return "\n".join(lines)
