"""What every method owes; the authors' structure; presets that a configuration takes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from tomokit_neural.implicit import Implicit
from tomokit_neural.implicit_options import ImplicitOptions
from tomokit_neural.neat import Neat
from tomokit_neural.neat_options import NeatOptions

from tomokit.data.problem import ProblemShape
from tomokit.errors import InputError, OptionError
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.testing import check_method
from tomokit.testing.series import small_specimen

PRESETS = Path(__file__).resolve().parents[1] / "presets"
NEAT = {"epochs": 3, "rays_per_step": 64, "decoder_lr": 1e-3, "structure_epochs": (1,), "depth": 2, "n": 9, "width": 16}
IMPLICIT = {
    "epochs": 3,
    "rays_per_step": 64,
    "width": 24,
    "depth": 2,
    "depth_after": 2,
    "proposal_width": 16,
    "octaves": 4,
    "proposal_octaves": 3,
    "coarse_samples": 8,
    "fine_samples": 8,
    "lr": 5e-3,
    "least_squares_steps": 150,
}


@pytest.fixture(scope="module")
def specimen():
    return small_specimen((12, 20, 16), step_deg=12.0)


@pytest.mark.parametrize(("cls", "options"), [(Neat, NEAT), (Implicit, IMPLICIT)])
def test_it_can_be_trusted(cls, options, specimen) -> None:
    assert len(check_method(cls, options, specimen=specimen, error=0.95, prediction=1e-5)) == 10


@pytest.mark.parametrize("cls", [Neat, Implicit])
def test_the_backend_is_not_pretended(cls, specimen) -> None:
    from dataclasses import replace

    with pytest.raises(OptionError, match="no cuda backend"):
        cls().start(replace(specimen.problem, backend="cuda"), cls.Options())


def test_neat_has_the_authors_structure(specimen) -> None:
    options = NeatOptions()
    assert (options.n, options.features, options.width, options.max_nodes, options.depth) == (17, 4, 64, 512, 4)
    run = Neat().start(specimen.problem, options)
    decoder = 4 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    assert run.n_parameters == run.forest.n_leaves * 17**3 * 4 + decoder
    # At its largest: 10.1 million.
    assert 512 * 17**3 * 4 + decoder == 10_066_369
    rates = run.optimizer.rates
    assert rates["features"] == 0.04
    assert {rates[name] for name in rates if name != "features"} == {5e-5}


@pytest.mark.parametrize(("width", "expected"), [(256, 699_650), (512, 2_710_018)])
def test_implicit_has_the_authors_structure(width, expected, specimen) -> None:
    run = Implicit().start(specimen.problem, ImplicitOptions(width=width, proposal_width=width))
    flow = sum(tensor.numel() for name, tensor in run.optimizer.parameters.items() if name.startswith("flow"))
    assert run.n_parameters - flow == expected


def test_neat_splits_where_errors_are_and_keeps_its_density(specimen) -> None:
    run = Neat().start(specimen.problem, build_options(NeatOptions, NEAT | {"structure_epochs": ()}, "neat"))
    run.advance()
    before, nodes = run.volume(), run.forest.n_leaves
    run.options = build_options(NeatOptions, NEAT, "neat")
    run.error += torch.rand(nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    run.after_epoch()
    assert run.forest.n_leaves > nodes
    # Features are interpolated, so that a density between two vertices of the old lattice is what it was.
    assert np.linalg.norm(run.volume() - before) < 0.01 * np.linalg.norm(before)


def test_a_state_after_a_split_continues_and_others_are_refused(specimen) -> None:
    options = build_options(NeatOptions, NEAT, "neat")
    run = Neat().start(specimen.problem, options)
    run.advance()
    saved = {name: np.array(array) for name, array in run.arrays().items()}
    assert saved["indicator_key"].size > 0
    other = Neat().start(specimen.problem, options)
    assert other.forest.n_leaves < run.forest.n_leaves
    volume = other.volume()
    with pytest.raises(InputError, match="mean_features"):
        other.restore(1, {name: array for name, array in saved.items() if name != "mean_features"})
    assert other.epoch == 0
    np.testing.assert_array_equal(other.volume(), volume)
    other.restore(1, saved)
    assert run.advance() == other.advance()
    np.testing.assert_array_equal(run.volume(), other.volume())


def test_the_estimates_hold_the_volume() -> None:
    shape = ProblemShape(41, 512, 512, 200)
    for cls in (Neat, Implicit):
        assert cls().estimate_bytes(shape, cls.Options()) > 2 * shape.volume_bytes


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_presets_are_taken(path) -> None:
    with path.open("rb") as stream:
        preset = tomllib.load(stream)
    assert set(preset) == {"method", "options"}
    cls = {"neat": Neat, "implicit": Implicit}[preset["method"]]
    build_options(cls.Options, preset["options"], path.name)


def test_to_be_listed_takes_no_pytorch() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from tomokit_neural import plugin; plugin.tomokit_register_methods(lambda cls: None); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_they_are_registered_where_they_are_installed() -> None:
    from importlib.metadata import entry_points

    if "neural" not in {point.name for point in entry_points(group="tomokit")}:
        pytest.skip("tomokit-neural is not installed")
    assert {"neat", "implicit"} <= set(get_registry().names("method"))
