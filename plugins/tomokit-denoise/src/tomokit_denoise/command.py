"""The command ``tomokit denoise``: options in, a summary out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.completion import one_of
from tomokit.commands.output import AsJson, Overwrite, show
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.errors import OptionError

_DEVICES = ("auto", "cpu", "cuda")


def denoise(
    halves: Annotated[
        list[Path],
        typer.Argument(
            metavar="TOMOGRAM|EVEN ODD",
            help="A tomogram with its halves beside it, as `reconstruct --halves` and other programs name them; or "
            "two halves.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT.mrc", show_default=False,
            help="The denoised tomogram; of a tomogram by default NAME_denoised.mrc beside it.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            metavar="TOMOGRAM", show_default=False,
            help="Another tomogram of the same views with its halves beside it: the network is given the halves of the "
            "first and held to those of this one, in whose units the output is.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of training; more are better, to a degree.")] = 1200,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M", show_default=False,
            help="Train as many steps as there is time for in place of --steps; the record tells how many.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="z0:z1,y0:y1,x0:x1", show_default=False,
            help="Train on this box alone, in voxels along the axes of the files; all of the tomogram is denoised.",
        ),
    ] = None,
    patch: Annotated[int, typer.Option(metavar="PX", help="Edge of the patches that are trained on.")] = 48,
    batch: Annotated[int, typer.Option(metavar="N", help="Patches in a step.")] = 1,
    width: Annotated[int, typer.Option(metavar="N", help="Channels of the network.")] = 24,
    lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate at its highest.")] = 2e-3,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights and patches.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="F.pt", show_default=False, help="Apply this network, which --save-model wrote, without training."
        ),
    ] = None,
    save_model: Annotated[
        Path | None, typer.Option(metavar="F.pt", show_default=False, help="Write the trained network to this file.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda", autocompletion=one_of(*_DEVICES),
            help="Where it is computed; auto is the GPU if PyTorch finds one.",
        ),
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Threads of the CPU; default: all of them.")
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(
            metavar="PX", show_default=False,
            help="Edge of the blocks in which the tomogram is denoised; default: what memory allows. No voxel depends "
            "on it.",
        ),
    ] = None,
    progress: ProgressForm = "auto",
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Denoise a tomogram by a network that is trained on its own halves (Noise2Inverse).

    The network is given one half and held to the other; noise that is independent in them cannot be predicted, and is
    left out. Give halves by a linear method, wbp or sirt. The output is the mean of what the network makes of both, in
    their units; its label and the record beside it say that a network made it.
    """
    from tomokit.plugin.options import build_options
    from tomokit_denoise.find_halves import default_output, find_halves

    if device not in _DEVICES:
        raise OptionError(f"{device!r} is not allowed", field="--device", remedy=f"choose from {', '.join(_DEVICES)}")
    both = find_halves(halves)
    out = default_output(halves) if output is None else output
    targets = None if target is None else find_halves([target])

    from tomokit.metrics.boxes import parse_box
    from tomokit_denoise.denoise import DenoisingJob
    from tomokit_denoise.denoise import denoise as run
    from tomokit_denoise.network import NetworkOptions
    from tomokit_denoise.training import TrainingOptions

    given = {"steps": steps, "patch": patch, "batch": batch, "lr": lr, "seed": seed}
    job = DenoisingJob(
        both,
        out,
        targets,
        build_options(TrainingOptions, given, "denoise"),
        build_options(NetworkOptions, {"width": width}, "denoise"),
        box=None if box is None else parse_box(box),
        minutes=minutes,
        model=model,
        save_model=save_model,
        device=device,
        threads=threads,
        block=block,
        overwrite=overwrite,
    )
    with TerminalProgress(progress) as told:
        result = run(job, told)
    written = [Path(result[name]) for name in ("output", "provenance_file", "saved_model") if result[name]]
    show(result, _report_text(result), json, written)


def _report_text(result: dict[str, Any]) -> str:
    n_z, n_y, n_x = result["shape"]
    lines = [f"{result['output']}: {n_x} x {n_y} x {n_z} voxels, denoised by a network"]
    training = result["training"]
    if training is not None:
        first, last = training["curve"][0]["held_out"], training["curve"][-1]["held_out"]
        share, seconds = 100 * (1 - last / first), result["seconds"]["training"]
        lines.append(
            f"trained in {training['steps']} steps, {seconds:.0f} s: in rows that it was not trained on it predicts "
            f"{share:.0f} % of the variance of the other half; the rest is noise, and what it has not learned"
        )
    if result["saved_model"]:
        lines.append(f"{result['saved_model']}: the network")
    return "\n".join(lines)
