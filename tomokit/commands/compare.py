"""The command ``tomokit compare``: how close a volume comes to the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, Overwrite, show
from tomokit.errors import InputError, OutputError


def compare(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="The volume to be judged.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The true volume, of the same shape.")],
    scale: Annotated[
        str,
        typer.Option(
            metavar="none|fit|affine|NUMBER",
            help="Factor that the volume is multiplied by first; fit and affine find it by least squares, without and "
            "with an offset.",
        ),
    ] = "none",
    box: Annotated[
        str | None,
        typer.Option(metavar="z0:z1,y0:y1,x0:x1", help="Box of voxels that the global SSIM is restricted to."),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write a picture of both volumes to this file.")
    ] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Compare a volume with the truth: PSNR and SSIM."""
    from tomokit.io import read_volume
    from tomokit.io.output import check_output
    from tomokit.metrics import compare_arrays as measure
    from tomokit.metrics import parse_box

    ssim_box = None if box is None else parse_box(box)
    if preview is not None:
        check_output(preview, overwrite=overwrite, inputs=(volume, truth))
        if preview.suffix.lower() not in (".png", ""):
            raise OutputError(f"the picture is PNG, not {preview.suffix}", file=preview, remedy="name it .png")
    judged, true = read_volume(volume), read_volume(truth)
    result: dict[str, Any] = {"volume": str(volume), "truth": str(truth)}
    try:
        result |= measure(judged.density, true.density, scale=scale, box=ssim_box)
    except InputError as error:
        # The measures see arrays; only here is it known which files these are from.
        error.file = error.file or f"{volume}, {truth}"
        raise
    result["preview"] = None if preview is None else str(preview)
    if preview is not None:
        from tomokit.preview import write_comparison

        scaled = judged.density * result["scale"] + result["offset"]
        write_comparison(
            preview,
            scaled,
            true.density,
            voxel_size_angstrom=None if true.provenance["pixel_size_source"] == "none" else true.voxel_size_angstrom,
            title=volume.name,
            overwrite=overwrite,
        )
    show(result, _report_text(result), json, [] if preview is None else [preview])


def _report_text(result: dict[str, Any]) -> str:
    def number(key: str) -> str:
        return "undefined" if result[key] is None else f"{result[key]:.4g}"

    psnr = "infinite" if result["rmse"] == 0 else f"{number('psnr_db')} dB"
    lines = [
        f"PSNR {psnr}, RMSE {number('rmse')}",
        f"SSIM {number('ssim')} in windows, {number('ssim_global')} global",
        f"isolated extreme voxels {result['isolated_per_thousand']:.3g} per thousand, "
        f"of the truth {result['isolated_per_thousand_truth']:.3g}",
    ]
    if (result["scale"], result["offset"]) != (1.0, 0.0):
        lines.append(f"after scaling by {result['scale']:.6g}, offset {result['offset']:.6g}")
    if result["preview"]:
        lines.append(f"{result['preview']}: slices of both")
    return "\n".join(lines)
